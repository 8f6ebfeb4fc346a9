//! The machine that the numbers are of. Read from `/proc`; what is not there is not told.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::tools::threads;

/// What the numbers depend on beside the program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Machine {
    cores: usize,
    cpu: Option<String>,
    hardware_sha256: bool,
    memory_bytes: Option<u64>,
    kernel: Option<String>,
    disk: Option<Mount>,
}

/// A mounted file system.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Mount {
    device: String,
    point: String,
    kind: String,
}

impl Machine {
    /// This machine, and the file system of `dir`, a path without symbolic links.
    pub(super) fn look(dir: &Path) -> Self {
        let read = |path: &str| fs::read_to_string(path).ok();
        Self {
            cores: threads().get(),
            cpu: read("/proc/cpuinfo").as_deref().and_then(|text| field(text, "model name")).map(str::to_owned),
            hardware_sha256: hardware_sha256(),
            memory_bytes: read("/proc/meminfo").as_deref().and_then(memory_bytes),
            kernel: read("/proc/sys/kernel/osrelease").map(|text| text.trim().to_owned()),
            disk: read("/proc/self/mounts").as_deref().and_then(|text| mount_of(text, dir)),
        }
    }

    /// For people: what computes, and what stores.
    pub(super) fn describe(&self) -> [String; 2] {
        let cpu = self.cpu.as_deref().unwrap_or("unknown");
        let sha = if self.hardware_sha256 { "in hardware" } else { "in software" };
        let memory = self.memory_bytes.map(|bytes| format!(", {:.1} GB of memory", bytes as f64 / 1e9)).unwrap_or_default();
        let kernel = self.kernel.as_deref().unwrap_or("of unknown version");
        let disk = match &self.disk {
            Some(Mount { device, point, kind }) => format!("{kind} on {device}, mounted at {point}"),
            None => "unknown".to_owned(),
        };
        [format!("{} cores of {cpu}, SHA-256 {sha}{memory}, Linux {kernel}", self.cores), disk]
    }

    /// For programs.
    pub(super) fn facts(&self) -> Value {
        json!({
            "cores": self.cores,
            "cpu": self.cpu,
            "hardware_sha256": self.hardware_sha256,
            "memory_bytes": self.memory_bytes,
            "kernel": self.kernel,
            "file_system": self.disk.as_ref().map(|mount| &mount.kind),
            "device": self.disk.as_ref().map(|mount| &mount.device),
            "mounted_at": self.disk.as_ref().map(|mount| &mount.point),
        })
    }
}

/// Whether the processor has instructions for SHA-256, which are then used.
fn hardware_sha256() -> bool {
    #[cfg(target_arch = "x86_64")]
    return std::arch::is_x86_feature_detected!("sha");
    #[cfg(target_arch = "aarch64")]
    return std::arch::is_aarch64_feature_detected!("sha2");
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    return false;
}

/// The value of the first line `<name> : <value>`.
fn field<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    text.lines().find_map(|line| {
        let (found, value) = line.split_once(':')?;
        (found.trim() == name).then(|| value.trim())
    })
}

/// What the line `MemTotal: <number> kB` says.
fn memory_bytes(text: &str) -> Option<u64> {
    let kib: u64 = field(text, "MemTotal")?.strip_suffix(" kB")?.parse().ok()?;
    Some(kib.saturating_mul(1024))
}

/// The file system that `dir` is on: of those mounted at a directory above it the innermost, and of those mounted at the same place the
/// last, which hides the others. Lines are `device point kind options …`.
fn mount_of(mounts: &str, dir: &Path) -> Option<Mount> {
    let mount = |line: &str| {
        let mut words = line.split(' ').map(unescaped);
        Some(Mount { device: words.next()?, point: words.next()?, kind: words.next()? })
    };
    let above = mounts.lines().filter_map(mount).filter(|mount| dir.starts_with(&mount.point));
    above.max_by_key(|mount| PathBuf::from(&mount.point).components().count())
}

/// A word with `\040` for a space, and the like.
fn unescaped(word: &str) -> String {
    let mut parts = word.split('\\');
    let mut bytes = parts.next().unwrap_or_default().as_bytes().to_vec();
    for part in parts {
        match part.get(..3).and_then(|digits| u8::from_str_radix(digits, 8).ok()) {
            Some(byte) => {
                bytes.push(byte);
                bytes.extend_from_slice(part.get(3..).unwrap_or_default().as_bytes());
            }
            None => {
                bytes.push(b'\\');
                bytes.extend_from_slice(part.as_bytes());
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOUNTS: &str = "/dev/a / ext4 rw 0 0\ntmpfs /mnt/x tmpfs rw 0 0\n/dev/b /mnt xfs rw 0 0\n/dev/c /mnt/x\\040y btrfs rw 0 0\n\
        /dev/d / overlay rw 0 0\nbroken\n";

    #[test]
    fn a_directory_is_on_the_innermost_and_last_mount() {
        let kind = |dir: &str| mount_of(MOUNTS, Path::new(dir)).map(|mount| (mount.device, mount.kind));
        let pair = |device: &str, kind: &str| Some((device.to_owned(), kind.to_owned()));
        assert_eq!(kind("/home"), pair("/dev/d", "overlay"));
        assert_eq!(kind("/mnt/xy"), pair("/dev/b", "xfs"));
        assert_eq!(kind("/mnt/x/z"), pair("tmpfs", "tmpfs"));
        assert_eq!(kind("/mnt/x y/z"), pair("/dev/c", "btrfs"));
        assert_eq!(mount_of("", Path::new("/")), None);
    }

    #[test]
    fn escapes_are_those_of_three_octal_digits() {
        assert_eq!(unescaped("a\\040b\\011c"), "a b\tc");
        assert_eq!(unescaped("a\\b\\04\\"), "a\\b\\04\\");
        assert_eq!(unescaped("\\303\\274"), "\u{fc}");
    }

    #[test]
    fn fields_are_found_by_their_whole_name() {
        let text = "processor\t: 0\nmodel name\t: Fast CPU: 9000\nmodel name\t: other\n";
        assert_eq!(field(text, "model name"), Some("Fast CPU: 9000"));
        assert_eq!(field(text, "model"), None);
        assert_eq!(memory_bytes("MemFree: 1 kB\nMemTotal:       12 kB\n"), Some(12 * 1024));
        assert_eq!(memory_bytes("MemTotal: many kB\n"), None);
    }

    #[test]
    fn this_machine_is_described_in_both_ways() {
        let machine = Machine::look(&Path::new(".").canonicalize().unwrap());
        let facts = machine.facts();
        assert_eq!(facts["cores"], threads().get());
        assert_eq!(facts["hardware_sha256"], hardware_sha256());
        assert!(machine.describe()[0].starts_with(&format!("{} cores of ", threads())));
    }
}
