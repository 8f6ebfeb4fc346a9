//! The server as a child process, with its storage, its archives and its settings in one directory.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use crate::{Outcome, wait_for};

/// How long the storage's files have to stay as they are to be taken for settled.
const SETTLED: Duration = Duration::from_secs(3);

/// A server that answers.
pub(crate) struct Server {
    process: Child,
    address: SocketAddr,
    home: PathBuf,
}

impl Server {
    /// Starts it, and waits until it listens.
    pub(crate) fn start(binary: &Path, home: &Path) -> Outcome<Self> {
        write_settings(home, 0.0)?;
        let mut process = Command::new(binary)
            .args(["--config-path", "settings.yaml"])
            .current_dir(home)
            .stdout(Stdio::piped())
            .stderr(fs::File::create(home.join("log"))?)
            .spawn()?;
        let mut line = String::new();
        if let Some(output) = process.stdout.take() {
            BufReader::new(output).read_line(&mut line)?;
        }
        let address = line.split_whitespace().find_map(|word| word.strip_prefix("http://")?.trim_end_matches(',').parse().ok());
        match address {
            Some(address) => Ok(Self { process, address, home: home.to_owned() }),
            None => {
                process.wait()?;
                Err(format!("the server did not start:\n{}", fs::read_to_string(home.join("log"))?).into())
            }
        }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Limits archives to so many MB a second, 0 being no limit, and waits until the server has heard of it.
    pub(crate) fn limit(&self, megabytes: f64) -> Outcome<()> {
        let log = || fs::read_to_string(self.home.join("log"));
        let reports = |log: &str| log.matches("the settings were read again").count();
        let before = reports(&log()?);
        write_settings(&self.home, megabytes)?;
        Command::new("kill").args(["-HUP", &self.process.id().to_string()]).status()?;
        wait_for("a new limit", || Ok((reports(&log()?) > before).then_some(())))
    }

    /// Links to the segments, once compactions have come to their end. They stay, whatever the server does with the segments later.
    pub(crate) fn settled_files(&self) -> Outcome<Vec<PathBuf>> {
        let (shards, links) = (self.home.join("storage/shards"), self.home.join("segments"));
        let found = wait_for("the end of compactions", || {
            let before = segments(&shards)?;
            thread::sleep(SETTLED);
            Ok((segments(&shards)? == before).then_some(before))
        })?;
        fs::create_dir(&links)?;
        let link = |(number, (path, _)): (usize, &(PathBuf, u64))| {
            let link = links.join(format!("{number:06}"));
            fs::hard_link(path, &link).map(|()| link)
        };
        Ok(found.iter().enumerate().map(link).collect::<Result<_, _>>()?)
    }

    /// Asks it to end, and waits.
    pub(crate) fn stop(&mut self) -> Outcome<()> {
        Command::new("kill").args(["-TERM", &self.process.id().to_string()]).status()?;
        match self.process.wait()? {
            status if status.success() => Ok(()),
            status => Err(format!("the server ended with {status}").into()),
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It has ended already, unless something else has failed, which is what will be told.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn write_settings(home: &Path, megabytes: f64) -> Outcome<()> {
    let text = format!(
        "service: {{host: 127.0.0.1, http_port: 0}}\nsnapshots: {{bandwidth_mb_s: {megabytes:.0}}}\n\
         storage: {{storage_path: ./storage, snapshots_path: ./snapshots}}\n"
    );
    Ok(fs::write(home.join("settings.yaml"), text)?)
}

/// All segments with their lengths, sorted.
fn segments(shards: &Path) -> Outcome<Vec<(PathBuf, u64)>> {
    let mut found = Vec::new();
    for shard in fs::read_dir(shards)? {
        for file in fs::read_dir(shard?.path().join("segments"))? {
            let path = file?.path();
            // One that has gone by now makes two lists differ, as it should.
            let len = path.metadata().map_or(0, |found| found.len());
            found.push((path, len));
        }
    }
    found.sort();
    Ok(found)
}
