//! Long archives go past the page cache, where the file system can do that.
//!
//! What a server keeps in memory for its readers stays there; no copy into the page cache, no write-back of the kernel's and no removal
//! of pages when the archive is deleted takes the processor from them; and who reads the archive afterwards to see whether it is sound
//! sees what is on the disk. Each write waits for the disk, so they are long, and a thread of their own makes them.

use std::io;
use std::panic::resume_unwind;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{self, JoinHandle};

use icecore_io::{Block, File};

use super::{FileSink, Sink};

/// Archives that are at least this long go past the cache, in bytes. Shorter ones are written as fast through it, and may as well stay
/// there for who fetches them next.
pub(super) const DIRECT_FROM_LEN: u64 = 16 << 20;

/// Pieces in memory: one that is filled, one that is written, and one that waits, so that the disk always has something to do.
const PIECE_COUNT: usize = 3;

/// A file, written from its beginning by another thread. Does not sync.
#[derive(Debug)]
pub(super) struct DirectSink {
    piece: Piece,
    writer: Writer,
}

/// A part of the archive: the beginning of a block. Only the last part does not fill it.
#[derive(Debug)]
struct Piece {
    block: Block,
    len: usize,
}

/// The thread that writes. It has let go of the file when this is gone.
#[derive(Debug)]
struct Writer {
    pieces: Option<SyncSender<Piece>>,
    /// Blocks that were written.
    free: Receiver<Block>,
    thread: Option<JoinHandle<io::Result<()>>>,
}

impl DirectSink {
    /// Writes to `file` from offset 0 on. `None` if it cannot be written past the page cache.
    pub(super) fn start(file: &Arc<dyn File>) -> Option<Self> {
        let piece = Piece { block: Block::new().ok()?, len: 0 };
        let writer = Writer::start(file).ok()?;
        Some(Self { piece, writer })
    }

    /// Waits until all is written.
    pub(super) fn finish(self) -> io::Result<()> {
        let Self { piece, mut writer } = self;
        if piece.len > 0 {
            writer.send(piece)?;
        }
        writer.finish()
    }
}

impl Sink for DirectSink {
    /// An error may be that of a write before this one.
    fn write(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let room = self.piece.block.bytes_mut().get_mut(self.piece.len..).unwrap_or_default();
            let (now, later) = bytes.split_at(bytes.len().min(room.len()));
            if let Some(target) = room.get_mut(..now.len()) {
                target.copy_from_slice(now);
            }
            self.piece.len += now.len();
            bytes = later;
            if self.piece.len == Block::LEN {
                let next = Piece { block: self.writer.block()?, len: 0 };
                self.writer.send(std::mem::replace(&mut self.piece, next))?;
            }
        }
        Ok(())
    }
}

impl Writer {
    fn start(file: &Arc<dyn File>) -> io::Result<Self> {
        let (written, free) = sync_channel(PIECE_COUNT);
        for _ in 1..PIECE_COUNT {
            // There is room for all of them.
            let _ = written.try_send(Block::new()?);
        }
        let (pieces, to_write) = sync_channel(PIECE_COUNT);
        let writing = Arc::clone(file);
        let thread =
            thread::Builder::new().name("icecore-write".into()).spawn(move || write_all(&writing, &to_write, &written))?;
        let started = Self { pieces: Some(pieces), free, thread: Some(thread) };
        // There is nothing to write yet.
        file.write_directly(true)?;
        Ok(started)
    }

    /// A block that was written; waits until there is one.
    fn block(&mut self) -> io::Result<Block> {
        match self.free.recv() {
            Ok(block) => Ok(block),
            // The thread goes on as long as there may be pieces, unless a write fails.
            Err(_) => self.finish().and_then(|()| Err(ended())),
        }
    }

    fn send(&mut self, piece: Piece) -> io::Result<()> {
        match &self.pieces {
            Some(pieces) if pieces.send(piece).is_ok() => Ok(()),
            _ => self.finish().and_then(|()| Err(ended())),
        }
    }

    /// What came of the writes.
    fn finish(&mut self) -> io::Result<()> {
        self.pieces = None;
        match self.thread.take() {
            Some(thread) => thread.join().unwrap_or_else(|panic| resume_unwind(panic)),
            None => Err(ended()),
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.pieces = None;
        if let Some(thread) = self.thread.take() {
            // Whoever gives up has an error already.
            let _ = thread.join();
        }
    }
}

fn ended() -> io::Error {
    io::Error::other("the thread that writes the file has ended")
}

/// Writes the pieces in order.
fn write_all(file: &Arc<dyn File>, pieces: &Receiver<Piece>, written: &SyncSender<Block>) -> io::Result<()> {
    // It starts the write-back of what goes through the cache after all, and has nothing to do otherwise.
    let mut sink = FileSink::new(Arc::clone(file));
    for Piece { block, len } in pieces {
        let bytes = block.bytes().get(..len).unwrap_or_default();
        let is_last = len < Block::LEN;
        if is_last {
            file.write_directly(false)?;
        }
        match sink.write(bytes) {
            // A file system that cannot do it all the same, or a write that was cut short, behind which nothing is aligned.
            Err(error) if error.kind() == io::ErrorKind::InvalidInput && !is_last => {
                file.write_directly(false)?;
                sink.write(bytes)?;
            }
            written => written?,
        }
        // Nobody may want it any more.
        let _ = written.try_send(block);
    }
    file.write_directly(false)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use icecore_io::{Fault, FaultFs, Fs, MemFs, Operation, OsFs};

    use super::*;

    fn bytes(len: usize) -> Vec<u8> {
        (0..len).map(|index| u8::try_from(index * 7 % 251).unwrap()).collect()
    }

    /// Writes `bytes` to a file in memory.
    fn write(file: &Arc<dyn File>, bytes: &[u8]) -> io::Result<()> {
        put(DirectSink::start(file).expect("files in memory can be written directly"), bytes)
    }

    /// Writes `bytes` in uneven parts.
    fn put(mut sink: DirectSink, bytes: &[u8]) -> io::Result<()> {
        for part in bytes.chunks(300_001) {
            sink.write(part)?;
        }
        sink.finish()
    }

    fn contents(file: &Arc<dyn File>) -> Vec<u8> {
        let mut found = vec![0; usize::try_from(file.len().unwrap()).unwrap()];
        file.read_exact_at(&mut found, 0).unwrap();
        found
    }

    #[test]
    fn all_is_written_whatever_its_length() {
        let disk = tempfile::tempdir().unwrap();
        let (memory, os) = (MemFs::new(), OsFs::new());
        memory.create_dir_all(disk.path()).unwrap();
        let lens = [0, 1, 4096, Block::LEN - 1, Block::LEN, Block::LEN + 1, 9 * Block::LEN, 9 * Block::LEN + 5000];
        for len in lens {
            let path = disk.path().join(len.to_string());
            let in_memory = memory.create_new(&path).unwrap();
            write(&in_memory, &bytes(len)).unwrap();
            let on_disk = os.create_new(&path).unwrap();
            // Not every file system can.
            if let Some(sink) = DirectSink::start(&on_disk) {
                put(sink, &bytes(len)).unwrap();
            } else {
                on_disk.write_all_at(&bytes(len), 0).unwrap();
            }
            for file in [in_memory, on_disk] {
                assert!(contents(&file) == bytes(len), "{len} bytes");
                file.write_at(b"through the cache again", 3).unwrap();
            }
        }
    }

    #[test]
    fn a_file_system_that_cannot_is_noticed_before_or_meanwhile() {
        let fs = FaultFs::new(Arc::new(MemFs::new()));
        let create = |name| fs.create_new(Path::new(name)).unwrap();
        // Some accept the flag, and refuse the writes.
        fs.faults().inject(Fault::on(Operation::WriteAt).nth(2).errno(22));
        let file = create("meanwhile");
        write(&file, &bytes(5 * Block::LEN + 1)).unwrap();
        assert_eq!(fs.faults().fired(), 1);
        assert!(contents(&file) == bytes(5 * Block::LEN + 1));
        fs.faults().inject(Fault::on(Operation::WriteDirectly).errno(95));
        assert!(DirectSink::start(&create("before")).is_none());
    }

    #[test]
    fn a_write_that_is_cut_short_is_continued() {
        let fs = FaultFs::new(Arc::new(MemFs::new()));
        fs.faults().inject(Fault::short_write(4096).nth(2).errno(22));
        let file = fs.create_new(Path::new("a")).unwrap();
        write(&file, &bytes(4 * Block::LEN)).unwrap();
        assert_eq!(fs.faults().fired(), 2);
        assert!(contents(&file) == bytes(4 * Block::LEN));
    }

    #[test]
    fn a_full_disk_is_told_at_a_later_write_or_at_the_end() {
        let piece = Block::LEN as u64;
        for space in [0, piece, piece + 1000, 3 * piece + 8192] {
            for len in [4 * Block::LEN, 20 * Block::LEN] {
                let fs = MemFs::new();
                fs.set_free_space(space);
                let file = fs.create_new(Path::new("a")).unwrap();
                assert_eq!(write(&file, &bytes(len)).unwrap_err().kind(), io::ErrorKind::StorageFull, "{space} bytes free");
            }
        }
    }

    #[test]
    fn nobody_writes_once_the_sink_was_given_up() {
        let fs = MemFs::new();
        let file = fs.create_new(Path::new("a")).unwrap();
        let mut sink = DirectSink::start(&file).unwrap();
        sink.write(&bytes(3 * Block::LEN)).unwrap();
        drop(sink);
        assert_eq!(Arc::strong_count(&file), 1);
    }
}
