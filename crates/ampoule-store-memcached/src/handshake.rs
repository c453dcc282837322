//! What a connection begins with: which memcached it is, how it was started, what time it has, and whether it was started
//! again since.
//!
//! A server that starts again has forgotten all items and counts its tokens from the beginning: the same token may then
//! name another writing. So each start of a server is marked by an item with a random number, its boot id, which ends with
//! it. Should memcached evict that item, a new one is made, and tokens from before it are read again: that costs a
//! command each.

use std::time::{Duration, Instant};

use ampoule_core::{Error, ErrorKind, Time};
use tokio::io::{AsyncBufRead, AsyncWrite, AsyncWriteExt};

use crate::error::no_random;
use crate::format::damaged;
use crate::wire::{self, Response, When, lost, read_line, refused};

/// Earlier ones have no working `md` with a token.
const OLDEST: [u32; 3] = [1, 6, 13];

/// What memcached needs of an item besides name and value: 59 bytes were measured.
const OVERHEAD: usize = 64;

/// How often a mark is looked for that is evicted as soon as it is made.
const ATTEMPTS: u32 = 8;

/// The server at the other end of a connection.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Peer {
    pub(crate) boot_id: u64,
    /// How many bytes the name and the value of an item may have together. What is larger must not be sent: memcached
    /// then removes the item that was there.
    pub(crate) room: usize,
    pub(crate) clock: Reading,
}

/// What a server's clock showed. It has whole seconds and lags up to two.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reading {
    time: Time,
    at: Instant,
}

impl Reading {
    /// What it shows now: a client's own clock may be set in between, and takes no part in it.
    pub(crate) fn now(&self) -> Time {
        self.time + self.at.elapsed()
    }

    pub(crate) fn age(&self) -> Duration {
        self.at.elapsed()
    }
}

/// Greets a server. Its boot id is in the item of this name.
pub(crate) async fn greet(stream: &mut (impl AsyncBufRead + AsyncWrite + Unpin), mark: &str) -> Result<Peer, Error> {
    send(stream, b"version\r\nstats settings\r\nstats\r\n").await?;
    check_version(&read_line(stream).await?)?;
    let room = room(stream).await?;
    let clock = clock(stream).await?;
    Ok(Peer { boot_id: boot_id(stream, mark).await?, room, clock })
}

/// Reads a server's clock.
pub(crate) async fn ask_time(stream: &mut (impl AsyncBufRead + AsyncWrite + Unpin)) -> Result<Reading, Error> {
    send(stream, b"stats\r\n").await?;
    clock(stream).await
}

async fn send(stream: &mut (impl AsyncWrite + Unpin), command: &[u8]) -> Result<(), Error> {
    stream.write_all(command).await.map_err(lost)?;
    stream.flush().await.map_err(lost)
}

/// A version that is written in another way is taken for a new one.
fn check_version(line: &str) -> Result<(), Error> {
    let version = line.strip_prefix("VERSION ").ok_or_else(|| refused(line))?;
    let numbers: Vec<u32> = version.split('.').map_while(|number| number.parse().ok()).collect();
    if numbers.len() < 3 || numbers[..] >= OLDEST[..] {
        return Ok(());
    }
    let [major, minor, patch] = OLDEST;
    Err(Error::new(ErrorKind::Config, format!("it must be {major}.{minor}.{patch} or later")).because(line))
}

async fn room(stream: &mut (impl AsyncBufRead + Unpin)) -> Result<usize, Error> {
    let (mut largest, mut has_tokens) = (1 << 20, true);
    stats(stream, |name, value| match name {
        "item_size_max" => largest = value.parse().unwrap_or(largest),
        "cas_enabled" => has_tokens = value != "no",
        _ => {}
    })
    .await?;
    if !has_tokens {
        let message = "it was started with -C; without its tokens no session can be kept in it";
        return Err(Error::new(ErrorKind::Config, message));
    }
    Ok(usize::saturating_sub(largest, OVERHEAD))
}

async fn clock(stream: &mut (impl AsyncBufRead + Unpin)) -> Result<Reading, Error> {
    let mut seconds = None;
    stats(stream, |name, value| {
        if name == "time" {
            seconds = value.parse().ok();
        }
    })
    .await?;
    let seconds = seconds.ok_or_else(|| Error::new(ErrorKind::Unavailable, "it does not tell its time (stats)"))?;
    Ok(Reading { time: Time::ZERO + Duration::from_secs(seconds), at: Instant::now() })
}

/// The lines `STAT name value` until `END`.
async fn stats(stream: &mut (impl AsyncBufRead + Unpin), mut each: impl FnMut(&str, &str)) -> Result<(), Error> {
    loop {
        let line = read_line(stream).await?;
        let mut words = line.split(' ');
        match (words.next(), words.next()) {
            (Some("STAT"), Some(name)) => each(name, words.next().unwrap_or_default()),
            (Some("END"), _) => return Ok(()),
            _ => return Err(refused(&line)),
        }
    }
}

async fn boot_id(stream: &mut (impl AsyncBufRead + AsyncWrite + Unpin), mark: &str) -> Result<u64, Error> {
    let new = getrandom::u64().map_err(no_random)?.to_be_bytes();
    for _ in 0..ATTEMPTS {
        send(stream, &wire::get(mark)).await?;
        if let Response::Value(found) = wire::read(stream, 0, 64).await? {
            return Ok(u64::from_be_bytes(found.bytes.try_into().map_err(|_| damaged())?));
        }
        send(stream, &wire::set(mark, &new, 0, When::Absent)).await?;
        wire::read(stream, 0, 64).await?;
    }
    Err(Error::new(ErrorKind::Full, "it evicts at once what is put into it (its option -m)"))
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
