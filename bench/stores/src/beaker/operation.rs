//! The operations that are measured.

/// The use that a request makes of its session.
#[derive(Clone, Copy)]
pub enum Operation {
    /// Reads one of five keys.
    Read,
    /// Reads one key, changes it and saves.
    Save,
}

impl Operation {
    /// Returns the name in the table and in the script.
    pub fn name(self) -> &'static str {
        match self {
            Operation::Read => "read",
            Operation::Save => "save",
        }
    }
}
