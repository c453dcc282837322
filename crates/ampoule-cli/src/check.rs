//! `ampoule check`: reports the faults and warnings of a file, the effective options, and whether its stores answer.

use ampoule::{Error, SessionLayer};
use ampoule_deploy::{Deployment, Fault, Faults, Registry};
use serde_json::{Value, json};

use crate::site::Site;
use crate::text::print;
use crate::{Failure, clocks, serve};

#[derive(clap::Args)]
pub(crate) struct Check {
    #[command(flatten)]
    site: Site,
    /// Print the result as one JSON document, also if there are faults: {"file", "app", "is_good", "listen",
    /// "sessions", "notes", "options", "warnings", "faults"}.
    #[arg(long)]
    json: bool,
}

impl Check {
    pub(crate) fn run(&self, registry: &Registry) -> Result<(), Failure> {
        let (file, name) = self.site.file_and_app()?;
        let loaded = self.site.load_from(file, name, registry);
        let report = match loaded {
            Ok(deployment) => Report { pings: ping(&deployment)?, loaded: Ok(deployment) },
            Err(faults) => Report { pings: Vec::new(), loaded: Err(faults) },
        };
        match self.json {
            true => print(&report.json(&file.display().to_string(), name).to_string()).map(drop)?,
            false => report.print(&file.display().to_string())?,
        }
        report.failure().map_or(Ok(()), Err)
    }
}

/// The result of loading the file, and of pinging its stores.
struct Report {
    loaded: Result<Deployment, Faults>,
    pings: Vec<Ping>,
}

/// Whether the store of a layer answers, and whether its clock differs.
struct Ping {
    layer: String,
    /// The description of the store.
    store: String,
    answer: Result<Option<String>, String>,
}

/// Pings the store of each layer, which connects to its server. Stores write warnings to the log, such as about a
/// server that evicts sessions.
fn ping(deployment: &Deployment) -> Result<Vec<Ping>, Failure> {
    serve::log("warn");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Failure(format!("no thread to work with: {error}")))?;
    let unreachable = |layer: &SessionLayer, error: &Error| format!("session {}: {}", layer.describe(), error.report());
    runtime.block_on(async {
        let mut pings = Vec::new();
        for layer in &deployment.sessions {
            let answer = match layer.ping().await {
                Ok(time) => Ok(clocks::difference(layer, time)),
                Err(error) => Err(unreachable(layer, &error)),
            };
            pings.push(Ping { layer: layer.name().to_owned(), store: layer.describe(), answer });
        }
        Ok(pings)
    })
}

impl Report {
    fn failure(&self) -> Option<Failure> {
        let unreachable: Vec<&str> =
            self.pings.iter().filter_map(|ping| ping.answer.as_ref().err()).map(String::as_str).collect();
        match &self.loaded {
            Err(faults) => Some(Failure(faults.to_string())),
            Ok(_) if unreachable.is_empty() => None,
            Ok(_) => Some(Failure(unreachable.join("\n"))),
        }
    }

    fn print(&self, file: &str) -> Result<(), Failure> {
        let Ok(deployment) = &self.loaded else { return Ok(()) };
        let listen = listen(deployment).map(|listen| format!("would listen on {listen}"));
        let origins = deployment.origins.iter().map(|origin| format!("options of {origin}"));
        let warnings = deployment.warnings.iter().map(|warning| format!("warning: {warning}"));
        let clocks = self.pings.iter().filter_map(|ping| ping.answer.clone().ok().flatten());
        let good = self.failure().is_none().then(|| format!("{file} is good"));
        for line in
            listen.chain(deployment.notes.iter().cloned()).chain(origins).chain(warnings).chain(clocks).chain(good)
        {
            print(&line)?;
        }
        Ok(())
    }

    fn json(&self, file: &str, app: &str) -> Value {
        let faults = self.loaded.as_ref().err().map(|faults| faults.0.as_slice()).unwrap_or_default();
        let mut all = json!({ "file": file, "app": app, "is_good": self.failure().is_none() });
        if let Ok(deployment) = &self.loaded {
            all["listen"] = listen(deployment).collect();
            all["sessions"] = self.pings.iter().map(Ping::json).collect();
            all["notes"] = deployment.notes.iter().cloned().collect();
            all["options"] = deployment.origins.iter().cloned().collect();
            all["warnings"] = deployment.warnings.iter().map(fault).collect();
        }
        all["faults"] = faults.iter().map(fault).collect();
        all
    }
}

impl Ping {
    fn json(&self) -> Value {
        let clock = self.answer.as_ref().ok().cloned().flatten();
        let error = self.answer.as_ref().err();
        json!({ "layer": self.layer, "store": self.store, "answers": error.is_none(), "clock": clock, "error": error })
    }
}

fn listen(deployment: &Deployment) -> impl Iterator<Item = String> {
    deployment.server.iter().flat_map(|server| &server.listen).map(ToString::to_string)
}

/// Line 0 is the file as a whole.
fn fault(fault: &Fault) -> Value {
    json!({ "file": *fault.file, "line": fault.line, "message": fault.message })
}
