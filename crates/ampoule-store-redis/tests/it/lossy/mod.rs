//! A proxy that loses a reply.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// How many replies come through before one is lost, and what is done then.
pub(crate) type Loss = Option<(u32, Box<dyn FnOnce() + Send>)>;

/// A proxy that loses one reply on demand, together with its connection.
pub(crate) struct Lossy {
    pub(crate) port: u16,
    pub(crate) armed: Arc<Mutex<Loss>>,
}

impl Lossy {
    pub(crate) fn to(port: u16, armed: Arc<Mutex<Loss>>) -> Lossy {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let proxy = Lossy { port: listener.local_addr().unwrap().port(), armed };
        let armed = Arc::clone(&proxy.armed);
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let Ok(server) = TcpStream::connect(("127.0.0.1", port)) else { continue };
                let (to_server, to_client) = (server.try_clone().unwrap(), client.try_clone().unwrap());
                std::thread::spawn(move || pass(client, to_server, &Mutex::default()));
                let armed = Arc::clone(&armed);
                std::thread::spawn(move || pass(server, to_client, &armed));
            }
        });
        proxy
    }

    /// What the server says next, or after so many replies, is lost after this has been done.
    pub(crate) fn lose_a_reply(&self, after: u32, meanwhile: impl FnOnce() + Send + 'static) {
        *self.armed.lock().unwrap() = Some((after, Box::new(meanwhile)));
    }

    pub(crate) fn has_lost_it(&self) -> bool {
        self.armed.lock().unwrap().is_none()
    }
}

fn pass(mut from: TcpStream, mut to: TcpStream, armed: &Mutex<Loss>) {
    let mut buffer = vec![0; 64 << 10];
    while let Ok(size @ 1..) = from.read(&mut buffer) {
        let loss = armed.lock().unwrap().take();
        match loss {
            Some((0, meanwhile)) => {
                meanwhile();
                break;
            }
            Some((after, meanwhile)) => *armed.lock().unwrap() = Some((after - 1, meanwhile)),
            None => {}
        }
        if to.write_all(&buffer[..size]).is_err() {
            break;
        }
    }
    let _ = (from.shutdown(Shutdown::Both), to.shutdown(Shutdown::Both));
}
