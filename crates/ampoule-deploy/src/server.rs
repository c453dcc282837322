//! Where to listen. The crate opens no socket itself; the program that serves does.

use crate::conf::Conf;
use crate::error::Faults;

/// Where to listen: the section `[server:NAME]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    /// The address or host name; `127.0.0.1` by default. `0.0.0.0` is all of IPv4.
    pub host: String,
    /// The port; 8080 by default, as in Paste. 0 lets the system choose.
    pub port: u16,
}

/// The factory of `egg:Paste#http`.
pub(crate) fn factory(conf: &Conf) -> Result<Server, Faults> {
    let mut faults = Faults(conf.unknown(&["host", "port"]));
    let host = conf.get("host").unwrap_or("127.0.0.1").to_owned();
    if host.is_empty() || host.contains(char::is_whitespace) {
        faults.0.push(conf.fault("host", "expected an address or a host name, such as 127.0.0.1"));
    }
    let port = faults.keep(conf.number("port", 8080, 0..=u16::MAX.into())).and_then(|port| u16::try_from(port).ok());
    match port {
        Some(port) if faults.0.is_empty() => Ok(Server { host, port }),
        _ => Err(faults),
    }
}
