//! The process of the server that a connection was told it has.
//!
//! The driver keeps the number to itself, but for the request that cancels a statement: the number is read from one that
//! is written to nowhere.

use std::future::{Ready, ready};
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream, ReadBuf, duplex};
use tokio_postgres::Client;
use tokio_postgres::tls::{ChannelBinding, TlsConnect, TlsStream};

/// What a message begins with that asks for TLS (protocol, section 55.7).
const SSL_REQUEST: i32 = 80_877_103;

/// 0, which no process has, if the driver did not say.
pub(crate) async fn of(client: &Client) -> i32 {
    let (ours, theirs) = duplex(256);
    let token = client.cancel_token();
    let (_, process) = tokio::join!(token.cancel_query_raw(theirs, InClear), read(ours));
    process.unwrap_or(0)
}

/// Length, code, process, key; before it the question for TLS, if there is to be some.
async fn read(mut stream: DuplexStream) -> io::Result<i32> {
    let (_length, mut code) = (stream.read_i32().await?, stream.read_i32().await?);
    if code == SSL_REQUEST {
        stream.write_all(b"S").await?;
        code = stream.read_i32().await.and(stream.read_i32().await)?;
    }
    let process = stream.read_i32().await?;
    let _ = (code, stream.read_i32().await?);
    Ok(process)
}

/// Stands for TLS on a stream that leads nowhere.
struct InClear;

struct Clear(DuplexStream);

impl TlsConnect<DuplexStream> for InClear {
    type Stream = Clear;
    type Error = io::Error;
    type Future = Ready<io::Result<Clear>>;

    fn connect(self, stream: DuplexStream) -> Self::Future {
        ready(Ok(Clear(stream)))
    }
}

impl TlsStream for Clear {
    fn channel_binding(&self) -> ChannelBinding {
        ChannelBinding::none()
    }
}

impl AsyncRead for Clear {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Clear {
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
