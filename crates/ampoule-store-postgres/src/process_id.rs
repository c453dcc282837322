//! The id of the server process that serves a connection, as the server announced it.
//!
//! The driver does not expose the id, but writes it into each cancel request. So a cancel request is written to an
//! in-memory stream, and the id is read from it.

use std::future::{Ready, ready};
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream, ReadBuf, duplex};
use tokio_postgres::Client;
use tokio_postgres::tls::{ChannelBinding, TlsConnect, TlsStream};

/// The code of a message that requests TLS (PostgreSQL's frontend/backend protocol, message formats, `SSLRequest`).
const SSL_REQUEST: i32 = 80_877_103;

/// Returns the process id of a connection, or 0, which no process has, if it cannot be read.
pub(crate) async fn of(client: &Client) -> i32 {
    let (reader, writer) = duplex(256);
    let token = client.cancel_token();
    let (_, process) = tokio::join!(token.cancel_query_raw(writer, FakeTls), read_process_id(reader));
    process.unwrap_or(0)
}

/// Reads a cancel request: length, code, process id, key. A request for TLS may precede it, and is granted.
async fn read_process_id(mut stream: DuplexStream) -> io::Result<i32> {
    let (_length, mut code) = (stream.read_i32().await?, stream.read_i32().await?);
    if code == SSL_REQUEST {
        stream.write_all(b"S").await?;
        code = stream.read_i32().await.and(stream.read_i32().await)?;
    }
    let process = stream.read_i32().await?;
    let _ = (code, stream.read_i32().await?);
    Ok(process)
}

/// A connector that encrypts nothing, for a connection whose driver requires TLS.
struct FakeTls;

struct FakeTlsStream(DuplexStream);

impl TlsConnect<DuplexStream> for FakeTls {
    type Stream = FakeTlsStream;
    type Error = io::Error;
    type Future = Ready<io::Result<FakeTlsStream>>;

    fn connect(self, stream: DuplexStream) -> Self::Future {
        ready(Ok(FakeTlsStream(stream)))
    }
}

impl TlsStream for FakeTlsStream {
    fn channel_binding(&self) -> ChannelBinding {
        ChannelBinding::none()
    }
}

impl AsyncRead for FakeTlsStream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buffer)
    }
}

impl AsyncWrite for FakeTlsStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}
