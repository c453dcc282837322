//! `ampoule new`: creates a project.

use std::path::{Path, PathBuf};

use ampoule::Secret;

use super::name;
use super::template::{fill, write_new};
use crate::{Failure, output};

/// The files of a project: path and template.
const FILES: [(&str, &str); 20] = [
    ("Cargo.toml", include_str!("project/Cargo.toml.tmpl")),
    ("README.md", include_str!("project/README.md.tmpl")),
    (".gitignore", "/target\n/data\n/production.ini\n"),
    (".dockerignore", "target\ndata\n*.ini\n"),
    ("Dockerfile", include_str!("project/Dockerfile.tmpl")),
    ("development.ini", include_str!("project/development.ini.tmpl")),
    ("src/main.rs", include_str!("project/main.rs.tmpl")),
    ("src/lib.rs", include_str!("project/lib.rs.tmpl")),
    ("src/layout.rs", include_str!("project/layout.rs.tmpl")),
    ("src/tests.rs", include_str!("project/tests.rs.tmpl")),
    ("src/users.rs", include_str!("project/users.rs.tmpl")),
    ("src/controllers.rs", include_str!("project/controllers.rs.tmpl")),
    ("src/controllers/account.rs", include_str!("project/controllers/account.rs.tmpl")),
    ("src/controllers/error.rs", include_str!("project/controllers/error.rs.tmpl")),
    ("src/controllers/home.rs", include_str!("project/controllers/home.rs.tmpl")),
    ("templates/account.html", include_str!("project/templates/account.html.tmpl")),
    ("templates/credentials.html", include_str!("project/templates/credentials.html.tmpl")),
    ("templates/error.html", include_str!("project/templates/error.html.tmpl")),
    ("templates/home.html", include_str!("project/templates/home.html.tmpl")),
    ("templates/layout.html", include_str!("project/templates/layout.html.tmpl")),
];

pub(crate) fn new(name: &str, is_published: bool) -> Result<(), Failure> {
    let module = name::project(name)?;
    let folder = Path::new(name);
    if folder.exists() {
        return Err(Failure(format!("{name} already exists and was not changed")));
    }
    let secret = Secret::generate();
    let checkout = checkout().filter(|_| !is_published);
    let [ampoule, cli, deploy] =
        ["ampoule", "ampoule-cli", "ampoule-deploy"].map(|name| source(name, checkout.as_deref()));
    let words = [
        ("name", name),
        ("module", &module),
        ("secret", &*secret),
        ("ampoule", &ampoule),
        ("ampoule_cli", &cli),
        ("ampoule_deploy", &deploy),
    ];
    for (path, template) in FILES {
        write_new(&folder.join(path), &fill(template, &words))?;
    }
    output::print(&format!("wrote the project {name}; next:"));
    output::print(&format!("  cd {name}"));
    output::print("  cargo test");
    output::print("  cargo run        # serves it at http://127.0.0.1:5000/");
    if let Some(checkout) = checkout {
        let folder = checkout.display();
        output::print(&format!("it depends on the crates in {folder}; with --published, on the published crates"));
    }
    Ok(())
}

/// The folder of crates that this command was built from, if it is a checkout that still exists. In cargo's registry
/// folder the crates have their versions in their names.
fn checkout() -> Option<PathBuf> {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).parent()?;
    crates.join("ampoule/Cargo.toml").is_file().then(|| crates.to_owned())
}

/// The source of one of our crates in the project's Cargo.toml: a path or a version.
fn source(name: &str, checkout: Option<&Path>) -> String {
    match checkout {
        Some(crates) => format!("path = {:?}", crates.join(name).display().to_string()),
        None => format!("version = {:?}", env!("CARGO_PKG_VERSION")),
    }
}
