//! Group commit: writers queue, one of them writes what is queued, syncs once, and answers all.
//!
//! The order of the queue is the order of the log and of the effects. A cut is a place in that order: what stands before it
//! in the queue is in the snapshot, what stands behind is not. There is no thread for this: whoever waits and finds
//! nobody leading leads.

use std::collections::VecDeque;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, TryLockError};
use std::time::Duration;

use super::Shard;
use super::apply::apply;
use super::view::View;
use crate::checksum::Crc32c;
use crate::codec;
use crate::engine::Durability;
use crate::error::{Error, Result, on};
use crate::ids::Lsn;
use crate::op::Operation;
use crate::poison::Poison;
use crate::wal::record::body_crc;
use crate::wal::writer::{Record, WalMark, WalWriter, WriteFailure};

/// An operation that is ready for the log.
#[derive(Debug)]
pub(crate) struct PreparedWrite {
    body: Vec<u8>,
    body_crc: Crc32c,
    operation: Operation,
    durability: Durability,
}

/// The state of a shard at its place in a snapshot.
#[derive(Debug)]
pub(crate) struct Cut {
    /// Segments, tombstones and log files; every record in the segments is before the cut.
    pub(crate) view: Arc<View>,
    /// The end of the cut in the log file of the view's active memtable.
    pub(crate) log_end: WalMark,
}

/// Where the answer to a queued entry will be.
#[derive(Debug)]
pub(crate) struct Ticket<T>(Arc<Mutex<Option<Result<T>>>>);

/// What waits for the log.
#[derive(Debug, Default)]
pub(super) struct Queue {
    state: Mutex<QueueState>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct QueueState {
    entries: VecDeque<Entry>,
    leading: bool,
}

#[derive(Debug)]
enum Entry {
    Write(PreparedWrite, Ticket<Lsn>),
    Cut(Ticket<Cut>),
    Sync(Ticket<()>),
}

/// What only the leader touches.
#[derive(Debug)]
pub(super) struct Committer {
    pub(super) writer: WalWriter,
    /// The end of what is known to be durable in the current log file.
    pub(super) durable: WalMark,
    /// When the oldest write was made that is not synced yet, by the monotonic clock.
    pub(super) unsynced_since: Option<Duration>,
    /// Whether a power cut may take the name of the current log file, and with it all that is in it.
    pub(super) unnamed: bool,
}

/// What a leader owes after the sync.
#[derive(Default)]
struct Owed {
    writes: Vec<(Ticket<Lsn>, Lsn)>,
    cuts: Vec<(Ticket<Cut>, Cut)>,
    syncs: Vec<Ticket<()>>,
}

impl PreparedWrite {
    /// Encodes the operation, outside of any lock.
    pub(crate) fn new(operation: Operation, durability: Durability) -> Result<Self> {
        let body = codec::encode(&operation)?;
        Ok(Self { body_crc: body_crc(&body), body, operation, durability })
    }

    /// Bytes that the request will take in memory, roughly: the encoded and the decoded form.
    pub(crate) fn bytes(&self) -> u64 {
        2 * self.body.len() as u64
    }
}

impl<T> Ticket<T> {
    fn new() -> Self {
        Self(Arc::default())
    }

    fn share(&self) -> Self {
        Self(self.0.clone())
    }

    fn answer(&self, outcome: Result<T>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(outcome);
    }

    fn take(&self) -> Option<Result<T>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl Queue {
    fn lock(&self) -> MutexGuard<'_, QueueState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, entry: Entry) {
        self.lock().entries.push_back(entry);
    }

    /// Lets those look whose answers are there.
    fn wake(&self) {
        drop(self.lock());
        self.changed.notify_all();
    }
}

/// Ends with the leader, however it ends.
struct Leading<'a>(&'a Queue);

impl Drop for Leading<'_> {
    fn drop(&mut self) {
        self.0.lock().leading = false;
        self.0.changed.notify_all();
    }
}

/// Closes the shard if a commit panics: what is in the log may not be in memory.
struct CloseWhenPanicking<'a>(&'a Poison);

impl Drop for CloseWhenPanicking<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.set("a commit did not come to its end");
        }
    }
}

impl Committer {
    pub(super) fn new(writer: WalWriter) -> Self {
        Self { durable: writer.mark(), writer, unsynced_since: None, unnamed: false }
    }
}

impl Shard {
    /// Gives the write its place in the log; nothing is written yet. Returns at once.
    pub(crate) fn enqueue_write(&self, write: PreparedWrite) -> Ticket<Lsn> {
        let ticket = Ticket::new();
        self.queue.push(Entry::Write(write, ticket.share()));
        ticket
    }

    /// Gives a cut its place in the log. Returns at once.
    pub(crate) fn enqueue_cut(&self) -> Ticket<Cut> {
        let ticket = Ticket::new();
        self.queue.push(Entry::Cut(ticket.share()));
        ticket
    }

    /// Makes everything durable that was written so far.
    pub(crate) fn sync(&self) -> Result<()> {
        let ticket = Ticket::new();
        self.queue.push(Entry::Sync(ticket.share()));
        self.wait(&ticket)
    }

    /// Waits for the answer, leading a commit where nobody else does.
    pub(crate) fn wait<T>(&self, ticket: &Ticket<T>) -> Result<T> {
        let mut state = self.queue.lock();
        loop {
            if let Some(outcome) = ticket.take() {
                return outcome;
            }
            if state.leading {
                state = self.queue.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            if state.entries.is_empty() {
                // Nobody leads and the entry is gone: a leader panicked with it, which closed the shard.
                return Err(self.poison_check().err().unwrap_or(Error::Closed));
            }
            state.leading = true;
            let entries = std::mem::take(&mut state.entries);
            drop(state);
            let leading = Leading(&self.queue);
            self.commit(entries);
            drop(leading);
            state = self.queue.lock();
        }
    }

    fn commit(&self, entries: VecDeque<Entry>) {
        let mut committer = self.lead(&entries);
        // Ends before the lock does, so that nobody appends in between.
        let _closes = CloseWhenPanicking(&self.poison);
        let mut owed = Owed::default();
        let mut run = Vec::new();
        for entry in entries {
            match entry {
                Entry::Write(write, ticket) => run.push((write, ticket)),
                Entry::Cut(ticket) => {
                    self.append(&mut committer, std::mem::take(&mut run), &mut owed);
                    self.cut(&committer, ticket, &mut owed);
                }
                Entry::Sync(ticket) => owed.syncs.push(ticket),
            }
        }
        self.append(&mut committer, run, &mut owed);
        self.queue.wake();
        self.settle(&mut committer, owed);
    }

    /// Takes the log for a commit. Nobody else commits, so what the writes wait for here is a freeze.
    fn lead(&self, entries: &VecDeque<Entry>) -> MutexGuard<'_, Committer> {
        let writes = entries.iter().filter(|entry| matches!(entry, Entry::Write(..))).count();
        let mut wait = self.waits.log.wait(writes as u64, self.clock.as_ref());
        match self.committer.try_lock() {
            Ok(committer) => committer,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => {
                wait.begins();
                self.lock_committer()
            }
        }
    }

    /// Writes and applies a run of operations and answers those that do not wait for the sync.
    fn append(&self, committer: &mut Committer, run: Vec<(PreparedWrite, Ticket<Lsn>)>, owed: &mut Owed) {
        if run.is_empty() {
            return;
        }
        let mut lsn = committer.writer.last_lsn();
        let records: Vec<Record<'_>> = run
            .iter()
            .map(|(write, _)| {
                lsn = lsn.next();
                Record { lsn, body: &write.body, body_crc: write.body_crc }
            })
            .collect();
        let written = match self.poison_check() {
            Ok(()) => committer.writer.append(&records).map_err(|failure| self.append_failed(&committer.writer, failure)),
            Err(error) => Err(error),
        };
        drop(records);
        if let Err(error) = written {
            // The error goes to the first; the others get one that says the same.
            let text = error.to_string();
            let mut error = Some(error);
            for (_, ticket) in run {
                ticket.answer(Err(error.take().unwrap_or_else(|| self.refused(&committer.writer, &text))));
            }
            return;
        }
        self.log_bytes.store(committer.writer.len(), Ordering::Relaxed);
        self.last_lsn.store(committer.writer.last_lsn().0, Ordering::Relaxed);
        committer.unsynced_since.get_or_insert_with(|| self.clock.monotonic());
        self.unsynced.store(true, Ordering::Relaxed);
        let view = self.view();
        let mut lsn = Lsn(committer.writer.last_lsn().0 - run.len() as u64);
        for (write, ticket) in run {
            lsn = lsn.next();
            let (balance, outcome) = apply(&view, lsn, write.operation);
            self.points.fetch_add(balance, Ordering::Relaxed);
            match (outcome, write.durability) {
                (Err(error), _) => ticket.answer(Err(error)),
                (Ok(()), Durability::Buffered) => ticket.answer(Ok(lsn)),
                (Ok(()), Durability::Synced) => owed.writes.push((ticket, lsn)),
            }
        }
    }

    /// Notes the state at a cut. A poisoned shard is cut at the last record that is known to be durable.
    fn cut(&self, committer: &Committer, ticket: Ticket<Cut>, owed: &mut Owed) {
        let view = self.view();
        if self.poison.reason().is_some() {
            ticket.answer(Ok(Cut { view, log_end: committer.durable.clone() }));
        } else {
            owed.cuts.push((ticket, Cut { view, log_end: committer.writer.mark() }));
        }
    }

    /// Syncs if anyone waits for it, and answers.
    fn settle(&self, committer: &mut Committer, owed: Owed) {
        if owed.writes.is_empty() && owed.cuts.is_empty() && owed.syncs.is_empty() {
            return;
        }
        let synced = self.sync_log(committer);
        let outcome = || if synced { Ok(()) } else { self.poison_check() };
        for (ticket, lsn) in owed.writes {
            ticket.answer(outcome().map(|()| lsn));
        }
        for (ticket, cut) in owed.cuts {
            ticket.answer(outcome().map(|()| cut));
        }
        for ticket in owed.syncs {
            ticket.answer(outcome());
        }
    }

    /// Makes the log durable; a failure poisons the shard. Says whether everything written is durable.
    pub(super) fn sync_log(&self, committer: &mut Committer) -> bool {
        if self.poison.reason().is_some() {
            return false;
        }
        if committer.writer.unsynced()
            && let Err(error) = committer.writer.sync()
        {
            self.poison.set(format!("sync of {:?}: {error}", committer.writer.path()));
            return false;
        }
        if committer.unnamed {
            if self.sync_log_names().is_err() {
                return false;
            }
            committer.unnamed = false;
        }
        committer.durable = committer.writer.mark();
        committer.unsynced_since = None;
        self.unsynced.store(false, Ordering::Relaxed);
        true
    }

    fn append_failed(&self, writer: &WalWriter, failure: WriteFailure) -> Error {
        match failure {
            WriteFailure::TruncatedBack(source) => on("append to", writer.path())(source),
            WriteFailure::Poisoned(source) => {
                self.poison.set(format!("append to {:?}: {source}", writer.path()));
                on("append to", writer.path())(source)
            }
        }
    }

    fn refused(&self, writer: &WalWriter, reason: &str) -> Error {
        match self.poison_check() {
            Err(error) => error,
            Ok(()) => on("append to", writer.path())(std::io::Error::other(reason.to_owned())),
        }
    }
}

#[cfg(test)]
mod tests;
