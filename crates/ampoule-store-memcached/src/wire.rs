//! The part of memcached's meta protocol that the store needs: `mg`, `ms` and `md`.

use std::io;

use ampoule_core::{Error, ErrorKind};
use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncReadExt};

/// The time to live of an item that never expires.
pub(crate) const NO_EXPIRY: u64 = u64::MAX;

/// The maximum length of a line in bytes; a server sends no longer one.
const MAX_LINE: u64 = 4_096;

/// memcached's name for one write of an item. A server that restarts counts from the beginning, so a token is valid for
/// one run of the server only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Token {
    pub(crate) cas: u64,
    pub(crate) boot_id: u64,
}

/// The condition under which an item is written.
#[derive(Clone, Copy)]
pub(crate) enum Condition {
    Always,
    Absent,
    HasToken(Token),
}

pub(crate) fn get(name: &str) -> Vec<u8> {
    format!("mg {name} v c t\r\n").into_bytes()
}

/// `exptime` is in seconds or a timestamp, 0 for no expiry.
pub(crate) fn set(name: &str, value: &[u8], exptime: u64, when: Condition) -> Vec<u8> {
    let condition = match when {
        Condition::Always => String::new(),
        Condition::Absent => " ME".to_owned(),
        Condition::HasToken(token) => format!(" C{}", token.cas),
    };
    let line = format!("ms {name} {} c T{exptime}{condition}\r\n", value.len());
    [line.as_bytes(), value, b"\r\n"].concat()
}

pub(crate) fn delete(name: &str, token: Token) -> Vec<u8> {
    format!("md {name} C{}\r\n", token.cas).into_bytes()
}

/// The answer to one command.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Response {
    Value(Found),
    /// The command was done; for a write, with the item's new token.
    Done(Token),
    /// There is no such key.
    Absent,
    /// The key exists already.
    Present,
    /// The item has another token.
    Changed,
}

/// An item as it was read.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) bytes: Vec<u8>,
    pub(crate) token: Token,
    /// The remaining time to live in seconds; [`NO_EXPIRY`] for an item that never expires.
    pub(crate) left: u64,
}

/// Reads one answer from this run of a server, with a value of at most `most` bytes. Any other text is an error, which
/// ends the connection.
pub(crate) async fn read(
    stream: &mut (impl AsyncBufRead + Unpin),
    boot_id: u64,
    most: usize,
) -> Result<Response, Error> {
    let line = read_line(stream).await?;
    let mut words = line.split(' ');
    match words.next().unwrap_or_default() {
        "VA" => {
            let size = words.next().and_then(|size| size.parse().ok()).filter(|size| *size <= most);
            let bytes = read_value(stream, size.ok_or_else(|| protocol_error(&line))?).await?;
            let left = words.clone().find_map(|flag| flag.strip_prefix('t'));
            let left = left.map_or(0, |left| left.parse().unwrap_or(NO_EXPIRY));
            Ok(Response::Value(Found { bytes, token: token(words, boot_id), left }))
        }
        "HD" => Ok(Response::Done(token(words, boot_id))),
        "EN" | "NF" => Ok(Response::Absent),
        "NS" => Ok(Response::Present),
        "EX" => Ok(Response::Changed),
        _ => Err(error_of_line(&line)),
    }
}

async fn read_value(stream: &mut (impl AsyncBufRead + Unpin), size: usize) -> Result<Vec<u8>, Error> {
    let mut value = vec![0; size + 2];
    stream.read_exact(&mut value).await.map_err(connection_lost)?;
    let whole = value.ends_with(b"\r\n");
    value.truncate(size);
    if whole { Ok(value) } else { Err(protocol_error("a value of another length than announced")) }
}

/// Reads a line and removes its end, which is a bare line feed in lists of keys.
pub(crate) async fn read_line(stream: &mut (impl AsyncBufRead + Unpin)) -> Result<String, Error> {
    let mut line = Vec::new();
    stream.take(MAX_LINE).read_until(b'\n', &mut line).await.map_err(connection_lost)?;
    match line.strip_suffix(b"\n") {
        Some(text) => {
            let text = text.strip_suffix(b"\r").unwrap_or(text).to_vec();
            String::from_utf8(text).map_err(|_| protocol_error("a line that is not UTF-8"))
        }
        None if line.len() < MAX_LINE as usize => Err(connection_lost(io::ErrorKind::UnexpectedEof.into())),
        None => Err(protocol_error("a line without an end")),
    }
}

fn token<'a>(mut flags: impl Iterator<Item = &'a str>, boot_id: u64) -> Token {
    Token { cas: flags.find_map(|flag| flag.strip_prefix('c')?.parse().ok()).unwrap_or(0), boot_id }
}

/// Returns the error for a line that is not an expected answer.
pub(crate) fn error_of_line(line: &str) -> Error {
    let (kind, what) = if line.contains("too large") {
        (ErrorKind::TooLarge, TOO_LARGE)
    } else if line.contains("out of memory") {
        (ErrorKind::Full, "it is out of memory (its option -m)")
    } else if line.contains("unauthenticated") {
        (ErrorKind::Config, "it requires a login (its option -Y), which this store does not support: start it without")
    } else if ["SERVER_ERROR", "CLIENT_ERROR", "ERROR"].iter().any(|word| line.starts_with(word)) {
        (ErrorKind::Unavailable, "it rejected a command")
    } else {
        return protocol_error(line);
    };
    Error::new(kind, what).because(excerpt(line))
}

pub(crate) const TOO_LARGE: &str = "the value is larger than the server's maximum (its option -I)";

fn protocol_error(line: &str) -> Error {
    Error::new(ErrorKind::Unavailable, "the server does not speak memcached's protocol").because(excerpt(line))
}

fn excerpt(line: &str) -> String {
    line.chars().filter(|character| !character.is_control()).take(80).collect()
}

/// Returns the error of a connection that broke, or was never made.
pub(crate) fn connection_lost(cause: io::Error) -> Error {
    Error::new(ErrorKind::Unavailable, "it cannot be reached").because(cause)
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOOT_ID: u64 = 5;

    async fn response(mut text: &[u8]) -> Result<Response, ErrorKind> {
        read(&mut text, BOOT_ID, 1_000).await.map_err(|error| error.kind())
    }

    #[tokio::test]
    async fn answers_are_understood() {
        let token = |cas| Token { cas, boot_id: BOOT_ID };
        for (flags, left) in [("c7 t-1", NO_EXPIRY), ("c7 t60", 60), ("t0 c7", 0), ("c7", 0)] {
            let found = Found { bytes: b"hi".to_vec(), token: token(7), left };
            let text = format!("VA 2 {flags}\r\nhi\r\n");
            assert_eq!(response(text.as_bytes()).await, Ok(Response::Value(found)), "{flags}");
        }
        assert_eq!(response(b"HD c9\r\n").await, Ok(Response::Done(token(9))));
        assert_eq!(response(b"EN\r\n").await, Ok(Response::Absent));
        assert_eq!(response(b"NF c0\r\n").await, Ok(Response::Absent));
        assert_eq!(response(b"NS c0\r\n").await, Ok(Response::Present));
        assert_eq!(response(b"EX c0\r\n").await, Ok(Response::Changed));
    }

    #[tokio::test]
    async fn an_unexpected_text_is_an_error_and_does_not_hang() {
        let texts = [&b""[..], b"VA", b"VA x c1\r\n", b"VA 1001 c1\r\n", b"VA 5 c1\r\nhi\r\n", b"VA 2 c1\r\nhi!\r\n"];
        for text in texts.into_iter().chain([&b"HTTP/1.1 400\r\n"[..], b"\xff\xfe\r\n", &[b'x'; 10_000]]) {
            assert_eq!(response(text).await, Err(ErrorKind::Unavailable), "{text:?}");
        }
        assert_eq!(response(b"SERVER_ERROR object too large for cache\r\n").await, Err(ErrorKind::TooLarge));
        assert_eq!(response(b"SERVER_ERROR out of memory storing object\r\n").await, Err(ErrorKind::Full));
        assert_eq!(response(b"ERROR Too many open connections\r\n").await, Err(ErrorKind::Unavailable));
    }
}
