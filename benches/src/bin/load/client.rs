//! One connection of HTTP/1.1, for requests one after the other: as little between the clock and the server as can be.
//!
//! Understands what this server sends for short answers, which have a length; anything else is an error.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use crate::Outcome;

/// No answer takes longer, except that of a snapshot at a low rate.
const TIMEOUT: Duration = Duration::from_secs(600);
/// The longest answer that is read, in bytes.
const ANSWER_LEN_MAX: usize = 64 << 20;

/// A connection.
pub(crate) struct Client {
    stream: BufReader<TcpStream>,
    request: Vec<u8>,
}

impl Client {
    pub(crate) fn connect(address: SocketAddr) -> Outcome<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(TIMEOUT))?;
        Ok(Self { stream: BufReader::new(stream), request: Vec::new() })
    }

    /// Sends a request and reads the answer, which has to be a success.
    pub(crate) fn send(&mut self, method: &str, path: &str, body: &str) -> Outcome<Vec<u8>> {
        self.request.clear();
        write!(
            self.request,
            "{method} {path} HTTP/1.1\r\nhost: load\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        )?;
        self.stream.get_mut().write_all(&self.request)?;
        let (status, len) = self.head()?;
        let mut answer = vec![0; len];
        self.stream.read_exact(&mut answer)?;
        match status.contains(" 200 ") {
            true => Ok(answer),
            false => Err(format!("{method} {path}: {} {}", status.trim(), String::from_utf8_lossy(&answer)).into()),
        }
    }

    /// The first line of an answer, and the length of its body.
    fn head(&mut self) -> Outcome<(String, usize)> {
        let (mut status, mut line) = (String::new(), String::new());
        self.stream.read_line(&mut status)?;
        let mut len = None;
        loop {
            line.clear();
            if self.stream.read_line(&mut line)? == 0 {
                return Err("the connection ended in the head of an answer".into());
            }
            match line.trim_end().split_once(':') {
                None => break,
                Some((name, value)) if name.eq_ignore_ascii_case("content-length") => len = Some(value.trim().parse()?),
                Some(_) => {}
            }
        }
        match len {
            Some(len) if len <= ANSWER_LEN_MAX => Ok((status, len)),
            _ => Err(format!("an answer of length {len:?}: {status}").into()),
        }
    }
}
