//! The SHA-256 of all bytes that pass, computed on a thread of its own.
//!
//! SHA-256 works in order on one core, and is slower than copying: so the buffer that was just read or written is digested while the
//! next one is. Buffers go round, a bounded number of them, which bounds the memory and makes the faster side wait.

use std::panic::resume_unwind;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{self, JoinHandle};

use sha2::{Digest, Sha256};

use icecore_io::digest::Sha256Digest;

/// Size of a buffer in bytes, where nothing else is said.
pub(crate) const BUFFER_LEN: usize = 1 << 20;
/// Buffers that one operation uses at most, where nothing else is said.
pub(crate) const BUFFER_COUNT: usize = 8;

/// A reusable piece of memory, filled from its beginning. The default one has no room at all.
#[derive(Debug, Default)]
pub(crate) struct Buffer {
    bytes: Box<[u8]>,
    filled: usize,
}

impl Buffer {
    /// An empty one.
    pub(crate) fn new(len: usize) -> Self {
        Self { bytes: vec![0; len].into_boxed_slice(), filled: 0 }
    }

    /// The bytes put in so far.
    pub(crate) fn filled(&self) -> &[u8] {
        self.bytes.get(..self.filled).unwrap_or_default()
    }

    /// The bytes after them.
    pub(crate) fn room(&mut self) -> &mut [u8] {
        self.bytes.get_mut(self.filled..).unwrap_or_default()
    }

    /// Counts the first `len` bytes of the room as filled.
    pub(crate) fn fill(&mut self, len: usize) {
        self.filled += len;
        assert!(self.filled <= self.bytes.len(), "a buffer was filled past its end");
    }

    /// Makes all of it room again.
    pub(crate) fn clear(&mut self) {
        self.filled = 0;
    }
}

/// The near end of the digesting thread.
#[derive(Debug)]
pub(crate) struct Digester {
    full: SyncSender<Buffer>,
    free: Receiver<Buffer>,
    made: usize,
    buffer_len: usize,
    buffer_count: usize,
}

/// The digest on its way.
#[derive(Debug)]
pub(crate) struct Digesting(JoinHandle<Sha256Digest>);

impl Digester {
    /// Starts a thread that digests `buffer_count` buffers of `buffer_len` bytes at most at a time. It ends with the digester.
    pub(crate) fn start(buffer_len: usize, buffer_count: usize) -> (Self, Digesting) {
        let (full, to_digest) = sync_channel::<Buffer>(buffer_count);
        let (done, free) = sync_channel(buffer_count);
        let thread = thread::spawn(move || {
            let mut sha256 = Sha256::new();
            for mut buffer in to_digest {
                sha256.update(buffer.filled());
                buffer.clear();
                // Nobody waits for a free buffer when the work has ended before the digest.
                let _ = done.send(buffer);
            }
            Sha256Digest(sha256.finalize().into())
        });
        (Self { full, free, made: 0, buffer_len, buffer_count }, Digesting(thread))
    }

    /// An empty buffer; waits until one is free if all are on their way.
    pub(crate) fn take(&mut self) -> Buffer {
        if self.made < self.buffer_count {
            if let Ok(buffer) = self.free.try_recv() {
                return buffer;
            }
            self.made += 1;
            return Buffer::new(self.buffer_len);
        }
        // The channel is closed only if the thread panicked, which `Digesting::finish` passes on.
        self.free.recv().unwrap_or_else(|_| Buffer::new(self.buffer_len))
    }

    /// Digests the buffer after all those given before.
    pub(crate) fn give(&mut self, buffer: Buffer) {
        // See `take` for why a closed channel needs no attention.
        let _ = self.full.send(buffer);
    }
}

impl Digesting {
    /// The digest of all the buffers that were given. The digester has to be gone.
    pub(crate) fn finish(self) -> Sha256Digest {
        self.0.join().unwrap_or_else(|panic| resume_unwind(panic))
    }
}

/// Where the buffers go that somebody has looked at.
#[derive(Debug)]
pub(crate) enum Behind {
    /// To the digest of the whole.
    Digest(Digester),
    /// Nowhere: what passes is not what is digested. The spare buffer.
    Nothing(Option<Buffer>),
}

impl Default for Behind {
    fn default() -> Self {
        Self::Nothing(None)
    }
}

impl Behind {
    /// An empty buffer.
    pub(crate) fn take(&mut self) -> Buffer {
        match self {
            Self::Digest(digester) => digester.take(),
            Self::Nothing(spare) => spare.take().unwrap_or_else(|| Buffer::new(BUFFER_LEN)),
        }
    }

    /// A buffer that somebody has looked at.
    pub(crate) fn give(&mut self, mut buffer: Buffer) {
        match self {
            Self::Digest(digester) => digester.give(buffer),
            Self::Nothing(spare) => {
                buffer.clear();
                *spare = Some(buffer);
            }
        }
    }
}

/// Runs `work` beside a digesting thread, and returns its result with the digest of all the buffers that it gave.
pub(crate) fn with_digester<R>(work: impl FnOnce(Digester) -> R) -> (R, Sha256Digest) {
    let (digester, digesting) = Digester::start(BUFFER_LEN, BUFFER_COUNT);
    let result = work(digester);
    (result, digesting.finish())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buffers_are_digested_in_order_and_reused() {
        let mut all = Vec::new();
        let (made, sha256) = with_digester(|mut digester| {
            for round in 0..50u8 {
                let mut buffer = digester.take();
                assert!(buffer.filled().is_empty());
                buffer.room()[..3].copy_from_slice(&[round, 1, 2]);
                buffer.fill(3);
                all.extend_from_slice(buffer.filled());
                digester.give(buffer);
            }
            digester.made
        });
        assert!(made <= BUFFER_COUNT);
        assert_eq!(sha256, Sha256Digest::of(&all));
    }
}
