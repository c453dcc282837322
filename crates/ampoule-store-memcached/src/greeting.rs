//! What is said first on a connection: which memcached it is, how it was started, and which of its lives this is.
//!
//! A server that starts again has forgotten all items and counts its tokens from the beginning: the same token may then
//! name another writing. So each life of a server is marked by an item with a random number, which ends with it. Should
//! memcached evict the mark, a new one is made, and tokens from before it are read again: that costs a command each.

use ampoule_core::{Error, ErrorKind};
use tokio::io::{AsyncBufRead, AsyncWrite, AsyncWriteExt};

use crate::format::damaged;
use crate::no_random;
use crate::wire::{self, Said, When, lost, read_line, refused};

/// Earlier ones have no working `md` with a token.
const OLDEST: [u32; 3] = [1, 6, 13];

/// What memcached needs of an item besides name and value: 59 bytes were measured.
const OVERHEAD: usize = 64;

/// How often a mark is looked for that is evicted as soon as it is made.
const ATTEMPTS: u32 = 8;

/// The server at the other end of a connection.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Peer {
    pub(crate) life: u64,
    /// How many bytes the name and the value of an item may have together. What is larger must not be sent: memcached
    /// then removes the item that was there.
    pub(crate) room: usize,
}

/// Greets a server. Its life is marked by the item of this name.
pub(crate) async fn greet(stream: &mut (impl AsyncBufRead + AsyncWrite + Unpin), mark: &str) -> Result<Peer, Error> {
    send(stream, b"version\r\nstats settings\r\n").await?;
    check_version(&read_line(stream).await?)?;
    let room = room(stream).await?;
    Ok(Peer { life: life(stream, mark).await?, room })
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

/// From the lines `STAT name value` until `END`.
async fn room(stream: &mut (impl AsyncBufRead + Unpin)) -> Result<usize, Error> {
    let mut largest = 1 << 20;
    loop {
        let line = read_line(stream).await?;
        let mut words = line.split(' ');
        match (words.next(), words.next(), words.next()) {
            (Some("STAT"), Some("item_size_max"), Some(size)) => largest = size.parse().unwrap_or(largest),
            (Some("STAT"), Some("cas_enabled"), Some("no")) => {
                let message = "it was started with -C; without its tokens no session can be kept in it";
                return Err(Error::new(ErrorKind::Config, message));
            }
            (Some("STAT"), ..) => {}
            (Some("END"), ..) => return Ok(usize::saturating_sub(largest, OVERHEAD)),
            _ => return Err(refused(&line)),
        }
    }
}

async fn life(stream: &mut (impl AsyncBufRead + AsyncWrite + Unpin), mark: &str) -> Result<u64, Error> {
    let new = getrandom::u64().map_err(no_random)?.to_be_bytes();
    for _ in 0..ATTEMPTS {
        send(stream, &wire::get(mark)).await?;
        if let Said::Value(bytes, _) = wire::read(stream, 0, 64).await? {
            return Ok(u64::from_be_bytes(bytes.try_into().map_err(|_| damaged())?));
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
