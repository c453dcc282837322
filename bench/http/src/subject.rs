//! The subjects and the scenarios.

/// Whose server answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject {
    ByHand,
    ByHandComparing,
    Ours,
    TowerSessions,
    AxumSession,
    AxumSessionRedisOnly,
    ActixSession,
}

impl Subject {
    pub const ALL: [Subject; 7] = [
        Subject::ByHand,
        Subject::ByHandComparing,
        Subject::Ours,
        Subject::TowerSessions,
        Subject::AxumSession,
        Subject::AxumSessionRedisOnly,
        Subject::ActixSession,
    ];

    /// From the word behind `--serve`.
    pub fn named(name: &str) -> Option<Subject> {
        Subject::ALL.into_iter().find(|subject| format!("{subject:?}") == name)
    }

    pub fn label(self) -> &'static str {
        match self {
            Subject::ByHand => "by hand, axum",
            Subject::ByHandComparing => "by hand, which loses nothing, axum",
            Subject::Ours => "**Ampoule**, axum",
            Subject::TowerSessions => "tower-sessions, axum",
            Subject::AxumSession => "axum_session, which also keeps sessions in its process",
            Subject::AxumSessionRedisOnly => "axum_session, in Redis alone",
            Subject::ActixSession => "actix-session, actix-web",
        }
    }
}

/// What a request does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scenario {
    /// A cookie is sent, and the session is not looked at.
    Untouched,
    /// One of five keys is read.
    Read,
    /// A counter is read, increased and saved.
    Write,
    /// The same, with several requests for each session at once.
    WriteAtOnce,
    /// No cookie is sent; one key is inserted and saved.
    New,
}

impl Scenario {
    pub const ALL: [Scenario; 5] =
        [Scenario::Untouched, Scenario::Read, Scenario::Write, Scenario::WriteAtOnce, Scenario::New];

    pub fn label(self) -> &'static str {
        match self {
            Scenario::Untouched => "untouched",
            Scenario::Read => "read",
            Scenario::Write => "read and write",
            Scenario::WriteAtOnce => "read and write, 8 sessions",
            Scenario::New => "new",
        }
    }

    pub fn path(self) -> &'static str {
        match self {
            Scenario::Untouched => "/untouched",
            Scenario::Read => "/read",
            Scenario::Write | Scenario::WriteAtOnce => "/write",
            Scenario::New => "/new",
        }
    }

    /// Over how many sessions the requests go round. With twice as many as there are connections, two requests seldom
    /// meet at one session; with a quarter, they always do.
    pub fn sessions(self) -> usize {
        match self {
            Scenario::New => 0,
            Scenario::WriteAtOnce => 8,
            _ => 64,
        }
    }

    /// Whether each request adds one to a counter.
    pub fn counts(self) -> bool {
        self.path() == "/write"
    }
}
