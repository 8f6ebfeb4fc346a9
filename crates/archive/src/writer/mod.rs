//! Makes an archive from a plan and the sources of its members, into any sink.
//!
//! Every byte is read once and written once, in order. The bytes written are those that the plan gives or the call fails: each
//! member's CRC32C is compared as it passes, so damage of a source is found now and not when the archive is needed. What a failed
//! call has already given to the sink is the caller's to throw away. Publishing a file is [`create`](crate::create())'s work.
//! Compression is a layer around all this, in [`frames`].

pub(crate) mod buffer;
mod copy;
mod direct;
mod frames;
pub(crate) mod hash;
pub(crate) mod shared;
mod sink;
mod stream;

use std::io;
use std::sync::Arc;

use icecore_io::File;

use crate::Error;
use crate::plan::Plan;
use crate::progress::Progress;
use copy::{Origin, Outlet, Plain, Stream};
use direct::{DIRECT_FROM_LEN, DirectSink};
use hash::with_digester;
use icecore_io::digest::Sha256Digest;
use shared::{AroundSink, SharedBlocks};

pub use frames::{Compression, LEVELS, write_compressed};
pub use sink::{FileSink, Sink, WriteSink};
pub use stream::{Incoming, write_stream};

/// Where the data of a plan's members comes from. Closures `Fn(usize) -> io::Result<Arc<dyn File>>` are sources.
pub trait Source: Sync {
    /// Opens the source of the member at `index`. Of a file that is longer than planned only the beginning is taken.
    fn open(&self, index: usize) -> io::Result<Arc<dyn File>>;

    /// Called once, after the last member was copied: an error fails the archive before anybody can see it. For sources that
    /// others may be changing meanwhile, and that can tell.
    fn check_unchanged(&self) -> Result<(), Error> {
        Ok(())
    }
}

impl<F: Fn(usize) -> io::Result<Arc<dyn File>> + Sync> Source for F {
    fn open(&self, index: usize) -> io::Result<Arc<dyn File>> {
        self(index)
    }
}

/// What was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// Bytes written: the plan's `archive_len`, or what compression has made of it.
    pub len: u64,
    /// Digest of all of them.
    pub sha256: Sha256Digest,
}

/// Writes the archive to `sink`. Progress counts all bytes of the archive.
///
/// Fails with [`Error::Corrupt`] if a member's data does not have the CRC32C of the plan, [`Error::SourceLength`] if a source is too
/// short, [`Error::Source`] and [`Error::Sink`] if either side fails, what [`Source::check_unchanged`] returns, and
/// [`Error::Cancelled`].
pub fn write_archive(plan: &Plan, source: &dyn Source, sink: &mut dyn Sink, progress: &dyn Progress) -> Result<Written, Error> {
    progress.start(plan.archive_len());
    write_from(plan, Origin { source, shared: None }, sink, progress)
}

/// As [`write_archive`], to an empty file that may share blocks with the sources. `reserve` is called if it does not: then all of the
/// archive is going to be written to it.
pub(crate) fn write_to_file(
    plan: &Plan,
    source: &dyn Source,
    file: &Arc<dyn File>,
    reserve: impl FnOnce() -> Result<(), Error>,
    progress: &dyn Progress,
) -> Result<Written, Error> {
    progress.start(plan.archive_len());
    let shared = SharedBlocks::of(plan, source, file, progress)?;
    if shared.is_empty() {
        reserve()?;
        return into_file(file, plan, |sink| write_from(plan, Origin { source, shared: None }, sink, progress));
    }
    let sink = FileSink::new(Arc::clone(file));
    write_from(plan, Origin { source, shared: Some(&shared) }, &mut AroundSink { shared: &shared, sink }, progress)
}

/// Lets `write` write the archive, or what compression makes of it, to an empty file: past the page cache, if it is long.
pub(crate) fn into_file(
    file: &Arc<dyn File>,
    plan: &Plan,
    write: impl FnOnce(&mut dyn Sink) -> Result<Written, Error>,
) -> Result<Written, Error> {
    let is_long = plan.archive_len() >= DIRECT_FROM_LEN;
    let Some(mut sink) = is_long.then(|| DirectSink::start(file)).flatten() else {
        return write(&mut FileSink::new(Arc::clone(file)));
    };
    let written = write(&mut sink)?;
    sink.finish().map_err(|source| Error::Sink { offset: written.len, source })?;
    Ok(written)
}

fn write_from(plan: &Plan, origin: Origin<'_>, sink: &mut dyn Sink, progress: &dyn Progress) -> Result<Written, Error> {
    let (written, sha256) = with_digester(|digester| {
        let outlet = put_all(plan, origin, Plain::new(digester, sink), progress)?;
        Ok(outlet.written())
    });
    let len = written?;
    assert_eq!(len, plan.archive_len(), "the writer and the plan disagree about the length");
    Ok(Written { len, sha256 })
}

/// Puts all bytes of the archive into an outlet.
fn put_all<O: Outlet>(plan: &Plan, origin: Origin<'_>, outlet: O, progress: &dyn Progress) -> Result<O, Error> {
    let mut stream = Stream::new(outlet, progress)?;
    stream.put(&plan.manifest_header())?;
    stream.put(plan.manifest_bytes())?;
    stream.put(&plan.digest_member())?;
    for placed in plan.placed() {
        stream.put(&placed.headers())?;
        stream.copy(origin, &placed)?;
        stream.put_zeros(placed.padding_len())?;
    }
    stream.put_zeros(1024)?;
    let outlet = stream.finish()?;
    origin.source.check_unchanged()?;
    Ok(outlet)
}
