//! What a save has outlived when it returns.

/// What a save has outlived when it returns: for stores that write to a disk of this machine.
///
/// Whichever is chosen, a reader sees a record whole, and a damaged one is an error. Moving a deadline need not be
/// waited for: what is lost with it is some minutes of a session's life.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Durability {
    /// Nothing for certain, for sessions that may be lost. SQLite then leaves all syncing to the operating system; the
    /// file store does what [`Process`](Durability::Process) does, since the rename that keeps readers from torn
    /// records also outlives the process.
    None,
    /// The death of the process, however it comes: the default. With the power is lost what the operating system has
    /// not yet written, the last 5 to 30 seconds as a rule.
    #[default]
    Process,
    /// The loss of power: the disk has it before the save returns, which waits for it.
    Power,
}

impl Durability {
    /// The word for it in settings: `none`, `process`, `power`.
    pub const fn name(self) -> &'static str {
        match self {
            Durability::None => "none",
            Durability::Process => "process",
            Durability::Power => "power",
        }
    }
}
