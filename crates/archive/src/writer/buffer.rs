//! The buffers in which bytes travel: a bounded number of them, which go back to their pool by themselves.
//!
//! A buffer is filled by one thread and may then be looked at by several, as `Arc<Buffer>`. When the last of them lets go of it, also
//! because it panicked, it is free again; so whoever waits for a free one does not wait for ever.

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

/// Size of a buffer in bytes, where nothing else is said. Larger ones do not stay in the cache of a core between being read into, digested and
/// written: with 1 MiB, making an archive took up to twice the time.
pub(crate) const BUFFER_LEN: usize = 256 << 10;
/// Buffers that one operation uses at most, where nothing else is said.
pub(crate) const BUFFER_COUNT: usize = 16;

/// A reusable piece of memory, filled from its beginning. The default one has no room at all.
#[derive(Debug, Default)]
pub(crate) struct Buffer {
    bytes: Box<[u8]>,
    filled: usize,
    /// Where its memory is used again.
    home: Option<SyncSender<Box<[u8]>>>,
}

impl Buffer {
    /// An empty one, which is in no pool.
    pub(crate) fn new(len: usize) -> Self {
        Self { bytes: vec![0; len].into_boxed_slice(), filled: 0, home: None }
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

impl Drop for Buffer {
    fn drop(&mut self) {
        if let Some(home) = self.home.take() {
            // There is room for all of the pool's; nobody is at home when the work has ended before the digest.
            let _ = home.try_send(std::mem::take(&mut self.bytes));
        }
    }
}

/// A bounded number of buffers, which are made when they are needed first.
#[derive(Debug)]
pub(crate) struct Pool {
    free: Receiver<Box<[u8]>>,
    home: SyncSender<Box<[u8]>>,
    made: usize,
    buffer_len: usize,
    buffer_count: usize,
}

/// One buffer at a time, with one to spare.
impl Default for Pool {
    fn default() -> Self {
        Self::new(BUFFER_LEN, 2)
    }
}

impl Pool {
    /// At most `buffer_count` buffers of `buffer_len` bytes.
    pub(crate) fn new(buffer_len: usize, buffer_count: usize) -> Self {
        let (home, free) = sync_channel(buffer_count);
        Self { free, home, made: 0, buffer_len, buffer_count }
    }

    /// How many buffers there are at most.
    pub(crate) fn buffer_count(&self) -> usize {
        self.buffer_count
    }

    /// An empty buffer; waits until one is free if all are in use.
    pub(crate) fn take(&mut self) -> Buffer {
        let bytes = match self.free.try_recv() {
            Ok(bytes) => bytes,
            Err(_) if self.made < self.buffer_count => {
                self.made += 1;
                vec![0; self.buffer_len].into_boxed_slice()
            }
            // The pool has a sender itself, so the channel is not closed.
            Err(_) => self.free.recv().unwrap_or_else(|_| vec![0; self.buffer_len].into_boxed_slice()),
        };
        Buffer { bytes, filled: 0, home: Some(self.home.clone()) }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::thread;

    use super::*;

    #[test]
    fn buffers_are_empty_bounded_and_come_back_when_all_have_let_go() {
        let mut pool = Pool::new(4, 2);
        let mut one = pool.take();
        one.room().copy_from_slice(&[1, 2, 3, 4]);
        one.fill(4);
        let (one, other) = (Arc::new(one), Arc::new(pool.take()));
        let again = Arc::clone(&one);
        drop(one);
        assert!(pool.free.try_recv().is_err(), "somebody looks at it");
        let reader = thread::spawn(move || again.filled().to_vec());
        assert!(pool.take().filled().is_empty(), "the reader has let go of it");
        assert_eq!(reader.join().unwrap(), [1, 2, 3, 4]);
        drop(other);
        assert_eq!((pool.free.iter().take(2).count(), pool.made), (2, 2));
    }
}
