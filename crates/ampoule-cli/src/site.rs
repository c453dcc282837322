//! The arguments of `serve` and `check`: the file, the app, and options of the command line.

use std::path::{Path, PathBuf};

use ampoule_deploy::{Deployment, Faults, Listen, Registry, Server, load_with_environment};

use crate::{DEVELOPMENT, Failure};

/// The site to serve or check.
#[derive(clap::Args)]
pub(crate) struct Site {
    /// The ini file; FILE#NAME selects the app NAME.
    #[arg(default_value = DEVELOPMENT)]
    file: PathBuf,
    /// The app and server of the file: [app:NAME] and [server:NAME]. Default: main.
    #[arg(long)]
    name: Option<String>,
    /// The address or host to listen on, such as 0.0.0.0, instead of the file's.
    #[arg(long)]
    host: Option<String>,
    /// The port to listen on, instead of the file's; 0 lets the system choose.
    #[arg(long)]
    port: Option<u16>,
    /// Turn every warning into an error, so that no option of the file is ignored.
    #[arg(long)]
    strict: bool,
    /// Options that override those of [DEFAULT], such as debug=true; those of sessions and caches, such as
    /// beaker.session.timeout=60, override those of all sections and the environment.
    #[arg(value_name = "OPTION=VALUE", value_parser = read_override)]
    overrides: Vec<(String, String)>,
}

fn read_override(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("expected OPTION=VALUE, such as debug=true")?;
    Ok((name.trim().to_owned(), value.trim().to_owned()))
}

impl Site {
    pub(crate) fn development() -> Site {
        let (name, host, port) = Default::default();
        Site { file: DEVELOPMENT.into(), name, host, port, strict: false, overrides: Vec::new() }
    }

    /// The path of the file, and the name of the app.
    pub(crate) fn file_and_app(&self) -> Result<(&Path, &str), Failure> {
        let named = self.name.as_deref();
        let text = self.file.to_str().filter(|_| !self.file.exists());
        match (text.and_then(|text| text.rsplit_once('#')), named) {
            (Some((file, name)), None) if !name.is_empty() => Ok((Path::new(file), name)),
            (Some((_, name)), Some(named)) if name != named => {
                Err(Failure(format!("FILE#{name} and --name {named} name different apps; write only one of them")))
            }
            (Some((file, _)), named) => Ok((Path::new(file), named.unwrap_or("main"))),
            (None, named) => Ok((&self.file, named.unwrap_or("main"))),
        }
    }

    /// Loads the file. The result always has a server.
    pub(crate) fn load(&self, registry: &Registry) -> Result<Deployment, Failure> {
        let (file, name) = self.file_and_app()?;
        Ok(self.load_from(file, name, registry)?)
    }

    /// Loads the file and app that [`file_and_app`](Site::file_and_app) returned.
    pub(crate) fn load_from(&self, file: &Path, name: &str, registry: &Registry) -> Result<Deployment, Faults> {
        let mut deployment = load_with_environment(file, name, &self.overrides, environment(), registry)?;
        let server = deployment.server.get_or_insert_with(|| Server::new("127.0.0.1", 8080));
        if self.host.is_some() || self.port.is_some() {
            let (host, port) = match server.listen.first() {
                Some(Listen::Tcp { host, port }) => (host.clone(), *port),
                _ => ("127.0.0.1".to_owned(), 8080),
            };
            let host = self.host.clone().unwrap_or(host);
            server.listen = vec![Listen::Tcp { host, port: self.port.unwrap_or(port) }];
        }
        deployment.warnings.extend(deployment.secure_over_http());
        if self.strict { deployment.strict() } else { Ok(deployment) }
    }
}

/// The environment variables whose names and values are UTF-8.
pub(crate) fn environment() -> impl Iterator<Item = (String, String)> {
    std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
}

impl From<Faults> for Failure {
    fn from(faults: Faults) -> Failure {
        Failure(faults.to_string())
    }
}
