//! `ampoule check`: would this file be served, and how, and do its stores answer?

use ampoule::{Error, SessionLayer};
use ampoule_deploy::{Deployment, Registry};

use crate::site::Site;
use crate::{Failure, clocks, output};

pub(crate) fn check(site: &Site, registry: &Registry) -> Result<(), Failure> {
    let (file, _) = site.place()?;
    let deployment = site.load(registry)?;
    for listen in deployment.server.iter().flat_map(|server| &server.listen) {
        output::say(&format!("would listen on {listen}"));
    }
    deployment.notes.iter().for_each(|note| output::say(note));
    for origin in &deployment.origins {
        output::say(&format!("options of {origin}"));
    }
    for warning in &deployment.warnings {
        output::say(&format!("warning: {warning}"));
    }
    ping(&deployment)?;
    output::say(&format!("{} is good", file.display()));
    Ok(())
}

/// Servers are connected when they are first needed; here that is now. Stores warn in the log, such as of a server that
/// evicts sessions.
fn ping(deployment: &Deployment) -> Result<(), Failure> {
    crate::serve::log("warn");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Failure(format!("no thread to work with: {error}")))?;
    let unreachable =
        |layer: &SessionLayer, error: Error| Failure(format!("session {}: {}", layer.describe(), error.report()));
    runtime.block_on(async {
        for layer in &deployment.sessions {
            let time = layer.ping().await.map_err(|error| unreachable(layer, error))?;
            if let Some(difference) = clocks::difference(layer, time) {
                output::say(&difference);
            }
        }
        Ok(())
    })
}
