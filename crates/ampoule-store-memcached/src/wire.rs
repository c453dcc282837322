//! memcached's meta protocol, as far as it is needed: `mg`, `ms` and `md`.

use std::io;

use ampoule_core::{Error, ErrorKind};
use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncReadExt};

/// In place of a number of seconds.
pub(crate) const FOR_EVER: u64 = u64::MAX;

/// No line that a server sends is longer.
const MAX_LINE: u64 = 4_096;

/// memcached's name for one writing of an item. A server that starts again counts from the beginning, so a token is
/// good only for the server as it was started then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Token {
    pub(crate) cas: u64,
    pub(crate) boot_id: u64,
}

/// Under which condition an item is written.
#[derive(Clone, Copy)]
pub(crate) enum When {
    Always,
    Absent,
    Still(Token),
}

pub(crate) fn get(name: &str) -> Vec<u8> {
    format!("mg {name} v c t\r\n").into_bytes()
}

/// `exptime` is in seconds or a moment, 0 for ever.
pub(crate) fn set(name: &str, value: &[u8], exptime: u64, when: When) -> Vec<u8> {
    let condition = match when {
        When::Always => String::new(),
        When::Absent => " ME".to_owned(),
        When::Still(token) => format!(" C{}", token.cas),
    };
    let line = format!("ms {name} {} c T{exptime}{condition}\r\n", value.len());
    [line.as_bytes(), value, b"\r\n"].concat()
}

pub(crate) fn delete(name: &str, token: Token) -> Vec<u8> {
    format!("md {name} C{}\r\n", token.cas).into_bytes()
}

/// What a server answers to one command.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Response {
    Value(Found),
    /// Done, with the token of what was written.
    Done(Token),
    /// There is no such key.
    Absent,
    /// It is there already.
    Present,
    /// It has another token.
    Changed,
}

/// An item.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) bytes: Vec<u8>,
    pub(crate) token: Token,
    /// For how many seconds it is still kept; [`FOR_EVER`] where it has no time to live.
    pub(crate) left: u64,
}

/// Reads one answer of a server as it was started now, with a value of `most` bytes at most. Whatever is no answer ends
/// the connection.
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
            let bytes = read_value(stream, size.ok_or_else(|| nonsense(&line))?).await?;
            let left = words.clone().find_map(|flag| flag.strip_prefix('t'));
            let left = left.map_or(0, |left| left.parse().unwrap_or(FOR_EVER));
            Ok(Response::Value(Found { bytes, token: token(words, boot_id), left }))
        }
        "HD" => Ok(Response::Done(token(words, boot_id))),
        "EN" | "NF" => Ok(Response::Absent),
        "NS" => Ok(Response::Present),
        "EX" => Ok(Response::Changed),
        _ => Err(refused(&line)),
    }
}

async fn read_value(stream: &mut (impl AsyncBufRead + Unpin), size: usize) -> Result<Vec<u8>, Error> {
    let mut value = vec![0; size + 2];
    stream.read_exact(&mut value).await.map_err(lost)?;
    let whole = value.ends_with(b"\r\n");
    value.truncate(size);
    if whole { Ok(value) } else { Err(nonsense("a value of another length than was said")) }
}

/// A line without its end, which is a bare line feed in lists of keys.
pub(crate) async fn read_line(stream: &mut (impl AsyncBufRead + Unpin)) -> Result<String, Error> {
    let mut line = Vec::new();
    stream.take(MAX_LINE).read_until(b'\n', &mut line).await.map_err(lost)?;
    match line.strip_suffix(b"\n") {
        Some(text) => {
            let text = text.strip_suffix(b"\r").unwrap_or(text).to_vec();
            String::from_utf8(text).map_err(|_| nonsense("a line that is no text"))
        }
        None if line.len() < MAX_LINE as usize => Err(lost(io::ErrorKind::UnexpectedEof.into())),
        None => Err(nonsense("a line without an end")),
    }
}

fn token<'a>(mut flags: impl Iterator<Item = &'a str>, boot_id: u64) -> Token {
    Token { cas: flags.find_map(|flag| flag.strip_prefix('c')?.parse().ok()).unwrap_or(0), boot_id }
}

/// The error for a line that is none of the expected answers.
pub(crate) fn refused(line: &str) -> Error {
    let (kind, what) = if line.contains("too large") {
        (ErrorKind::TooLarge, TOO_LARGE)
    } else if line.contains("out of memory") {
        (ErrorKind::Full, "it has no memory left (its option -m)")
    } else if line.contains("unauthenticated") {
        (
            ErrorKind::Config,
            "it takes commands only after a login (its option -Y), and this store sends none: start it without",
        )
    } else if ["SERVER_ERROR", "CLIENT_ERROR", "ERROR"].iter().any(|word| line.starts_with(word)) {
        (ErrorKind::Unavailable, "it refused a command")
    } else {
        return nonsense(line);
    };
    Error::new(kind, what).because(shortened(line))
}

pub(crate) const TOO_LARGE: &str = "a value is larger than it takes (its option -I)";

fn nonsense(line: &str) -> Error {
    Error::new(ErrorKind::Unavailable, "what answers there does not speak memcached's protocol")
        .because(shortened(line))
}

fn shortened(line: &str) -> String {
    line.chars().filter(|character| !character.is_control()).take(80).collect()
}

/// The connection is gone, or never was.
pub(crate) fn lost(cause: io::Error) -> Error {
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
        for (flags, left) in [("c7 t-1", FOR_EVER), ("c7 t60", 60), ("t0 c7", 0), ("c7", 0)] {
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
    async fn what_is_no_answer_is_an_error_and_no_hang() {
        let texts = [&b""[..], b"VA", b"VA x c1\r\n", b"VA 1001 c1\r\n", b"VA 5 c1\r\nhi\r\n", b"VA 2 c1\r\nhi!\r\n"];
        for text in texts.into_iter().chain([&b"HTTP/1.1 400\r\n"[..], b"\xff\xfe\r\n", &[b'x'; 10_000]]) {
            assert_eq!(response(text).await, Err(ErrorKind::Unavailable), "{text:?}");
        }
        assert_eq!(response(b"SERVER_ERROR object too large for cache\r\n").await, Err(ErrorKind::TooLarge));
        assert_eq!(response(b"SERVER_ERROR out of memory storing object\r\n").await, Err(ErrorKind::Full));
        assert_eq!(response(b"ERROR Too many open connections\r\n").await, Err(ErrorKind::Unavailable));
    }
}
