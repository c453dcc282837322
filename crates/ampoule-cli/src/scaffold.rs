//! `ampoule new`, `controller` and `restcontroller`: create a project and its modules.

mod controller;
mod name;
mod project;
mod template;
mod wire;

pub(crate) use self::controller::{controller, restcontroller};
pub(crate) use self::project::new;
