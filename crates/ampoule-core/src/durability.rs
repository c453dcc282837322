//! Which failures a save survives.

/// Which failures a save survives once it has returned, for stores that write to a disk of this machine.
///
/// With every choice a reader sees a record whole, and a damaged one is an error. A moved deadline may be lost: that
/// shortens a session by some minutes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Durability {
    /// No failure for certain, for sessions that may be lost. SQLite leaves all syncing to the operating system. The
    /// file store does the same as for [`Process`](Durability::Process), since the rename that keeps readers from torn
    /// records also survives the process.
    None,
    /// The death of the process, of any cause: the default. A loss of power can lose what the operating system has not
    /// written yet, usually the last 5 to 30 seconds.
    #[default]
    Process,
    /// A loss of power: the save waits until the disk has the data.
    Power,
}

impl Durability {
    /// Returns the word for it in settings: `none`, `process`, `power`.
    pub const fn name(self) -> &'static str {
        match self {
            Durability::None => "none",
            Durability::Process => "process",
            Durability::Power => "power",
        }
    }
}
