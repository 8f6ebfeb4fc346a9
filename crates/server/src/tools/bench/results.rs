//! The numbers: what every run took, and what is made of it. Pure.

use super::memory::Memory;
use super::step::{ROWS, Step};

/// Bytes in a megabyte, as the options and the results count them.
pub(super) const MEGABYTE: u64 = 1_000_000;

/// One run of one step.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Run {
    /// Wall time.
    pub(super) seconds: f64,
    /// Memory of this process; of other programs it is not known.
    pub(super) memory: Option<Memory>,
    /// The length of the archive that it has made, in bytes.
    pub(super) file_bytes: Option<u64>,
}

/// All runs of all steps.
#[derive(Debug, Default)]
pub(super) struct Results {
    /// The bytes of data that each step handles.
    bytes: u64,
    runs: Vec<(Step, Run)>,
    missing: Vec<(Step, &'static str)>,
}

/// One line of the result.
#[derive(Debug, PartialEq)]
pub(super) struct Row {
    /// What was measured.
    pub(super) step: Step,
    /// The median of the runs.
    pub(super) seconds: Option<f64>,
    /// Megabytes of data in a second.
    pub(super) mb_per_second: Option<f64>,
    /// The limit's time divided by this one: 1 is as fast as the plain programs.
    pub(super) ratio: Option<f64>,
    /// The most memory that a run has added, in bytes.
    pub(super) growth: Option<u64>,
    /// The most memory that the process had in a run, in bytes.
    pub(super) peak: Option<u64>,
    /// The length of the archive that the last run has made, in bytes.
    pub(super) file_bytes: Option<u64>,
    /// The program that is not there, if that is why there are no numbers.
    pub(super) missing: Option<&'static str>,
    /// Every single run, in the order of the rounds.
    pub(super) runs: Vec<Run>,
}

impl Results {
    /// No runs yet, of steps on so many bytes of data.
    pub(super) fn new(bytes: u64) -> Self {
        Self { bytes, ..Self::default() }
    }

    /// Adds a run.
    pub(super) fn add(&mut self, step: Step, run: Run) {
        self.runs.push((step, run));
    }

    /// Notes why a step has no runs.
    pub(super) fn miss(&mut self, step: Step, program: &'static str) {
        if !self.missing.contains(&(step, program)) {
            self.missing.push((step, program));
        }
    }

    /// A row for each step that was asked for.
    pub(super) fn rows(&self) -> Vec<Row> {
        ROWS.iter().filter_map(|step| self.row(*step)).collect()
    }

    fn row(&self, step: Step) -> Option<Row> {
        let runs: Vec<Run> = self.of(step).collect();
        let missing = self.missing.iter().find(|(missing, _)| *missing == step).map(|(_, program)| *program);
        if runs.is_empty() && missing.is_none() {
            return None;
        }
        let seconds = self.seconds(step);
        Some(Row {
            step,
            seconds,
            mb_per_second: seconds.and_then(|seconds| quotient(self.bytes as f64 / MEGABYTE as f64, seconds)),
            ratio: step.limit().and_then(|limit| quotient(self.seconds(limit)?, seconds?)),
            growth: runs.iter().filter_map(|run| run.memory).map(Memory::growth).max(),
            peak: runs.iter().filter_map(|run| run.memory).map(|memory| memory.peak).max(),
            file_bytes: runs.last().and_then(|run| run.file_bytes),
            missing,
            runs,
        })
    }

    fn of(&self, step: Step) -> impl Iterator<Item = Run> {
        self.runs.iter().filter(move |(other, _)| *other == step).map(|(_, run)| *run)
    }

    fn seconds(&self, step: Step) -> Option<f64> {
        median(self.of(step).map(|run| run.seconds).collect())
    }
}

/// The middle one, or the mean of the two in the middle.
fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let (low, high) = (values.len().checked_sub(1)? / 2, values.len() / 2);
    Some((values.get(low)? + values.get(high)?) / 2.0)
}

/// Nothing is that fast: a time of zero is one that could not be measured.
fn quotient(dividend: f64, divisor: f64) -> Option<f64> {
    (divisor > 0.0).then(|| dividend / divisor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_are_in_the_middle() {
        assert_eq!(median(vec![]), None);
        assert_eq!(median(vec![3.0]), Some(3.0));
        assert_eq!(median(vec![9.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(vec![4.0, 1.0, 2.0, 8.0]), Some(3.0));
    }

    #[test]
    fn rows_have_rates_ratios_and_the_most_memory() {
        let memory = |start, peak| Some(Memory { start, peak });
        let mut results = Results::new(3 * MEGABYTE);
        for (step, seconds, memory) in [
            (Step::Create, 1.0, memory(10, 30)),
            (Step::CreateLimit, 0.9, memory(20, 20)),
            (Step::CreateLimit, 1.3, memory(20, 21)),
            (Step::Create, 3.0, memory(40, 45)),
            (Step::Verify, 0.0, None),
        ] {
            results.add(step, Run { seconds, memory, file_bytes: memory.map(|_| 7) });
        }
        for _ in 0..2 {
            results.miss(Step::TarCreate, "tar");
        }
        let rows = results.rows();
        let steps: Vec<Step> = rows.iter().map(|row| row.step).collect();
        assert_eq!(steps, [Step::CreateLimit, Step::Create, Step::TarCreate, Step::Verify]);

        let create = &rows[1];
        assert_eq!((create.seconds, create.mb_per_second, create.runs.len()), (Some(2.0), Some(1.5), 2));
        assert!((create.ratio.unwrap() - 0.55).abs() < 1e-12, "{create:?}");
        assert_eq!((create.growth, create.peak, create.file_bytes), (Some(20), Some(45), Some(7)));
        assert_eq!((rows[0].ratio, rows[0].growth), (None, Some(1)));

        let nothing = Row { missing: Some("tar"), ..empty(Step::TarCreate) };
        assert_eq!(rows[2], nothing);
        assert_eq!((rows[3].seconds, rows[3].mb_per_second, rows[3].ratio, rows[3].peak), (Some(0.0), None, None, None));
    }

    fn empty(step: Step) -> Row {
        Row {
            step,
            seconds: None,
            mb_per_second: None,
            ratio: None,
            growth: None,
            peak: None,
            file_bytes: None,
            missing: None,
            runs: Vec::new(),
        }
    }
}
