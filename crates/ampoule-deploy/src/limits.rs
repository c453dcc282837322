//! How much of a server its clients may hold, under the names that waitress has for it.

use std::time::Duration;

use crate::conf::Conf;
use crate::error::Faults;

/// How much of a server its clients may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// How many connections there are at once; more wait until one ends (`connection_limit`). 800: with the files that a
    /// store opens fewer than the 1024 that a process may have open where nothing else is set.
    pub connections: usize,
    /// How long a client may take for the head of a request, from the beginning of the connection or the end of the request
    /// before; so it is how long a connection may be idle too (`channel_timeout`, in seconds). 30 seconds, as hyper has it.
    pub head_timeout: Duration,
    /// How many bytes the head of a request may have (`max_request_header_size`). 64 KiB: a browser's cookies of one site
    /// are seldom more than half of that.
    pub head_size: usize,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits { connections: 800, head_timeout: Duration::from_secs(30), head_size: 65_536 }
    }
}

/// What is understood.
pub(crate) const LIMITS: [&str; 3] = ["connection_limit", "channel_timeout", "max_request_header_size"];

pub(crate) fn read_limits(conf: &Conf) -> Result<Limits, Faults> {
    let mut faults = Faults::default();
    let standard = Limits::default();
    let connections = faults.keep(conf.number(LIMITS[0], standard.connections as u64, 1..=1_000_000));
    let seconds = faults.keep(conf.number(LIMITS[1], standard.head_timeout.as_secs(), 1..=86_400));
    // Less than 8 KiB is less than many a browser sends.
    let size = faults.keep(conf.number(LIMITS[2], standard.head_size as u64, 8_192..=16_777_216));
    let small = |number: Option<u64>| number.and_then(|number| usize::try_from(number).ok()).unwrap_or_default();
    faults.if_none(|| Limits {
        connections: small(connections),
        head_timeout: Duration::from_secs(seconds.unwrap_or_default()),
        head_size: small(size),
    })
}
