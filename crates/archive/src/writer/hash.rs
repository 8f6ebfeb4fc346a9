//! The SHA-256 of all bytes that pass, computed on a thread of its own.
//!
//! SHA-256 works in order on one core, and is slower than copying: so the buffer that was just read or written is digested while the
//! next one is. Buffers come from a [`Pool`] of a bounded number, which bounds the memory and makes the faster side wait.

use std::panic::resume_unwind;
use std::sync::Arc;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::{self, JoinHandle};

use sha2::{Digest, Sha256};

use super::buffer::{BUFFER_COUNT, BUFFER_LEN, Buffer, Pool};
use icecore_io::digest::Sha256Digest;

/// The near end of the digesting thread.
#[derive(Debug)]
pub(crate) struct Digester {
    full: SyncSender<Arc<Buffer>>,
    pool: Pool,
}

/// The digest on its way.
#[derive(Debug)]
pub(crate) struct Digesting(JoinHandle<Sha256Digest>);

impl Digester {
    /// Starts a thread that digests buffers of this pool. It ends with the digester.
    pub(crate) fn start(pool: Pool) -> (Self, Digesting) {
        let (full, to_digest) = sync_channel::<Arc<Buffer>>(pool.buffer_count());
        let thread = thread::spawn(move || {
            let mut sha256 = Sha256::new();
            to_digest.iter().for_each(|buffer| sha256.update(buffer.filled()));
            Sha256Digest(sha256.finalize().into())
        });
        (Self { full, pool }, Digesting(thread))
    }

    /// An empty buffer; waits until one is free if all are on their way.
    pub(crate) fn take(&mut self) -> Buffer {
        self.pool.take()
    }

    /// Digests the buffer after all those given before.
    pub(crate) fn give(&mut self, buffer: impl Into<Arc<Buffer>>) {
        // The channel is closed only if the thread panicked, which `Digesting::finish` passes on.
        let _ = self.full.send(buffer.into());
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
    /// Back to their pool: what passes is not what is digested.
    Nothing(Pool),
}

/// Nothing, and short buffers: for bytes that one thread looks at.
impl Default for Behind {
    fn default() -> Self {
        Self::Nothing(Pool::default())
    }
}

impl Behind {
    /// An empty buffer.
    pub(crate) fn take(&mut self) -> Buffer {
        match self {
            Self::Digest(digester) => digester.take(),
            Self::Nothing(pool) => pool.take(),
        }
    }

    /// A buffer that somebody has looked at.
    pub(crate) fn give(&mut self, buffer: Arc<Buffer>) {
        match self {
            Self::Digest(digester) => digester.give(buffer),
            Self::Nothing(_) => drop(buffer),
        }
    }
}

/// Runs `work` beside a digesting thread, and returns its result with the digest of all the buffers that it gave.
pub(crate) fn with_digester<R>(work: impl FnOnce(Digester) -> R) -> (R, Sha256Digest) {
    let (digester, digesting) = Digester::start(Pool::new(BUFFER_LEN, BUFFER_COUNT));
    let result = work(digester);
    (result, digesting.finish())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buffers_are_digested_in_order() {
        let mut all = Vec::new();
        let ((), sha256) = with_digester(|mut digester| {
            for round in 0..50u8 {
                let mut buffer = digester.take();
                buffer.room()[..3].copy_from_slice(&[round, 1, 2]);
                buffer.fill(3);
                all.extend_from_slice(buffer.filled());
                digester.give(buffer);
            }
        });
        assert_eq!(sha256, Sha256Digest::of(&all));
    }
}
