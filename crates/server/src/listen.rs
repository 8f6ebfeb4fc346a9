//! Takes a port, and later listens on it.
//!
//! The two are apart so that a port that is not free is found before anything is restored, and yet no client is connected before
//! everything is.

use std::io;
use std::net::SocketAddr;

use tokio::net::{TcpListener, TcpSocket, lookup_host};

/// Connections that wait to be accepted.
const BACKLOG: u32 = 1024;

/// A port that belongs to this process.
#[derive(Debug)]
pub(crate) struct Port {
    socket: TcpSocket,
    address: String,
    /// The setting that it comes from.
    key: &'static str,
}

/// Why nobody can be answered.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ListenError {
    /// Somebody else has the port.
    #[error("{address} is in use by another process; stop it, or choose another port (`{key}`)")]
    InUse {
        /// The address.
        address: String,
        /// The setting that says so.
        key: &'static str,
    },
    /// The address cannot be listened on.
    #[error("cannot listen on {address}")]
    Other {
        /// The address.
        address: String,
        /// The system's error.
        source: io::Error,
    },
}

impl Port {
    /// Takes the port that the setting `key` says, on the first of the host's addresses where that is possible.
    pub(crate) async fn take(host: &str, port: u16, key: &'static str) -> Result<Self, ListenError> {
        let address = format!("{host}:{port}");
        match bind(host, port).await {
            Ok(socket) => Ok(Self { socket, address, key }),
            Err(source) => Err(failed(address, key, source)),
        }
    }

    /// Lets clients connect.
    pub(crate) fn listen(self) -> Result<TcpListener, ListenError> {
        self.socket.listen(BACKLOG).map_err(|source| failed(self.address, self.key, source))
    }
}

fn failed(address: String, key: &'static str, source: io::Error) -> ListenError {
    match source.kind() {
        io::ErrorKind::AddrInUse => ListenError::InUse { address, key },
        _ => ListenError::Other { address, source },
    }
}

async fn bind(host: &str, port: u16) -> io::Result<TcpSocket> {
    let mut failure = io::Error::new(io::ErrorKind::AddrNotAvailable, "the host has no address");
    for address in lookup_host((host, port)).await? {
        match bind_one(address) {
            Ok(socket) => return Ok(socket),
            Err(error) => failure = error,
        }
    }
    Err(failure)
}

fn bind_one(address: SocketAddr) -> io::Result<TcpSocket> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    // Otherwise a restarted server would wait for the connections of the one before.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_port_that_somebody_listens_on_is_not_free() {
        let first = Port::take("127.0.0.1", 0, "service.http_port").await.unwrap().listen().unwrap();
        let port = first.local_addr().unwrap().port();
        let error = Port::take("127.0.0.1", port, "manager.port").await.unwrap_err();
        assert!(matches!(&error, ListenError::InUse { .. }) && error.to_string().contains("`manager.port`"), "{error}");
        drop(first);
        assert!(Port::take("127.0.0.1", port, "manager.port").await.unwrap().listen().is_ok());
    }
}
