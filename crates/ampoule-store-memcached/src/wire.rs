//! memcached's meta protocol, as far as it is needed: `mg`, `ms`, `md`, and the list of all keys.

use std::io;

use ampoule_core::{Error, ErrorKind};
use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncReadExt};

/// No line that a server sends is longer, but for the lists of its keys.
const MAX_LINE: u64 = 4_096;

/// Larger than any item.
const MAX_VALUE: usize = 1 << 30;

/// Under which condition an item is written.
#[derive(Clone, Copy)]
pub(crate) enum Mode {
    Add,
    Set,
    /// If its token is this one.
    Cas(u64),
}

pub(crate) fn get(name: &str) -> Vec<u8> {
    format!("mg {name} v c\r\n").into_bytes()
}

pub(crate) fn set(name: &str, value: &[u8], ttl: u64, mode: Mode) -> Vec<u8> {
    let mode = match mode {
        Mode::Add => " ME".to_owned(),
        Mode::Set => String::new(),
        Mode::Cas(cas) => format!(" C{cas}"),
    };
    let mut command = format!("ms {name} {} c T{ttl}{mode}\r\n", value.len()).into_bytes();
    command.extend_from_slice(value);
    command.extend_from_slice(b"\r\n");
    command
}

pub(crate) fn delete(name: &str, cas: Option<u64>) -> Vec<u8> {
    cas.map_or_else(|| format!("md {name}\r\n"), |cas| format!("md {name} C{cas}\r\n")).into_bytes()
}

/// What a server says to one command.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Said {
    /// A value and its token.
    Value(Vec<u8>, u64),
    /// Done, with the token of what was written.
    Done(u64),
    /// There is no such key.
    Absent,
    /// It is there already.
    Present,
    /// It has another token.
    Changed,
}

/// Reads one answer. Whatever is no answer ends the connection.
pub(crate) async fn read(stream: &mut (impl AsyncBufRead + Unpin)) -> Result<Said, Error> {
    let line = read_line(stream, MAX_LINE).await?;
    let mut words = line.split(' ');
    match words.next().unwrap_or_default() {
        "VA" => {
            let size = words.next().and_then(|size| size.parse::<usize>().ok()).filter(|size| *size <= MAX_VALUE);
            let size = size.ok_or_else(|| nonsense(&line))?;
            let mut value = vec![0; size + 2];
            stream.read_exact(&mut value).await.map_err(lost)?;
            if value.split_off(size) != b"\r\n" {
                return Err(nonsense("a value of another length than was said"));
            }
            Ok(Said::Value(value, token(words)))
        }
        "HD" => Ok(Said::Done(token(words))),
        "EN" | "NF" => Ok(Said::Absent),
        "NS" => Ok(Said::Present),
        "EX" => Ok(Said::Changed),
        _ => Err(refused(&line)),
    }
}

/// A line without its end, which is a bare line feed in lists of keys.
pub(crate) async fn read_line(stream: &mut (impl AsyncBufRead + Unpin), most: u64) -> Result<String, Error> {
    let mut line = Vec::new();
    stream.take(most).read_until(b'\n', &mut line).await.map_err(lost)?;
    match line.strip_suffix(b"\n") {
        Some(line) => {
            String::from_utf8(line.strip_suffix(b"\r").unwrap_or(line).to_vec()).map_err(|_| nonsense("no text"))
        }
        None if line.is_empty() => Err(lost(io::ErrorKind::UnexpectedEof.into())),
        None => Err(nonsense("a line without an end")),
    }
}

fn token<'a>(mut flags: impl Iterator<Item = &'a str>) -> u64 {
    flags.find_map(|flag| flag.strip_prefix('c')?.parse().ok()).unwrap_or(0)
}

/// The error for an answer that is an error of the server's.
pub(crate) fn refused(line: &str) -> Error {
    let (kind, what) = if line.contains("too large") {
        (ErrorKind::TooLarge, "a value is larger than memcached takes (its option -I)")
    } else if line.contains("out of memory") {
        (ErrorKind::Full, "memcached has no memory left for sessions")
    } else if ["SERVER_ERROR", "CLIENT_ERROR", "ERROR"].iter().any(|word| line.starts_with(word)) {
        (ErrorKind::Unavailable, "memcached refused a command; it must be 1.6.10 or later")
    } else {
        return nonsense(line);
    };
    Error::new(kind, what).because(shortened(line))
}

fn nonsense(line: &str) -> Error {
    Error::new(ErrorKind::Unavailable, "what answers does not speak memcached's protocol").because(shortened(line))
}

fn shortened(line: &str) -> String {
    line.chars().filter(|character| !character.is_control()).take(80).collect()
}

/// The connection is gone, or never was.
pub(crate) fn lost(cause: io::Error) -> Error {
    Error::new(ErrorKind::Unavailable, "memcached cannot be reached").because(cause)
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn said(text: &[u8]) -> Result<Said, ErrorKind> {
        let mut stream = text;
        read(&mut stream).await.map_err(|error| error.kind())
    }

    #[tokio::test]
    async fn answers_are_understood() {
        assert_eq!(said(b"VA 2 c7 t-1\r\nhi\r\n").await, Ok(Said::Value(b"hi".to_vec(), 7)));
        assert_eq!(said(b"HD c9\r\n").await, Ok(Said::Done(9)));
        assert_eq!(said(b"EN\r\n").await, Ok(Said::Absent));
        assert_eq!(said(b"NF\r\n").await, Ok(Said::Absent));
        assert_eq!(said(b"NS c0\r\n").await, Ok(Said::Present));
        assert_eq!(said(b"EX\r\n").await, Ok(Said::Changed));
    }

    #[tokio::test]
    async fn what_is_no_answer_is_an_error_and_no_hang() {
        for text in
            [&b""[..], b"VA", b"VA x c1\r\n", b"VA 99999999999 c1\r\n", b"VA 5 c1\r\nhi\r\n", b"HTTP/1.1 400\r\n"]
        {
            assert_eq!(said(text).await, Err(ErrorKind::Unavailable), "{text:?}");
        }
        assert_eq!(said(b"SERVER_ERROR object too large for cache\r\n").await, Err(ErrorKind::TooLarge));
        assert_eq!(said(b"SERVER_ERROR out of memory storing object\r\n").await, Err(ErrorKind::Full));
        assert_eq!(said(&[b'x'; 10_000]).await, Err(ErrorKind::Unavailable));
    }
}
