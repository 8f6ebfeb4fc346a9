//! The bytes of an archive, or of a part of it, from the first to the last: looked at by the caller as they pass, and digested as a whole behind them,
//! unless they are compressed: then what is digested is what was compressed, elsewhere.
//!
//! Bytes come in buffers; each goes on to the digesting thread when the caller has seen all of it, so the digest covers exactly
//! the bytes that were looked at. Where the bytes come from, and what happens when they do not, is the [`Supply`]'s business.

use std::ops::Range;
use std::sync::Arc;

use crate::Error;
use crate::writer::buffer::Buffer;
use crate::writer::hash::Behind;

/// Where the bytes come from.
pub(crate) trait Supply {
    /// Fills all of `room` with the bytes at `offset`, which is where the call before ended.
    fn fill(&mut self, room: &mut [u8], offset: u64) -> Result<(), Error>;
}

/// A walk through an archive.
pub(crate) struct InOrder<S> {
    pub(crate) supply: S,
    behind: Behind,
    buffer: Arc<Buffer>,
    /// The next byte of the buffer.
    at: usize,
    /// The offset after the buffer's last byte.
    offset: u64,
    end: u64,
}

/// Some bytes of an archive. Their buffer is not used again before all pieces of it are gone.
pub(crate) struct Piece {
    buffer: Arc<Buffer>,
    range: Range<usize>,
}

impl Piece {
    /// The bytes.
    pub(crate) fn bytes(&self) -> &[u8] {
        self.buffer.filled().get(self.range.clone()).unwrap_or_default()
    }
}

impl<S: Supply> InOrder<S> {
    /// A walk through the bytes at these offsets of an archive.
    pub(crate) fn new(supply: S, range: Range<u64>, behind: Behind) -> Self {
        Self { supply, behind, buffer: Arc::default(), at: 0, offset: range.start, end: range.end }
    }

    /// Takes `bytes`, of which there is a buffer at most, for the next ones of the archive: the caller has read and checked them
    /// already. Only before anything else.
    pub(crate) fn begin_with(&mut self, bytes: &[u8]) {
        assert!(self.buffer.filled().is_empty(), "bytes would be digested out of order");
        let mut next = self.behind.take();
        if let Some(room) = next.room().get_mut(..bytes.len()) {
            room.copy_from_slice(bytes);
        }
        next.fill(bytes.len());
        self.behind.give(Arc::new(next));
        self.offset += bytes.len() as u64;
    }

    /// The offset of the next byte.
    pub(crate) fn position(&self) -> u64 {
        self.offset - (self.buffer.filled().len() - self.at) as u64
    }

    /// The next bytes of the archive: at least one, at most `max`.
    pub(crate) fn next(&mut self, max: u64) -> Result<&[u8], Error> {
        let range = self.next_range(max)?;
        Ok(self.buffer.filled().get(range).unwrap_or_default())
    }

    /// The next bytes in their buffer, so that somebody else may look at them too.
    pub(crate) fn next_shared(&mut self, max: u64) -> Result<Piece, Error> {
        let range = self.next_range(max)?;
        Ok(Piece { buffer: Arc::clone(&self.buffer), range })
    }

    fn next_range(&mut self, max: u64) -> Result<Range<usize>, Error> {
        if self.at == self.buffer.filled().len() {
            self.refill()?;
        }
        let left = self.buffer.filled().len() - self.at;
        let start = self.at;
        self.at += usize::try_from(max).unwrap_or(usize::MAX).min(left);
        Ok(start..self.at)
    }

    /// Passes as many bytes as are expected, and says whether they are those.
    pub(crate) fn equals(&mut self, mut expected: &[u8]) -> Result<bool, Error> {
        let mut equal = true;
        while !expected.is_empty() {
            let actual = self.next(expected.len() as u64)?;
            let (now, later) = expected.split_at(actual.len());
            equal &= actual == now;
            expected = later;
        }
        Ok(equal)
    }

    /// Passes the last buffer on, and gives back the supply and what was behind.
    pub(crate) fn finish(mut self) -> (S, Behind) {
        self.pass_on();
        (self.supply, self.behind)
    }

    fn refill(&mut self) -> Result<(), Error> {
        self.pass_on();
        let mut next = self.behind.take();
        let left = usize::try_from(self.end - self.offset).unwrap_or(usize::MAX);
        let len = next.room().len().min(left);
        assert!(len > 0, "the walk goes past the end of its plan");
        self.supply.fill(next.room().get_mut(..len).unwrap_or_default(), self.offset)?;
        next.fill(len);
        self.offset += len as u64;
        self.at = 0;
        self.buffer = Arc::new(next);
        Ok(())
    }

    /// Gives away the buffer, all of which the caller has seen.
    fn pass_on(&mut self) {
        let seen = std::mem::take(&mut self.buffer);
        if !seen.filled().is_empty() {
            self.behind.give(seen);
        }
        self.at = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::writer::buffer::BUFFER_LEN;
    use crate::writer::hash::with_digester;
    use icecore_io::digest::Sha256Digest;

    struct Bytes<'a>(&'a [u8]);

    impl Supply for Bytes<'_> {
        fn fill(&mut self, room: &mut [u8], offset: u64) -> Result<(), Error> {
            room.copy_from_slice(&self.0[usize::try_from(offset).unwrap()..][..room.len()]);
            Ok(())
        }
    }

    #[test]
    fn what_passes_is_compared_counted_and_digested() {
        let bytes: Vec<u8> = (0..2 * BUFFER_LEN + 7).map(|at| u8::try_from(at % 251).unwrap()).collect();
        let (begin, step) = (BUFFER_LEN, 1000);
        let (wrong, sha256) = with_digester(|digester| {
            let mut walk = InOrder::new(Bytes(&bytes), 0..bytes.len() as u64, Behind::Digest(digester));
            walk.begin_with(&bytes[..9]);
            walk.begin_with(&bytes[9..begin]);
            assert_eq!(walk.position(), begin as u64);
            assert!(walk.equals(&bytes[begin..begin + step]).unwrap());
            let mut wrong = bytes[begin + step..].to_vec();
            wrong[BUFFER_LEN - step] ^= 1;
            let equal = walk.equals(&wrong).unwrap();
            assert_eq!(walk.position(), bytes.len() as u64);
            walk.finish();
            !equal
        });
        assert!(wrong);
        assert_eq!(sha256, Sha256Digest::of(&bytes));
    }
}
