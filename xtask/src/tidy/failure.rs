//! The error of a check that could not run, as opposed to a broken rule.

use std::error::Error;

pub(crate) type Failure = Box<dyn Error>;
