//! The digests of the members of a stream, computed on a thread of their own.
//!
//! Whoever reads a stream writes it to files too, and a third thread digests the whole; the members' digests would make the reader
//! the slowest. So it passes on the pieces that it has seen, in order, and what belongs to a member's end: when its digests are those
//! of the manifest, its file is given to be synced. The first member that is damaged ends the work.

use std::panic::resume_unwind;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use icecore_io::digest::Hasher;

use crate::Error;
use crate::format::manifest::MemberRef;
use crate::in_order::Piece;
use crate::problem::Problem;
use crate::reader::check_member;
use crate::syncing::Unsynced;
use crate::target::MemberFile;

/// Pieces and ends that wait at most. The pieces' buffers are bounded by their pool.
const STEPS_MAX: usize = 64;

/// What the reader passes on.
enum Step<'a, 'f> {
    /// The next bytes of the current member.
    Bytes(Piece),
    /// All bytes of a member have been passed on, and are in this file if they were wanted.
    End(MemberRef<'a>, Option<MemberFile<'f>>),
}

/// Takes the members of a stream. Errors only say that the thread has stopped: [`with_checking`] returns why.
pub(crate) struct Unchecked<'a, 'f>(SyncSender<Step<'a, 'f>>);

impl<'a, 'f> Unchecked<'a, 'f> {
    /// The next bytes of a member.
    pub(crate) fn piece(&self, piece: Piece) -> Result<(), Error> {
        self.0.send(Step::Bytes(piece)).map_err(|_| Error::Cancelled)
    }

    /// The end of a member, whose bytes are in `file` if they were wanted.
    pub(crate) fn end(&self, member: MemberRef<'a>, file: Option<MemberFile<'f>>) -> Result<(), Error> {
        self.0.send(Step::End(member, file)).map_err(|_| Error::Cancelled)
    }
}

/// Runs `work` beside the thread, which makes errors of problems with `damaged`. After `Ok` all members are sound.
pub(crate) fn with_checking<'a, 'f>(
    unsynced: &Unsynced<'_, 'f>,
    damaged: impl Fn(Problem) -> Error + Send,
    work: impl FnOnce(Unchecked<'a, 'f>) -> Result<(), Error>,
) -> Result<(), Error> {
    thread::scope(|scope| {
        let (steps, queue) = sync_channel(STEPS_MAX);
        let thread = scope.spawn(|| check(queue, unsynced, damaged));
        let worked = work(Unchecked(steps));
        let checked = thread.join().unwrap_or_else(|panic| resume_unwind(panic));
        // What was damaged comes before what the work has failed at.
        checked.and(worked)
    })
}

fn check<'f>(
    queue: Receiver<Step<'_, 'f>>,
    unsynced: &Unsynced<'_, 'f>,
    damaged: impl Fn(Problem) -> Error,
) -> Result<(), Error> {
    let mut hasher = Hasher::default();
    for step in queue {
        match step {
            Step::Bytes(piece) => hasher.update(piece.bytes()),
            Step::End(member, file) => {
                if let Some(problem) = check_member(member, std::mem::take(&mut hasher)).into_iter().next() {
                    return Err(damaged(problem));
                }
                file.map_or(Ok(()), |file| unsynced.give(file))?;
            }
        }
    }
    Ok(())
}
