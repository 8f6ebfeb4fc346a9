//! What the phases say: percentiles, the goals that follow from them, and the server's own count of its waits.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::Outcome;
use crate::client::Client;
use crate::open_loop::Load;

/// No write may wait longer inside the server. Buckets are powers of two of microseconds: this is the one up to 1.024 ms.
const WAIT_MAX_SECONDS: f64 = 0.001_03;

/// How many writes have waited, and how many of them too long, by what they waited for.
#[derive(Debug, Clone, Default)]
pub(crate) struct Waits(BTreeMap<String, (u64, u64)>);

/// All phases of one name together.
#[derive(Debug, Default)]
struct Phase {
    load: Load,
    rates: Vec<f64>,
    waits: Waits,
}

/// The phases by name, in the order of the first round.
#[derive(Debug, Default)]
pub(crate) struct Phases(Vec<(&'static str, Phase)>);

impl Waits {
    /// As the server counts them now.
    pub(crate) fn scrape(client: &mut Client) -> Outcome<Self> {
        let text = String::from_utf8(client.send("GET", "/metrics", "")?)?;
        let mut waits = Self::default();
        for line in text.lines() {
            let Some(rest) = line.strip_prefix("storage_write_wait_seconds_bucket{") else { continue };
            let label = |name: &str| rest.split(&format!("{name}=\"")).nth(1)?.split('"').next();
            let (Some(bound), Some(name), Some((_, count))) = (label("le"), label("for"), rest.rsplit_once(' ')) else {
                return Err(format!("not a bucket: {line}").into());
            };
            let (all, short) = waits.0.entry(name.to_owned()).or_default();
            let count: u64 = count.parse()?;
            *all = count.max(*all);
            if bound.parse::<f64>().is_ok_and(|bound| bound <= WAIT_MAX_SECONDS) {
                *short = count.max(*short);
            }
        }
        Ok(waits)
    }

    /// What has come since `before`.
    pub(crate) fn since(mut self, before: &Self) -> Self {
        for (name, (all, short)) in &mut self.0 {
            let (all_before, short_before) = before.0.get(name).copied().unwrap_or_default();
            (*all, *short) = (*all - all_before, *short - short_before);
        }
        self
    }

    fn add(&mut self, other: Self) {
        for (name, (all, short)) in other.0 {
            let sum = self.0.entry(name).or_default();
            *sum = (sum.0 + all, sum.1 + short);
        }
    }

    fn describe(&self) -> String {
        let each = self.0.iter().map(|(name, (all, short))| format!("{name} {} of {all}", all - short));
        each.collect::<Vec<_>>().join(", ")
    }
}

impl Phases {
    pub(crate) fn add(&mut self, name: &'static str, load: Load, rates: &[f64], waits: Waits) {
        let index = self.0.iter().position(|(known, _)| *known == name).unwrap_or_else(|| {
            self.0.push((name, Phase::default()));
            self.0.len() - 1
        });
        let Some((_, phase)) = self.0.get_mut(index) else { return };
        phase.load.writes.extend(load.writes);
        phase.load.reads.extend(load.reads);
        phase.rates.extend(rates);
        phase.waits.add(waits);
    }

    /// Prints all that was measured.
    pub(crate) fn print(mut self) {
        println!("beside                   | writes: p50 / p99 / max, ms       | reads: p50 / p99 / max, ms        | MB/s");
        for (name, phase) in &mut self.0 {
            phase.load.writes.sort();
            phase.load.reads.sort();
            phase.rates.sort_by(f64::total_cmp);
            let rate = phase.rates.get(phase.rates.len() / 2).map_or_else(|| "-".to_owned(), |rate| format!("{rate:.0}"));
            println!("{name:24} | {:33} | {:33} | {rate}", three(&phase.load.writes), three(&phase.load.reads));
        }
        println!("\nwrites that waited inside the server for more than 1 ms:");
        for (name, phase) in &self.0 {
            println!(
                "{name:24} | {} | {} writes, {} reads",
                phase.waits.describe(),
                phase.load.writes.len(),
                phase.load.reads.len()
            );
        }
        self.goals();
    }

    fn goals(&self) {
        let find = |name: &str| self.0.iter().find(|(known, _)| *known == name).map(|(_, phase)| phase);
        let (Some(idle), Some(copy), Some(snapshot), Some(slow)) =
            (find("nothing"), find("a plain copy"), find("a snapshot"), find("a snapshot at a quarter"))
        else {
            return;
        };
        let ratio = |one: f64, other: f64| format!("{:.2}", one / other);
        println!("\ngoals:");
        let (writes, copied) = (&snapshot.load.writes, &copy.load.writes);
        println!("writes beside a snapshot to beside a copy, p99: {} (at most 1.2)", ratio(at(writes, 99), at(copied, 99)));
        println!("writes beside a snapshot to beside a copy, max: {} (at most 1.2)", ratio(at(writes, 100), at(copied, 100)));
        let more = at(&slow.load.writes, 99) - at(&idle.load.writes, 99);
        println!("writes beside a snapshot at a quarter, p99 above idle: {more:.2} ms (at most 5)");
        for (name, phase) in [("a snapshot", snapshot), ("a snapshot at a quarter", slow)] {
            let (reads, idle) = (&phase.load.reads, &idle.load.reads);
            let (median, high) = (ratio(at(reads, 50), at(idle, 50)), ratio(at(reads, 99), at(idle, 99)));
            println!("reads beside {name} to idle, p50 and p99: {median} and {high} (at most 1.5)");
        }
        let copied = ratio(at(&copy.load.reads, 99), at(&idle.load.reads, 99));
        println!("reads beside a copy to idle, p99: {copied} (for comparison)");
    }
}

/// A percentile of sorted latencies, in milliseconds; 100 is the longest.
fn at(sorted: &[Duration], percent: usize) -> f64 {
    let index = (sorted.len() * percent).div_ceil(100).saturating_sub(1);
    sorted.get(index).map_or(f64::NAN, |latency| latency.as_secs_f64() * 1e3)
}

fn three(sorted: &[Duration]) -> String {
    format!("{:9.2} / {:9.2} / {:9.2}", at(sorted, 50), at(sorted, 99), at(sorted, 100))
}
