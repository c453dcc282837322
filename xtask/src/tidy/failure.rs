//! Why a check could not be made at all, as opposed to a rule that is broken.

use std::error::Error;

pub(crate) type Failure = Box<dyn Error>;
