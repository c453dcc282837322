//! `ampoule check`: would this file be served, and how?

use ampoule_deploy::{Registry, load};

use crate::{Failure, Site, output};

pub(crate) fn check(site: &Site, registry: &Registry) -> Result<(), Failure> {
    let deployment = load(&site.file, &site.name, &site.overrides, registry)?;
    match deployment.server {
        Some(server) => output::say(&format!("would listen on http://{}:{}", server.host, server.port)),
        None => output::say(&format!(
            "there is no [server:{}]; would listen on {}",
            site.name,
            crate::serve::DEFAULT_ADDRESS
        )),
    }
    for note in deployment.notes {
        output::say(&note);
    }
    output::say(&format!("{} is good", site.file.display()));
    Ok(())
}
