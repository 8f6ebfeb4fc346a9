//! Which calls fail, and how.
//!
//! Each fault counts the calls that it matches from the moment it is injected, so a test does not depend on what its setup did. If
//! several faults match a call, all of them count it and the first injected one that is due decides. Nothing here touches a file.

use std::collections::HashMap;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustix::io::Errno;

/// A kind of call of [`crate::Fs`] or [`crate::File`], named as its method is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[expect(missing_docs, reason = "each variant is the method of the same name")]
pub enum Operation {
    OpenRead,
    OpenWrite,
    CreateNew,
    Metadata,
    CreateDir,
    List,
    Rename,
    RenameNoreplace,
    Link,
    RemoveFile,
    RemoveDir,
    SyncDir,
    SetMode,
    Lock,
    FreeSpace,
    Len,
    ReadAt,
    WriteAt,
    SetLen,
    SyncData,
    Allocate,
    CloneRange,
    CopyRange,
    StartWriteback,
    WaitWriteback,
    WriteDirectly,
    Map,
    TryLock,
}

/// How a call fails.
#[derive(Debug, Clone, Copy)]
enum Failure {
    Kind(io::ErrorKind),
    Errno(i32),
}

impl Failure {
    fn error(self) -> io::Error {
        match self {
            Self::Kind(kind) => kind.into(),
            Self::Errno(errno) => io::Error::from_raw_os_error(errno),
        }
    }
}

/// When in a call the failure comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Moment {
    Before,
    After,
    /// The call writes this many bytes and succeeds; the one after it fails.
    ShortWrite(usize),
}

/// One thing that goes wrong. By default the first matching call fails with EIO, once, and changes nothing.
#[derive(Debug, Clone)]
pub struct Fault {
    operation: Operation,
    path_part: String,
    nth: u64,
    lasting: bool,
    moment: Moment,
    failure: Failure,
    calls: u64,
}

impl Fault {
    /// A fault of one operation on any path.
    pub fn on(operation: Operation) -> Self {
        Self {
            operation,
            path_part: String::new(),
            nth: 1,
            lasting: false,
            moment: Moment::Before,
            failure: Failure::Errno(Errno::IO.raw_os_error()),
            calls: 0,
        }
    }

    /// A write that does `bytes` of its bytes and says so; the next matching write fails.
    pub fn short_write(bytes: usize) -> Self {
        Self { moment: Moment::ShortWrite(bytes), ..Self::on(Operation::WriteAt) }
    }

    /// Only calls with a path that contains `part` match.
    #[must_use]
    pub fn path_contains(self, part: impl Into<String>) -> Self {
        Self { path_part: part.into(), ..self }
    }

    /// The `nth` matching call fails; 1 is the next one.
    #[must_use]
    pub fn nth(self, nth: u64) -> Self {
        Self { nth, ..self }
    }

    /// All later matching calls fail too.
    #[must_use]
    pub fn from_then_on(self) -> Self {
        Self { lasting: true, ..self }
    }

    /// Fails with an error of this kind, without a number.
    #[must_use]
    pub fn kind(self, kind: io::ErrorKind) -> Self {
        Self { failure: Failure::Kind(kind), ..self }
    }

    /// Fails with this error number of the operating system, such as 28 for a full disk.
    #[must_use]
    pub fn errno(self, errno: i32) -> Self {
        Self { failure: Failure::Errno(errno), ..self }
    }

    /// The call is carried out and fails all the same, as when an answer is lost. If it fails by itself, that error is returned.
    #[must_use]
    pub fn after_effect(self) -> Self {
        Self { moment: Moment::After, ..self }
    }

    fn matches(&self, operation: Operation, paths: &[&Path]) -> bool {
        self.operation == operation && paths.iter().any(|path| contains(path, &self.path_part))
    }

    /// Counts a matching call and says what happens to it.
    fn count(&mut self) -> Verdict {
        self.calls += 1;
        match self.moment {
            Moment::ShortWrite(bytes) if self.calls == self.nth => Verdict::Short(bytes),
            Moment::ShortWrite(_) if self.is_due(self.nth + 1) => Verdict::Fail(self.failure.error()),
            Moment::Before if self.is_due(self.nth) => Verdict::Fail(self.failure.error()),
            Moment::After if self.is_due(self.nth) => Verdict::FailAfter(self.failure.error()),
            _ => Verdict::Pass,
        }
    }

    fn is_due(&self, nth: u64) -> bool {
        self.calls == nth || (self.lasting && self.calls > nth)
    }
}

fn contains(path: &Path, part: &str) -> bool {
    path.to_string_lossy().contains(part)
}

/// What happens to a call.
#[derive(Debug)]
pub(super) enum Verdict {
    Pass,
    Fail(io::Error),
    FailAfter(io::Error),
    Short(usize),
}

/// Bits that are wrong whenever a byte of a file is read.
#[derive(Debug)]
struct Damage {
    path_part: String,
    offset: u64,
    mask: u8,
}

#[derive(Debug, Default)]
struct Plan {
    faults: Vec<Fault>,
    damage: Vec<Damage>,
    calls: HashMap<Operation, u64>,
    fired: u64,
}

/// The faults of a [`crate::FaultFs`]; clones are the same ones.
#[derive(Debug, Clone, Default)]
pub struct Faults {
    plan: Arc<Mutex<Plan>>,
}

impl Faults {
    /// Adds a fault, whose count of calls begins now.
    pub fn inject(&self, fault: Fault) {
        self.plan().faults.push(fault);
    }

    /// From now on the byte at `offset` of every file whose path contains `path_part` is read with the bits of `mask` flipped,
    /// as from a bad disk. What is stored does not change.
    pub fn corrupt(&self, path_part: impl Into<String>, offset: u64, mask: u8) {
        self.plan().damage.push(Damage { path_part: path_part.into(), offset, mask });
    }

    /// Ends all faults and all damage. Counts go on.
    pub fn clear(&self) {
        let mut plan = self.plan();
        plan.faults.clear();
        plan.damage.clear();
    }

    /// How many calls of an operation were made, failed ones included.
    pub fn calls(&self, operation: Operation) -> u64 {
        self.plan().calls.get(&operation).copied().unwrap_or(0)
    }

    /// How many calls were made to fail or to be short: a test can see that its fault really came up.
    pub fn fired(&self) -> u64 {
        self.plan().fired
    }

    pub(super) fn verdict(&self, operation: Operation, paths: &[&Path]) -> Verdict {
        let mut plan = self.plan();
        *plan.calls.entry(operation).or_default() += 1;
        let mut verdict = Verdict::Pass;
        for fault in plan.faults.iter_mut().filter(|fault| fault.matches(operation, paths)) {
            let next = fault.count();
            if matches!(verdict, Verdict::Pass) {
                verdict = next;
            }
        }
        if !matches!(verdict, Verdict::Pass) {
            plan.fired += 1;
        }
        verdict
    }

    pub(super) fn damages(&self, path: &Path) -> bool {
        self.plan().damage.iter().any(|damage| contains(path, &damage.path_part))
    }

    /// Flips what is to be flipped in `bytes`, which were read at `offset`.
    pub(super) fn damage(&self, path: &Path, bytes: &mut [u8], offset: u64) {
        for damage in self.plan().damage.iter().filter(|damage| contains(path, &damage.path_part)) {
            let index = damage.offset.checked_sub(offset).and_then(|index| usize::try_from(index).ok());
            if let Some(byte) = index.and_then(|index| bytes.get_mut(index)) {
                *byte ^= damage.mask;
            }
        }
    }

    fn plan(&self) -> MutexGuard<'_, Plan> {
        self.plan.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
