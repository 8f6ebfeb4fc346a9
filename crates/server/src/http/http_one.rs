//! Lets only HTTP/1 through, and only if it comes in time.
//!
//! The library that serves connections decides by their first bytes which version of HTTP they speak, waits for those bytes without an
//! end, and takes version 2 too, whose limits nobody has set here. So a connection is closed that begins like version 2, and one that
//! has not shown after some time that it does not. (Source: the preface of RFC 9113, §3.4; no method of HTTP/1 begins like it.)

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum_server::accept::Accept;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};

/// How version 2 begins, as far as it is needed to tell it.
const PREFACE: &[u8] = b"PRI ";

/// Accepts what another acceptor does.
#[derive(Debug, Clone)]
pub(super) struct HttpOneAcceptor<A> {
    inner: A,
    patience: Duration,
}

impl<A> HttpOneAcceptor<A> {
    /// Connections of `inner` that have this long to show that they speak HTTP/1.
    pub(super) fn new(inner: A, patience: Duration) -> Self {
        Self { inner, patience }
    }
}

impl<I, S, A> Accept<I, S> for HttpOneAcceptor<A>
where
    A: Accept<I, S>,
    A::Future: Send + 'static,
{
    type Stream = HttpOne<A::Stream>;
    type Service = A::Service;
    type Future = Pin<Box<dyn Future<Output = io::Result<(Self::Stream, A::Service)>> + Send>>;

    fn accept(&self, stream: I, service: S) -> Self::Future {
        let (accepted, patience) = (self.inner.accept(stream, service), self.patience);
        Box::pin(async move {
            let (stream, service) = accepted.await?;
            Ok((HttpOne { stream, beginning: Some(Beginning { matched: 0, deadline: Box::pin(sleep(patience)) }) }, service))
        })
    }
}

/// A connection. What is written is not looked at.
#[derive(Debug)]
pub(super) struct HttpOne<S> {
    stream: S,
    /// Until it is known that it is not version 2.
    beginning: Option<Beginning>,
}

#[derive(Debug)]
struct Beginning {
    /// Bytes of the preface that have come.
    matched: usize,
    deadline: Pin<Box<Sleep>>,
}

impl<S: AsyncRead + Unpin> AsyncRead for HttpOne<S> {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(context, buffer);
        let Some(beginning) = &mut self.beginning else { return read };
        match read {
            Poll::Pending => beginning.deadline.as_mut().poll(context).map(|()| Err(io::ErrorKind::TimedOut.into())),
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Ready(Ok(())) => {
                for byte in buffer.filled().iter().skip(before) {
                    if PREFACE.get(beginning.matched) != Some(byte) {
                        self.beginning = None;
                        return Poll::Ready(Ok(()));
                    }
                    beginning.matched += 1;
                    if beginning.matched == PREFACE.len() {
                        return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, "HTTP/2 is not spoken here")));
                    }
                }
                Poll::Ready(Ok(()))
            }
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for HttpOne<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffers: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, buffers)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use std::future::{Ready, ready};

    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

    use super::*;

    #[derive(Debug, Clone)]
    struct Plain;

    impl Accept<DuplexStream, ()> for Plain {
        type Stream = DuplexStream;
        type Service = ();
        type Future = Ready<io::Result<(DuplexStream, ())>>;

        fn accept(&self, stream: DuplexStream, service: ()) -> Self::Future {
            ready(Ok((stream, service)))
        }
    }

    async fn accepted() -> (DuplexStream, HttpOne<DuplexStream>) {
        let (client, server) = duplex(64);
        let (stream, ()) = HttpOneAcceptor::new(Plain, Duration::from_secs(30)).accept(server, ()).await.unwrap();
        (client, stream)
    }

    /// All that is read of what comes in pieces.
    async fn read(pieces: &[&str]) -> io::Result<String> {
        let (mut client, mut stream) = accepted().await;
        let mut found = String::new();
        for piece in pieces {
            client.write_all(piece.as_bytes()).await.unwrap();
            let mut bytes = vec![0; piece.len()];
            stream.read_exact(&mut bytes).await?;
            found.push_str(std::str::from_utf8(&bytes).unwrap());
        }
        Ok(found)
    }

    #[tokio::test]
    async fn version_one_passes_as_it_is_and_version_two_does_not() {
        for pieces in [&["GET / HTTP/1.1"][..], &["P", "R", "O", "PFIND / PRI * "], &["PRX", "PRI * HTTP/2.0"], &["PRI"]] {
            assert_eq!(read(pieces).await.unwrap(), pieces.concat());
        }
        for pieces in [&["PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"][..], &["P", "R", "I", " "], &["PR", "I * HTTP/2.0"]] {
            assert_eq!(read(pieces).await.unwrap_err().kind(), io::ErrorKind::InvalidData, "{pieces:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn who_does_not_show_what_it_speaks_is_not_waited_for() {
        for sent in ["", "P", "PRI"] {
            let (mut client, mut stream) = accepted().await;
            client.write_all(sent.as_bytes()).await.unwrap();
            let mut bytes = Vec::new();
            assert_eq!(stream.read_to_end(&mut bytes).await.unwrap_err().kind(), io::ErrorKind::TimedOut, "{sent:?}");
        }
        let (mut client, mut stream) = accepted().await;
        client.write_all(b"GET").await.unwrap();
        stream.read_exact(&mut [0; 3]).await.unwrap();
        tokio::time::sleep(Duration::from_secs(3600)).await;
        client.write_all(b" /").await.unwrap();
        stream.read_exact(&mut [0; 2]).await.unwrap();
    }
}
