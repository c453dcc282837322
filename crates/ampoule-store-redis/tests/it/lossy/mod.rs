//! A proxy that loses a response of the server.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// How many responses to forward before one is lost, and what to do when it is lost.
pub(crate) type Loss = Option<(u32, Box<dyn FnOnce() + Send>)>;

/// A proxy that loses one response on demand, and closes its connection.
pub(crate) struct LossyProxy {
    pub(crate) port: u16,
    pub(crate) armed: Arc<Mutex<Loss>>,
}

impl LossyProxy {
    pub(crate) fn start(port: u16, armed: Arc<Mutex<Loss>>) -> LossyProxy {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let proxy = LossyProxy { port: listener.local_addr().unwrap().port(), armed };
        let armed = Arc::clone(&proxy.armed);
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let Ok(server) = TcpStream::connect(("127.0.0.1", port)) else { continue };
                let (to_server, to_client) = (server.try_clone().unwrap(), client.try_clone().unwrap());
                std::thread::spawn(move || forward(client, to_server, &Mutex::default()));
                let armed = Arc::clone(&armed);
                std::thread::spawn(move || forward(server, to_client, &armed));
            }
        });
        proxy
    }

    /// Loses the server's next response, or one after it, and calls `meanwhile` before it closes the connection.
    pub(crate) fn lose_response(&self, after: u32, meanwhile: impl FnOnce() + Send + 'static) {
        *self.armed.lock().unwrap() = Some((after, Box::new(meanwhile)));
    }

    pub(crate) fn has_lost_response(&self) -> bool {
        self.armed.lock().unwrap().is_none()
    }
}

fn forward(mut from: TcpStream, mut to: TcpStream, armed: &Mutex<Loss>) {
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
