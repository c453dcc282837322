//! The subjects and the scenarios of the benchmark.

/// What is measured: a server with one kind of sessions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject {
    /// Handlers without a session library.
    Handwritten,
    /// The same, with writes that compare and retry.
    HandwrittenCompareAndSet,
    Ours,
    TowerSessions,
    /// With its defaults, it also caches sessions in its process.
    AxumSession,
    AxumSessionRedisOnly,
    ActixSession,
}

impl Subject {
    pub const ALL: [Subject; 7] = [
        Subject::Handwritten,
        Subject::HandwrittenCompareAndSet,
        Subject::Ours,
        Subject::TowerSessions,
        Subject::AxumSession,
        Subject::AxumSessionRedisOnly,
        Subject::ActixSession,
    ];

    /// Returns the subject whose `Debug` output is this name.
    pub fn named(name: &str) -> Option<Subject> {
        Subject::ALL.into_iter().find(|subject| format!("{subject:?}") == name)
    }

    pub fn label(self) -> &'static str {
        match self {
            Subject::Handwritten => "handwritten, axum",
            Subject::HandwrittenCompareAndSet => "handwritten with compare-and-set, axum",
            Subject::Ours => "**Ampoule**, axum",
            Subject::TowerSessions => "tower-sessions, axum",
            Subject::AxumSession => "axum_session, sessions also cached in its process",
            Subject::AxumSessionRedisOnly => "axum_session, sessions only in Redis",
            Subject::ActixSession => "actix-session, actix-web",
        }
    }
}

/// What a request does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scenario {
    /// Sends a cookie; the handler does not use the session.
    Untouched,
    /// Reads one of five keys.
    Read,
    /// Increments a counter and saves it.
    Write,
    /// The same, with several concurrent requests for each session.
    WriteContended,
    /// Sends no cookie; inserts one key and saves.
    New,
}

impl Scenario {
    pub const ALL: [Scenario; 5] =
        [Scenario::Untouched, Scenario::Read, Scenario::Write, Scenario::WriteContended, Scenario::New];

    pub fn label(self) -> &'static str {
        match self {
            Scenario::Untouched => "untouched",
            Scenario::Read => "read",
            Scenario::Write => "read and write",
            Scenario::WriteContended => "read and write, 8 sessions",
            Scenario::New => "new",
        }
    }

    pub fn path(self) -> &'static str {
        match self {
            Scenario::Untouched => "/untouched",
            Scenario::Read => "/read",
            Scenario::Write | Scenario::WriteContended => "/write",
            Scenario::New => "/new",
        }
    }

    /// The number of sessions that the requests use in turn. With twice as many sessions as connections, concurrent
    /// requests rarely use the same session; with a quarter as many, they always do.
    pub fn sessions(self) -> usize {
        match self {
            Scenario::New => 0,
            Scenario::WriteContended => 8,
            _ => 64,
        }
    }

    /// Whether each request increments a counter.
    pub fn counts(self) -> bool {
        self.path() == "/write"
    }
}
