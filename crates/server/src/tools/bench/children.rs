//! Programs that run beside this one: one, or several that pass bytes on to each other.
//!
//! They are waited for, and killed when the measurement is stopped or one of them cannot be started, so that none outlives it.
//!
//! A terminal interrupts them together with this process. They end by it even where whoever started this process has it ignored,
//! which programs hand on: this process catches it before it starts them, and what is caught is at its default in what is started.

use std::io::Read;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::thread;
use std::time::Duration;

use super::error::{BenchError, Result};
use crate::shutdown::Shutdown;

/// Time between two looks at children.
const POLL_INTERVAL: Duration = Duration::from_millis(1);
/// The number of the signal that a terminal sends to all at its keyboard's interrupt.
const SIGINT: i32 = 2;
/// The most that is taken of what a program says, in bytes.
const ANSWER_LEN_MAX: u64 = 4096;

/// Runs programs, each reading what the one before it writes, until all have ended well; the beginning of what the last one says.
pub(super) fn run(pipe: Vec<(&'static str, Command)>, shutdown: &Shutdown) -> Result<String> {
    let mut children = Children(Vec::new());
    let mut output: Option<ChildStdout> = None;
    for (program, mut command) in pipe {
        let input = output.take().map_or_else(Stdio::null, Stdio::from);
        let spawned = command.env("LC_ALL", "C").stdin(input).stdout(Stdio::piped()).spawn();
        let mut child = spawned.map_err(|source| BenchError::Spawn { program, source })?;
        output = child.stdout.take();
        children.0.push((program, child));
    }
    children.wait(shutdown)?;
    let mut text = Vec::new();
    let read = output.map(|output| output.take(ANSWER_LEN_MAX).read_to_end(&mut text));
    read.transpose().map_err(|source| BenchError::Process { what: "read what a program says", source })?;
    Ok(String::from_utf8_lossy(&text).into_owned())
}

/// Running programs; those that still run when the value is dropped are killed.
struct Children(Vec<(&'static str, Child)>);

impl Children {
    /// Waits until all have ended, and fails if one has not ended well, or the measurement is stopped.
    fn wait(&mut self, shutdown: &Shutdown) -> Result<()> {
        loop {
            if shutdown.is_requested() {
                return Err(BenchError::Stopped);
            }
            let mut ended: Vec<(&'static str, ExitStatus)> = Vec::new();
            for (program, child) in &mut self.0 {
                let status = child.try_wait().map_err(|source| BenchError::Spawn { program, source })?;
                ended.extend(status.map(|status| (*program, status)));
            }
            if ended.len() == self.0.len() {
                return verdict(&ended);
            }
            thread::sleep(POLL_INTERVAL);
        }
    }
}

impl Drop for Children {
    fn drop(&mut self) {
        for (_, child) in &mut self.0 {
            // One that has ended already needs neither.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Who ended by himself and not well is to blame, rather than those who broke off because of him.
fn verdict(ended: &[(&'static str, ExitStatus)]) -> Result<()> {
    if ended.iter().any(|(_, status)| status.signal() == Some(SIGINT)) {
        return Err(BenchError::Stopped);
    }
    let mut failed: Vec<_> = ended.iter().filter(|(_, status)| !status.success()).collect();
    failed.sort_by_key(|(_, status)| status.code().is_none());
    failed.first().map_or(Ok(()), |(program, status)| Err(BenchError::Program { program, status: *status }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &'static str) -> (&'static str, Command) {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        ("sh", command)
    }

    #[test]
    fn a_pipe_gives_what_its_last_program_says() {
        let text = run(vec![shell("echo a; echo b"), shell("cat"), shell("wc -l")], &Shutdown::new()).unwrap();
        assert_eq!(text.trim(), "2");
    }

    #[test]
    fn the_program_that_failed_is_named() {
        let shutdown = Shutdown::new();
        let (_, killed) = shell("kill -TERM $$");
        let failed = run(vec![("first", killed), ("second", shell("exit 3").1)], &shutdown);
        assert!(matches!(&failed, Err(BenchError::Program { program: "second", .. })), "{failed:?}");
        let missing = run(vec![shell("exec cat"), ("none", Command::new("icecore-no-such-program"))], &shutdown);
        assert!(matches!(missing, Err(BenchError::Spawn { program: "none", .. })), "{missing:?}");
    }

    /// The status is made up: whoever runs the tests may have the signal ignored, and then no program that they start ends by it.
    #[test]
    fn an_interrupt_is_a_stop_whatever_else_has_failed() {
        let interrupted = ExitStatus::from_raw(SIGINT);
        let failed = ExitStatus::from_raw(3 << 8);
        for ended in [vec![("one", interrupted)], vec![("one", failed), ("two", interrupted)]] {
            let verdict = verdict(&ended);
            assert!(matches!(verdict, Err(BenchError::Stopped)), "{ended:?}: {verdict:?}");
        }
    }

    #[test]
    fn a_stop_ends_what_runs() {
        let shutdown = Shutdown::new();
        shutdown.force();
        let stopped = run(vec![shell("exec sleep 600")], &shutdown);
        assert!(matches!(stopped, Err(BenchError::Stopped)), "{stopped:?}");
    }
}
