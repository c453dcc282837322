//! memcached's meta protocol, as far as it is needed: `mg`, `ms` and `md`.

use std::io;

use ampoule_core::{Error, ErrorKind};
use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncReadExt};

/// No line that a server sends is longer.
const MAX_LINE: u64 = 4_096;

/// memcached's name for one writing of an item. A server that starts again counts from the beginning, so a token is
/// good only in the life of the server in which it was given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Token {
    pub(crate) cas: u64,
    pub(crate) life: u64,
}

/// Under which condition an item is written.
#[derive(Clone, Copy)]
pub(crate) enum When {
    Always,
    Absent,
    Still(Token),
}

pub(crate) fn get(name: &str) -> Vec<u8> {
    format!("mg {name} v c\r\n").into_bytes()
}

pub(crate) fn set(name: &str, value: &[u8], ttl: u64, when: When) -> Vec<u8> {
    let condition = match when {
        When::Always => String::new(),
        When::Absent => " ME".to_owned(),
        When::Still(token) => format!(" C{}", token.cas),
    };
    let line = format!("ms {name} {} c T{ttl}{condition}\r\n", value.len());
    [line.as_bytes(), value, b"\r\n"].concat()
}

pub(crate) fn delete(name: &str, token: Token) -> Vec<u8> {
    format!("md {name} C{}\r\n", token.cas).into_bytes()
}

/// What a server says to one command.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Said {
    /// A value and its token.
    Value(Vec<u8>, Token),
    /// Done, with the token of what was written.
    Done(Token),
    /// There is no such key.
    Absent,
    /// It is there already.
    Present,
    /// It has another token.
    Changed,
}

/// Reads one answer of a server in this life, with a value of `most` bytes at most. Whatever is no answer ends the
/// connection.
pub(crate) async fn read(stream: &mut (impl AsyncBufRead + Unpin), life: u64, most: usize) -> Result<Said, Error> {
    let line = read_line(stream).await?;
    let mut words = line.split(' ');
    match words.next().unwrap_or_default() {
        "VA" => {
            let size = words.next().and_then(|size| size.parse().ok()).filter(|size| *size <= most);
            let value = read_value(stream, size.ok_or_else(|| nonsense(&line))?).await?;
            Ok(Said::Value(value, token(words, life)))
        }
        "HD" => Ok(Said::Done(token(words, life))),
        "EN" | "NF" => Ok(Said::Absent),
        "NS" => Ok(Said::Present),
        "EX" => Ok(Said::Changed),
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

fn token<'a>(mut flags: impl Iterator<Item = &'a str>, life: u64) -> Token {
    Token { cas: flags.find_map(|flag| flag.strip_prefix('c')?.parse().ok()).unwrap_or(0), life }
}

/// The error for a line that is none of the expected answers.
pub(crate) fn refused(line: &str) -> Error {
    let (kind, what) = if line.contains("too large") {
        (ErrorKind::TooLarge, TOO_LARGE)
    } else if line.contains("out of memory") {
        (ErrorKind::Full, "it has no memory left (its option -m)")
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

    const LIFE: u64 = 5;

    async fn said(mut text: &[u8]) -> Result<Said, ErrorKind> {
        read(&mut text, LIFE, 1_000).await.map_err(|error| error.kind())
    }

    #[tokio::test]
    async fn answers_are_understood() {
        let token = |cas| Token { cas, life: LIFE };
        assert_eq!(said(b"VA 2 c7 t-1\r\nhi\r\n").await, Ok(Said::Value(b"hi".to_vec(), token(7))));
        assert_eq!(said(b"HD c9\r\n").await, Ok(Said::Done(token(9))));
        assert_eq!(said(b"EN\r\n").await, Ok(Said::Absent));
        assert_eq!(said(b"NF c0\r\n").await, Ok(Said::Absent));
        assert_eq!(said(b"NS c0\r\n").await, Ok(Said::Present));
        assert_eq!(said(b"EX c0\r\n").await, Ok(Said::Changed));
    }

    #[tokio::test]
    async fn what_is_no_answer_is_an_error_and_no_hang() {
        let texts = [&b""[..], b"VA", b"VA x c1\r\n", b"VA 1001 c1\r\n", b"VA 5 c1\r\nhi\r\n", b"VA 2 c1\r\nhi!\r\n"];
        for text in texts.into_iter().chain([&b"HTTP/1.1 400\r\n"[..], b"\xff\xfe\r\n", &[b'x'; 10_000]]) {
            assert_eq!(said(text).await, Err(ErrorKind::Unavailable), "{text:?}");
        }
        assert_eq!(said(b"SERVER_ERROR object too large for cache\r\n").await, Err(ErrorKind::TooLarge));
        assert_eq!(said(b"SERVER_ERROR out of memory storing object\r\n").await, Err(ErrorKind::Full));
        assert_eq!(said(b"ERROR Too many open connections\r\n").await, Err(ErrorKind::Unavailable));
    }
}
