//! The SHA-256 of a whole archive, computed on a thread of its own.
//!
//! SHA-256 works in order on one core, and is slower than copying: so the buffer that was just read or written is digested while the
//! next one is. Buffers go round, [`BUFFER_COUNT`] at most, which bounds the memory and makes the faster side wait.

use std::panic::resume_unwind;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use sha2::{Digest, Sha256};

use icecore_io::digest::Sha256Digest;

/// Size of a buffer in bytes.
pub(crate) const BUFFER_LEN: usize = 1 << 20;
/// Buffers that one operation uses at most.
pub(crate) const BUFFER_COUNT: usize = 8;

/// A reusable piece of memory, filled from its beginning.
#[derive(Debug)]
pub(crate) struct Buffer {
    bytes: Box<[u8]>,
    filled: usize,
}

impl Buffer {
    fn new() -> Self {
        Self { bytes: vec![0; BUFFER_LEN].into_boxed_slice(), filled: 0 }
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
}

/// The near end of the digesting thread.
#[derive(Debug)]
pub(crate) struct Digester {
    full: SyncSender<Buffer>,
    free: Receiver<Buffer>,
    made: usize,
}

impl Digester {
    /// An empty buffer; waits until one is free if all are on their way.
    pub(crate) fn take(&mut self) -> Buffer {
        if self.made < BUFFER_COUNT {
            if let Ok(buffer) = self.free.try_recv() {
                return buffer;
            }
            self.made += 1;
            return Buffer::new();
        }
        // The channel is closed only if the thread panicked, which `with_digester` passes on.
        self.free.recv().unwrap_or_else(|_| Buffer::new())
    }

    /// Digests the buffer after all those given before.
    pub(crate) fn give(&mut self, buffer: Buffer) {
        // See `take` for why a closed channel needs no attention.
        let _ = self.full.send(buffer);
    }
}

/// Runs `work` beside a digesting thread, and returns its result with the digest of all the buffers that it gave.
pub(crate) fn with_digester<R>(work: impl FnOnce(Digester) -> R) -> (R, Sha256Digest) {
    thread::scope(|scope| {
        let (full, to_digest) = sync_channel::<Buffer>(BUFFER_COUNT);
        let (done, free) = sync_channel(BUFFER_COUNT);
        let thread = scope.spawn(move || {
            let mut sha256 = Sha256::new();
            for mut buffer in to_digest {
                sha256.update(buffer.filled());
                buffer.filled = 0;
                // Nobody waits for a free buffer when the work has ended before the digest.
                let _ = done.send(buffer);
            }
            Sha256Digest(sha256.finalize().into())
        });
        let result = work(Digester { full, free, made: 0 });
        match thread.join() {
            Ok(sha256) => (result, sha256),
            Err(panic) => resume_unwind(panic),
        }
    })
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
