//! A proxy that breaks connections in the middle of a response.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// A proxy between a client and a server, on a port of its own, which truncates responses on demand. It runs until its
/// process ends.
pub struct Proxy {
    /// The port that clients connect to instead of the server's.
    pub port: u16,
    state: Arc<State>,
}

#[derive(Default)]
struct State {
    /// The interval, in responses, at which one is truncated; 0 for never.
    every: AtomicU64,
    responses: AtomicU64,
    cuts: AtomicU64,
}

impl Proxy {
    /// Starts a proxy to this port of loopback.
    ///
    /// # Errors
    /// Any error of opening a port to listen on.
    pub fn to(port: u16) -> std::io::Result<Proxy> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let proxy = Proxy { port: listener.local_addr()?.port(), state: Arc::default() };
        let state = Arc::clone(&proxy.state);
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                if let Ok(server) = TcpStream::connect((Ipv4Addr::LOCALHOST, port)) {
                    connect(client, server, &state);
                }
            }
        });
        Ok(proxy)
    }

    /// Truncates one in this many responses from now on: half of its packet is forwarded, and its connection is closed.
    /// 0 for none.
    pub fn cut_every(&self, responses: u64) {
        self.state.every.store(responses, Ordering::Relaxed);
    }

    /// Returns how many responses were truncated.
    pub fn cuts(&self) -> u64 {
        self.state.cuts.load(Ordering::Relaxed)
    }
}

fn connect(client: TcpStream, server: TcpStream, state: &Arc<State>) {
    let (Ok(client_side), Ok(server_side)) = (client.try_clone(), server.try_clone()) else { return };
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    std::thread::spawn(move || forward(client_side, server_side, |_| None));
    let state = Arc::clone(state);
    std::thread::spawn(move || {
        forward(server, client, |size| {
            let every = state.every.load(Ordering::Relaxed);
            if every == 0 || state.responses.fetch_add(1, Ordering::Relaxed) % every != every - 1 {
                return None;
            }
            state.cuts.fetch_add(1, Ordering::Relaxed);
            Some(size / 2)
        });
    });
}

/// Forwards bytes until one side closes. `cut` returns to how many bytes a packet is truncated, if it is; then both
/// sides are closed.
fn forward(mut from: TcpStream, mut to: TcpStream, cut: impl Fn(usize) -> Option<usize>) {
    let mut buffer = vec![0; 64 << 10];
    while let Ok(size @ 1..) = from.read(&mut buffer) {
        let keep = cut(size);
        if to.write_all(&buffer[..keep.unwrap_or(size)]).is_err() || keep.is_some() {
            break;
        }
    }
    let _ = (from.shutdown(Shutdown::Both), to.shutdown(Shutdown::Both));
}
