//! A file seen through a buffer that moves along it.
//!
//! Reads with positions and never maps: a device error is an error here, not the end of the process. The buffer holds 1 MiB, or
//! the one record that is longer, whose length the caller has bounded by the file's.

use std::io;
use std::sync::Arc;

use icecore_io::File;

const BUFFER_LEN: usize = 1 << 20;
/// Bytes that are looked at at once for one that is not zero. The first of a record's header are rarely all zeros.
const PIECE_LEN: usize = 32;

/// The bytes of a file whose length does not change meanwhile.
#[derive(Debug)]
pub(crate) struct Window {
    file: Arc<dyn File>,
    file_len: u64,
    start: u64,
    bytes: Vec<u8>,
}

impl Window {
    /// Nothing is read yet but the length.
    pub(crate) fn new(file: Arc<dyn File>) -> io::Result<Self> {
        let file_len = file.len()?;
        Ok(Self { file, file_len, start: 0, bytes: Vec::new() })
    }

    /// The file's length when the window was made.
    pub(crate) fn file_len(&self) -> u64 {
        self.file_len
    }

    /// `len` bytes at `offset`, fewer only where the file ends.
    pub(crate) fn at(&mut self, offset: u64, len: usize) -> io::Result<&[u8]> {
        let present = |len: usize| usize::try_from(self.file_len.saturating_sub(offset)).map_or(len, |rest| rest.min(len));
        let (len, refill) = (present(len), present(len.max(BUFFER_LEN)));
        let cached = |start: u64| usize::try_from(offset.checked_sub(start)?).ok();
        if let Some(skip) = cached(self.start)
            && skip.checked_add(len).is_some_and(|end| end <= self.bytes.len())
        {
            return Ok(&self.bytes[skip..][..len]);
        }
        // On an error the window is left empty, so that no later call takes half-read bytes for the file's.
        let mut bytes = std::mem::take(&mut self.bytes);
        bytes.resize(refill, 0);
        bytes.shrink_to(BUFFER_LEN);
        self.file.read_exact_at(&mut bytes, offset)?;
        self.start = offset;
        self.bytes = bytes;
        Ok(&self.bytes[..len])
    }

    /// Whether there is nothing but zeros from `offset` to the end of the file. Reads no further than to the first that is none.
    pub(crate) fn is_zero_from(&mut self, mut offset: u64) -> io::Result<bool> {
        while offset < self.file_len {
            let bytes = self.at(offset, PIECE_LEN)?;
            if bytes.iter().any(|&byte| byte != 0) {
                return Ok(false);
            }
            offset += bytes.len() as u64;
        }
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use icecore_io::{Fs, MemFs};

    use super::*;

    #[test]
    fn every_range_is_what_the_file_has() {
        let bytes: Vec<u8> = (0..3 * BUFFER_LEN + 17).map(|index| u8::try_from(index % 251).unwrap()).collect();
        let file = MemFs::new().create_new(Path::new("file")).unwrap();
        file.write_all_at(&bytes, 0).unwrap();
        let mut window = Window::new(file).unwrap();
        let len = bytes.len();
        for (offset, wanted) in [
            (0, 32),
            (8, 100),
            (BUFFER_LEN - 8, 8),
            (BUFFER_LEN - 8, 32),
            (BUFFER_LEN, 2 * BUFFER_LEN),
            (BUFFER_LEN + 8, 32),
            (16, 32),
            (len - 10, 32),
            (len, 32),
            (len + 1, 32),
            (0, len),
        ] {
            let end = (offset + wanted).min(len);
            let expected = bytes.get(offset..end).unwrap_or_default();
            assert_eq!(window.at(offset as u64, wanted).unwrap(), expected, "{wanted} bytes at {offset}");
        }
    }

    #[test]
    fn zeros_are_zeros_up_to_the_end_of_the_file() {
        let mut bytes = vec![0; 2 * BUFFER_LEN + 5];
        for (last, zero_from) in [(0, 1), (BUFFER_LEN, BUFFER_LEN + 1), (2 * BUFFER_LEN + 4, 2 * BUFFER_LEN + 5)] {
            bytes.fill(0);
            bytes[last] = 1;
            let file = MemFs::new().create_new(Path::new("file")).unwrap();
            file.write_all_at(&bytes, 0).unwrap();
            let mut window = Window::new(file).unwrap();
            assert!(!window.is_zero_from(last as u64).unwrap(), "{last}");
            assert!(!window.is_zero_from(0).unwrap(), "{last}");
            assert!(window.is_zero_from(zero_from as u64).unwrap(), "{zero_from}");
        }
    }

    #[test]
    fn a_failed_read_leaves_nothing_behind() {
        let fs = icecore_io::FaultFs::new(Arc::new(MemFs::new()));
        let file = fs.create_new(Path::new("file")).unwrap();
        file.write_all_at(b"12345678", 0).unwrap();
        let mut window = Window::new(file).unwrap();
        fs.faults().inject(icecore_io::Fault::on(icecore_io::Operation::ReadAt));
        assert!(window.at(0, 8).is_err());
        assert_eq!(window.at(0, 8).unwrap(), b"12345678");
    }
}
