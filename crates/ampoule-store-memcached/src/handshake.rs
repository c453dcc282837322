//! The handshake of a connection: it reads the server's version, settings and time, and whether it was restarted.
//!
//! A server that restarts has forgotten all items and counts its tokens from the beginning, so the same token may then
//! name another write. Each run of a server is therefore marked by an item with a random number, its boot id, which is
//! lost with the run. If memcached evicts that item, a new one is made, and tokens from before it are read again, which
//! costs a command each.

use std::time::{Duration, Instant};

use ampoule_core::{Error, ErrorKind, Time};
use tokio::io::{AsyncBufRead, AsyncWrite, AsyncWriteExt};

use crate::error::no_random;
use crate::format::corrupt;
use crate::wire::{self, Condition, Response, connection_lost, error_of_line, read_line};

/// Earlier versions have no working `md` with a token.
const MIN_VERSION: [u32; 3] = [1, 6, 13];

/// The bytes that memcached needs for an item besides name and value: 59 were measured.
const ITEM_OVERHEAD: usize = 64;

/// How often the boot id is written and read if memcached evicts it immediately.
const MAX_ATTEMPTS: u32 = 8;

/// The server at the other end of a connection.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Peer {
    pub(crate) boot_id: u64,
    /// The maximum size of an item's name and value together, in bytes. A larger item must not be sent: memcached then
    /// removes the item that was there.
    pub(crate) max_item_size: usize,
    pub(crate) clock: ClockReading,
}

/// A reading of a server's clock, which has whole seconds and lags up to two.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ClockReading {
    time: Time,
    at: Instant,
}

impl ClockReading {
    /// Returns the server's current time. The client's wall clock does not affect it, since it may be set in between.
    pub(crate) fn now(&self) -> Time {
        self.time + self.at.elapsed()
    }

    pub(crate) fn age(&self) -> Duration {
        self.at.elapsed()
    }
}

/// Performs the handshake. The server's boot id is in the item of this name.
pub(crate) async fn perform(
    stream: &mut (impl AsyncBufRead + AsyncWrite + Unpin),
    boot_id_name: &str,
) -> Result<Peer, Error> {
    send(stream, b"version\r\nstats settings\r\nstats\r\n").await?;
    check_version(&read_line(stream).await?)?;
    let max_item_size = max_item_size(stream).await?;
    let clock = clock(stream).await?;
    Ok(Peer { boot_id: boot_id(stream, boot_id_name).await?, max_item_size, clock })
}

/// Reads a server's clock.
pub(crate) async fn read_time(stream: &mut (impl AsyncBufRead + AsyncWrite + Unpin)) -> Result<ClockReading, Error> {
    send(stream, b"stats\r\n").await?;
    clock(stream).await
}

async fn send(stream: &mut (impl AsyncWrite + Unpin), command: &[u8]) -> Result<(), Error> {
    stream.write_all(command).await.map_err(connection_lost)?;
    stream.flush().await.map_err(connection_lost)
}

/// A version in another form is taken for a new one.
fn check_version(line: &str) -> Result<(), Error> {
    let version = line.strip_prefix("VERSION ").ok_or_else(|| error_of_line(line))?;
    let numbers: Vec<u32> = version.split('.').map_while(|number| number.parse().ok()).collect();
    if numbers.len() < 3 || numbers[..] >= MIN_VERSION[..] {
        return Ok(());
    }
    let [major, minor, patch] = MIN_VERSION;
    Err(Error::new(ErrorKind::Config, format!("expected memcached {major}.{minor}.{patch} or later")).because(line))
}

async fn max_item_size(stream: &mut (impl AsyncBufRead + Unpin)) -> Result<usize, Error> {
    let (mut largest, mut has_tokens) = (1 << 20, true);
    stats(stream, |name, value| match name {
        "item_size_max" => largest = value.parse().unwrap_or(largest),
        "cas_enabled" => has_tokens = value != "no",
        _ => {}
    })
    .await?;
    if !has_tokens {
        let message = "it was started with -C, but the store requires its tokens: start it without";
        return Err(Error::new(ErrorKind::Config, message));
    }
    Ok(usize::saturating_sub(largest, ITEM_OVERHEAD))
}

async fn clock(stream: &mut (impl AsyncBufRead + Unpin)) -> Result<ClockReading, Error> {
    let mut seconds = None;
    stats(stream, |name, value| {
        if name == "time" {
            seconds = value.parse().ok();
        }
    })
    .await?;
    let seconds = seconds.ok_or_else(|| Error::new(ErrorKind::Unavailable, "it does not report its time (stats)"))?;
    Ok(ClockReading { time: Time::ZERO + Duration::from_secs(seconds), at: Instant::now() })
}

/// Reads the lines `STAT name value` until `END`.
async fn stats(stream: &mut (impl AsyncBufRead + Unpin), mut each: impl FnMut(&str, &str)) -> Result<(), Error> {
    loop {
        let line = read_line(stream).await?;
        let mut words = line.split(' ');
        match (words.next(), words.next()) {
            (Some("STAT"), Some(name)) => each(name, words.next().unwrap_or_default()),
            (Some("END"), _) => return Ok(()),
            _ => return Err(error_of_line(&line)),
        }
    }
}

async fn boot_id(stream: &mut (impl AsyncBufRead + AsyncWrite + Unpin), boot_id_name: &str) -> Result<u64, Error> {
    let new = getrandom::u64().map_err(no_random)?.to_be_bytes();
    for _ in 0..MAX_ATTEMPTS {
        send(stream, &wire::get(boot_id_name)).await?;
        if let Response::Value(found) = wire::read(stream, 0, 64).await? {
            return Ok(u64::from_be_bytes(found.bytes.try_into().map_err(|_| corrupt())?));
        }
        send(stream, &wire::set(boot_id_name, &new, 0, Condition::Absent)).await?;
        wire::read(stream, 0, 64).await?;
    }
    Err(Error::new(ErrorKind::Full, "it evicts new items immediately (its option -m)"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_old_memcached_is_refused() {
        for old in ["VERSION 1.4.39", "VERSION 1.5.22", "VERSION 1.6.12"] {
            assert_eq!(check_version(old).unwrap_err().kind(), ErrorKind::Config, "{old}");
        }
        for new in ["VERSION 1.6.13", "VERSION 1.6.18", "VERSION 1.7.0", "VERSION 2.0.0", "VERSION 1.6.40_beta1"] {
            check_version(new).unwrap_or_else(|error| panic!("{new}: {error}"));
        }
        assert_eq!(check_version("HTTP/1.1 400 Bad Request").unwrap_err().kind(), ErrorKind::Unavailable);
    }
}
