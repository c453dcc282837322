//! What is measured.

/// What a request does with its session.
#[derive(Clone, Copy)]
pub enum Operation {
    /// Reads one of five keys.
    Read,
    /// Reads one, changes it and saves.
    Save,
}

impl Operation {
    /// As the table has it.
    pub fn name(self) -> &'static str {
        match self {
            Operation::Read => "read",
            Operation::Save => "save",
        }
    }
}
