//! A server on the loopback that gives prepared answers, one a connection, and notes what it was asked.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU16, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// The longest head of a request that is read.
const HEAD_MAX: usize = 64 * 1024;
/// After this time a client that neither writes nor closes is given up.
const PATIENCE: Duration = Duration::from_secs(60);

/// What is sent to one connection.
pub(super) struct Answer {
    bytes: Vec<u8>,
    held: bool,
}

/// The server; dropping it waits for its connections to end.
pub(super) struct Server {
    pub(super) port: u16,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    requests: Mutex<Vec<String>>,
    other: AtomicU16,
    stopped: AtomicBool,
}

impl Answer {
    /// These bytes, then the end of the connection.
    pub(super) fn raw(text: &str) -> Self {
        Self { bytes: text.as_bytes().to_vec(), held: false }
    }

    /// Status 200 with a body.
    pub(super) fn ok(body: &[u8]) -> Self {
        let mut answer = Self::raw(&format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len()));
        answer.bytes.extend_from_slice(body);
        answer
    }

    /// Status 302; `LOCAL` stands for this server, `PORT` for its port, `OTHER` for the one of [`Server::set_other`].
    pub(super) fn redirect(location: &str) -> Self {
        Self::raw(&format!("HTTP/1.1 302 Found\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n"))
    }

    /// Instead of ending the connection, waits for the client to do so.
    pub(super) fn held(self) -> Self {
        Self { held: true, ..self }
    }
}

impl Server {
    /// Starts a server that gives each answer once, in this order.
    pub(super) fn start(answers: Vec<Answer>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let shared = Arc::new(Shared::default());
        let inside = Arc::clone(&shared);
        let thread = thread::spawn(move || {
            for answer in answers {
                let (stream, _) = listener.accept().unwrap();
                if inside.stopped.load(Ordering::SeqCst) {
                    return;
                }
                serve(stream, answer, port, &inside);
            }
        });
        Self { port, shared, thread: Some(thread) }
    }

    pub(super) fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    /// Which server `OTHER` stands for.
    pub(super) fn set_other(&self, port: u16) {
        self.shared.other.store(port, Ordering::SeqCst);
    }

    /// The heads of the requests so far.
    pub(super) fn requests(&self) -> Vec<String> {
        self.shared.requests.lock().unwrap().clone()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.shared.stopped.store(true, Ordering::SeqCst);
        // Wakes the thread if it waits for a connection.
        drop(TcpStream::connect(("127.0.0.1", self.port)));
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
            && !thread::panicking()
        {
            panic!("the server failed");
        }
    }
}

fn serve(mut stream: TcpStream, answer: Answer, port: u16, shared: &Shared) {
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") && head.len() < HEAD_MAX {
        match stream.read(&mut byte) {
            Ok(1) => head.push(byte[0]),
            // No request at all: such as the beginning of TLS, which has no such end.
            _ => break,
        }
        if head.first().is_some_and(|first| !first.is_ascii_uppercase()) {
            break;
        }
    }
    shared.requests.lock().unwrap().push(String::from_utf8_lossy(&head).into_owned());
    let bytes = match std::str::from_utf8(&answer.bytes) {
        Ok(text) => {
            let other = format!("127.0.0.1:{}", shared.other.load(Ordering::SeqCst));
            let local = format!("127.0.0.1:{port}");
            text.replace("LOCAL", &local).replace("OTHER", &other).replace("PORT", &port.to_string()).into_bytes()
        }
        Err(_) => answer.bytes,
    };
    // The client may have gone away; that is its right.
    let sent = stream.write_all(&bytes).is_ok();
    if answer.held && sent {
        let end = stream.read(&mut byte);
        assert!(!matches!(end, Err(ref error) if error.kind() == std::io::ErrorKind::WouldBlock), "the client holds on");
    }
    drop(stream.shutdown(Shutdown::Write));
}
