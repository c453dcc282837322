//! The limits on what clients may use of a server, under waitress's names.

use std::time::Duration;

use crate::conf::Conf;
use crate::error::Faults;

/// The limits on what clients may use of a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// The maximum number of open connections (`connection_limit`); further ones wait until one closes. Default 800:
    /// together with the files that a store opens, this stays below 1024, the usual limit on a process's open files.
    pub max_connections: usize,
    /// The time limit for the head of a request (`channel_timeout`, in seconds), counted from the start of the
    /// connection or the end of the previous request, so it limits idle connections too. Default 30 seconds, as
    /// hyper's.
    pub header_timeout: Duration,
    /// The maximum size of a request's head in bytes (`max_request_header_size`). Default 64 KiB: the cookies that a
    /// browser sends to one site rarely take more than half of that.
    pub max_header_size: usize,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits { max_connections: 800, header_timeout: Duration::from_secs(30), max_header_size: 65_536 }
    }
}

/// The options of the limits.
pub(crate) const LIMITS: [&str; 3] = ["connection_limit", "channel_timeout", "max_request_header_size"];

pub(crate) fn read_limits(conf: &Conf) -> Result<Limits, Faults> {
    let mut faults = Faults::default();
    let standard = Limits::default();
    let connections = faults.keep(conf.number(LIMITS[0], standard.max_connections as u64, 1..=1_000_000));
    let seconds = faults.keep(conf.number(LIMITS[1], standard.header_timeout.as_secs(), 1..=86_400));
    // Some browsers send more than 8 KiB.
    let size = faults.keep(conf.number(LIMITS[2], standard.max_header_size as u64, 8_192..=16_777_216));
    let small = |number: Option<u64>| number.and_then(|number| usize::try_from(number).ok()).unwrap_or_default();
    faults.if_none(|| Limits {
        max_connections: small(connections),
        header_timeout: Duration::from_secs(seconds.unwrap_or_default()),
        max_header_size: small(size),
    })
}
