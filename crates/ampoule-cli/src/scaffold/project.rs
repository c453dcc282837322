//! `ampoule new`.

use std::path::Path;

use ampoule::Secret;

use super::name;
use super::template::{fill, write_new};
use crate::{Failure, output};

/// The files of a project: where they go, and what is in them.
const FILES: [(&str, &str); 9] = [
    ("Cargo.toml", include_str!("project/Cargo.toml.tmpl")),
    ("README.md", include_str!("project/README.md.tmpl")),
    (".gitignore", "/target\n/data\n/production.ini\n"),
    ("development.ini", include_str!("project/development.ini.tmpl")),
    ("src/main.rs", include_str!("project/main.rs.tmpl")),
    ("src/lib.rs", include_str!("project/lib.rs.tmpl")),
    ("src/controllers.rs", include_str!("project/controllers.rs.tmpl")),
    ("src/controllers/home.rs", include_str!("project/controllers/home.rs.tmpl")),
    ("templates/home.html", include_str!("project/templates/home.html.tmpl")),
];

pub(crate) fn new(name: &str) -> Result<(), Failure> {
    let module = name::module(name)?;
    let folder = Path::new(name);
    if folder.exists() {
        return Err(Failure(format!("{name} is there already, and stays as it is")));
    }
    let secret = Secret::generate();
    let version = env!("CARGO_PKG_VERSION");
    let words = [("name", name), ("module", module.as_str()), ("secret", secret.as_str()), ("version", version)];
    for (path, template) in FILES {
        write_new(&folder.join(path), &fill(template, &words))?;
    }
    output::say(&format!("wrote the project {name}; next:"));
    output::say(&format!("  cd {name}"));
    output::say("  cargo test");
    output::say("  cargo run        # serves it at http://127.0.0.1:5000/");
    Ok(())
}
