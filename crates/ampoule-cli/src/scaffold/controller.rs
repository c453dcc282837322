//! `ampoule controller` and `ampoule restcontroller`.

use std::path::{Path, PathBuf};

use super::template::{fill, write_new};
use super::{name, wire};
use crate::{Failure, output};

const CONTROLLER: &str = include_str!("controller.tmpl");
const RESTCONTROLLER: &str = include_str!("restcontroller.tmpl");

/// The folder of the modules of a project's pages.
const FOLDER: &str = "src/controllers";

pub(crate) fn controller(name: &str) -> Result<(), Failure> {
    let path = name::path(name)?;
    write(&path, &fill(CONTROLLER, &[("path", &path.join("/"))]))
}

pub(crate) fn restcontroller(singular: &str, plural: &str) -> Result<(), Failure> {
    let one = name::module(singular)?;
    let path = name::path(plural)?;
    if path.last() == Some(&one) {
        return Err(Failure(format!(
            "expected a plural that differs from `{singular}`: otherwise the routes would be the same"
        )));
    }
    write(&path, &fill(RESTCONTROLLER, &[("path", &path.join("/")), ("one", &one), ("many", &path[path.len() - 1])]))
}

fn write(path: &[String], text: &str) -> Result<(), Failure> {
    let Ok(manifest) = std::fs::read_to_string("Cargo.toml") else {
        return Err(Failure("there is no Cargo.toml here: run this in the folder of your project".to_owned()));
    };
    path.iter().try_for_each(|module| name::not_a_dependency(module, &manifest))?;
    let (folders, module) = path.split_at(path.len() - 1);
    let folder = folders.iter().fold(PathBuf::from(FOLDER), |folder, name| folder.join(name));
    let own_folder = folder.join(&module[0]).join("mod.rs");
    if own_folder.exists() {
        return Err(Failure(format!("{} already exists and was not changed", own_folder.display())));
    }
    let file = folder.join(format!("{}.rs", module[0]));
    write_new(&file, text)?;
    output::print(&format!("wrote {}, with a test", file.display()));
    for changed in wire::declare(Path::new(FOLDER), path)? {
        output::print(&format!("declared it in {}", changed.display()));
    }
    match wire::route(path)? {
        true => output::print(&format!("added its route to src/lib.rs: /{}", path.join("/"))),
        false => {
            output::print("add this line to the routes of your program, before their layers:");
            output::print(&format!("  {}", wire::nest(path)));
        }
    }
    Ok(())
}
