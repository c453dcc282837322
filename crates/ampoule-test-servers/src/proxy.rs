//! A proxy that breaks connections in the middle of a reply.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Stands between a client and a server, on a port of its own, and cuts replies short on demand. It lives as long as
/// its process.
pub struct Proxy {
    /// Where to connect instead of the server's port.
    pub port: u16,
    state: Arc<State>,
}

#[derive(Default)]
struct State {
    /// Every so many replies one is cut; 0 for none.
    every: AtomicU64,
    replies: AtomicU64,
    cuts: AtomicU64,
}

impl Proxy {
    /// A proxy to this port of loopback.
    ///
    /// # Errors
    /// Those of listening.
    pub fn to(port: u16) -> std::io::Result<Proxy> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let proxy = Proxy { port: listener.local_addr()?.port(), state: Arc::default() };
        let state = Arc::clone(&proxy.state);
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                if let Ok(server) = TcpStream::connect((Ipv4Addr::LOCALHOST, port)) {
                    join(client, server, &state);
                }
            }
        });
        Ok(proxy)
    }

    /// From now on every so many packets of replies one arrives by half, and its connection is reset. 0 for none.
    pub fn cut_every(&self, replies: u64) {
        self.state.every.store(replies, Ordering::Relaxed);
    }

    /// How many replies were cut.
    pub fn cuts(&self) -> u64 {
        self.state.cuts.load(Ordering::Relaxed)
    }
}

fn join(client: TcpStream, server: TcpStream, state: &Arc<State>) {
    let (Ok(client_side), Ok(server_side)) = (client.try_clone(), server.try_clone()) else { return };
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    std::thread::spawn(move || pass(client_side, server_side, |_| None));
    let state = Arc::clone(state);
    std::thread::spawn(move || {
        pass(server, client, |size| {
            let every = state.every.load(Ordering::Relaxed);
            if every == 0 || state.replies.fetch_add(1, Ordering::Relaxed) % every != every - 1 {
                return None;
            }
            state.cuts.fetch_add(1, Ordering::Relaxed);
            Some(size / 2)
        });
    });
}

/// Passes bytes on until one side ends, or a packet is to be cut to fewer bytes.
fn pass(mut from: TcpStream, mut to: TcpStream, cut: impl Fn(usize) -> Option<usize>) {
    let mut buffer = vec![0; 64 << 10];
    while let Ok(size @ 1..) = from.read(&mut buffer) {
        let keep = cut(size);
        if to.write_all(&buffer[..keep.unwrap_or(size)]).is_err() || keep.is_some() {
            break;
        }
    }
    let _ = (from.shutdown(Shutdown::Both), to.shutdown(Shutdown::Both));
}
