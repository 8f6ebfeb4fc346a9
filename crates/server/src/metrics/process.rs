//! What the system knows of this process. Read from `/proc`; where that is not there, nothing is known.

use std::fs;

/// Memory and files of this process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Process {
    /// Pages in memory, in bytes, those of mapped files included.
    pub(super) resident_bytes: u64,
    /// Anonymous and shared pages in memory, in bytes: what the process takes for itself.
    pub(super) own_bytes: u64,
    /// Open files, sockets included.
    pub(super) open_files: u64,
}

impl Process {
    /// `None` where there is no `/proc`.
    pub(super) fn look() -> Option<Self> {
        let status = fs::read_to_string("/proc/self/status").ok()?;
        // The directory that is read is open too.
        let open_files = fs::read_dir("/proc/self/fd").ok()?.count().saturating_sub(1) as u64;
        Some(Self { resident_bytes: bytes(&status, "VmRSS:")?, own_bytes: own_bytes_of(&status)?, open_files })
    }
}

/// What the process takes for itself, as [`Process::own_bytes`]; cheap enough to be asked often.
pub(crate) fn own_bytes() -> Option<u64> {
    own_bytes_of(&fs::read_to_string("/proc/self/status").ok()?)
}

fn own_bytes_of(status: &str) -> Option<u64> {
    Some(bytes(status, "RssAnon:")?.saturating_add(bytes(status, "RssShmem:")?))
}

/// The value of a line such as `VmRSS:    1234 kB`.
fn bytes(status: &str, field: &str) -> Option<u64> {
    let value = status.lines().find_map(|line| line.strip_prefix(field))?;
    let kib: u64 = value.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kib.saturating_mul(1024))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_found_by_their_whole_name() {
        let status = "Name:\ticecore\nVmHWM:\t   99 kB\nVmRSS:\t   12 kB\nThreads:\t3\n";
        assert_eq!(bytes(status, "VmRSS:"), Some(12 * 1024));
        assert_eq!(bytes(status, "RssAnon:"), None);
        assert_eq!(bytes(status, "Threads:"), None);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn this_process_has_memory_and_files() {
        let found = Process::look().unwrap();
        assert!(found.resident_bytes >= found.own_bytes && found.own_bytes > 0 && found.open_files >= 3, "{found:?}");
    }
}
