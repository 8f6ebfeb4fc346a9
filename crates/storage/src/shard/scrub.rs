//! Reading every byte of live segments again.
//!
//! A segment's scrub says what is wrong with its file; here are the segments of a shard, or of many at once. Files are opened anew and
//! read with `pread`, so that a device error is an error.

use std::sync::Arc;

use super::Shard;
use crate::error::{Error, Result, on};
use crate::parallel;

impl Shard {
    /// Reads every byte of the live segments and returns all damage.
    pub(crate) fn scrub(&self) -> Vec<Error> {
        let mut problems = Vec::new();
        for live in &self.view().version.segments {
            match self.fs.open_read(live.file.path()) {
                Ok(file) => problems.extend(live.segment.scrub(file.as_ref())),
                Err(error) => problems.push(on("open", live.file.path())(error)),
            }
        }
        problems
    }
}

/// Reads every byte of the live segments of all shards on all cores; the error is the first damage in their order.
pub(crate) fn scrub_all(shards: &[Arc<Shard>]) -> Result<()> {
    let views: Vec<_> = shards.iter().map(|shard| (shard, shard.view())).collect();
    let segments = views.iter().flat_map(|(shard, view)| view.version.segments.iter().map(move |live| (shard, live)));
    let pieces: Vec<_> =
        segments.flat_map(|(shard, live)| live.segment.pieces().into_iter().map(move |piece| (shard, live, piece))).collect();
    parallel::try_map(&pieces, parallel::cores(), |(shard, live, piece)| {
        let path = live.file.path();
        let file = shard.fs.open_read(path).map_err(on("open", path))?;
        live.segment.scrub_piece(file.as_ref(), piece).into_iter().next().map_or(Ok(()), Err)
    })
    .map(drop)
}
