//! The result as a table for people and as JSON for programs. What the rows mean is told in `docs/performance.md`.

use std::io::{self, Write};

use serde_json::{Value, json};

use super::memory::Memory;
use super::results::{MEGABYTE, Row, Run};
use crate::tools::table::{Table, printable};

/// Bytes in a mebibyte, in which memory is told.
const MEBIBYTE: f64 = (1_u64 << 20) as f64;
/// What stands where there is no number.
const NOTHING: &str = "-";

/// The numbers, and all that has to be known to compare them with others.
#[derive(Debug)]
pub(super) struct Report {
    /// Lines above the table: what a line is about, and the line.
    pub(super) head: Vec<(&'static str, String)>,
    /// The same for programs: the fields of the object beside `rows`.
    pub(super) facts: Value,
    /// The numbers.
    pub(super) rows: Vec<Row>,
}

impl Report {
    /// Writes it for people.
    pub(super) fn print(&self, out: &mut dyn Write) -> io::Result<()> {
        for (about, line) in &self.head {
            writeln!(out, "{about:<11} {}", printable(line))?;
        }
        writeln!(out)?;
        let mut table = Table::new(&["what", "seconds#", "MB/s#", "of limit#", "memory +MiB#", "at most MiB#", "file MB#"]);
        for row in &self.rows {
            table.row(cells(row));
        }
        table.write(out)?;
        let runs = self.rows.iter().map(|row| row.runs.len()).max().unwrap_or(0);
        let note =
            "of limit: time of the limit divided by time, so 1.00 is as fast as plain programs can be; memory: most of all runs";
        writeln!(out, "\nseconds: median of {runs}; MB/s: millions of bytes of data in a second;\n{note}")
    }

    /// The result as one object.
    pub(super) fn json(&self) -> Value {
        let mut object = self.facts.clone();
        object["rows"] = self.rows.iter().map(row).collect();
        object
    }
}

fn cells(row: &Row) -> [String; 7] {
    let number = |value: Option<f64>, digits: usize| match value {
        Some(value) => format!("{value:.digits$}"),
        None => NOTHING.to_owned(),
    };
    let mebibytes = |bytes: Option<u64>| number(bytes.map(|bytes| bytes as f64 / MEBIBYTE), 1);
    let title = match row.missing {
        Some(program) => format!("{} ({program} is not installed)", row.step.title()),
        None => row.step.title().to_owned(),
    };
    [
        title,
        number(row.seconds, 3),
        number(row.mb_per_second, 0),
        number(row.ratio, 2),
        mebibytes(row.growth),
        mebibytes(row.peak),
        number(row.file_bytes.map(|bytes| bytes as f64 / MEGABYTE as f64), 1),
    ]
}

fn row(row: &Row) -> Value {
    json!({
        "name": row.step.name(),
        "title": row.step.title(),
        "limit": row.step.limit().map(super::step::Step::name),
        "missing_program": row.missing,
        "median_seconds": row.seconds,
        "mb_per_second": row.mb_per_second,
        "of_limit": row.ratio,
        "memory_growth_bytes": row.growth,
        "memory_peak_bytes": row.peak,
        "file_bytes": row.file_bytes,
        "runs": row.runs.iter().map(run).collect::<Vec<_>>(),
    })
}

fn run(run: &Run) -> Value {
    let Run { seconds, memory, file_bytes } = run;
    json!({
        "seconds": seconds,
        "memory_start_bytes": memory.map(|Memory { start, .. }| start),
        "memory_peak_bytes": memory.map(|Memory { peak, .. }| peak),
        "file_bytes": file_bytes,
    })
}

/// Bytes as `1024.5 MB`.
pub(super) fn megabytes(bytes: u64) -> String {
    format!("{:.1} MB", bytes as f64 / MEGABYTE as f64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tools::bench::results::Results;
    use crate::tools::bench::step::Step;

    fn report() -> Report {
        let mut results = Results::new(10 * MEGABYTE);
        let memory = Some(Memory { start: 1 << 20, peak: 3 << 20 });
        results.add(Step::CreateLimit, Run { seconds: 0.5, memory, file_bytes: None });
        results.add(Step::Create, Run { seconds: 2.0, memory, file_bytes: Some(11 * MEGABYTE) });
        results.miss(Step::TarCreate, "openssl");
        let head = vec![("data", "x\u{1b}y".to_owned())];
        Report { head, facts: json!({ "runs": 1 }), rows: results.rows() }
    }

    #[test]
    fn the_table_has_a_line_for_each_row() {
        let mut out = Vec::new();
        report().print(&mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0], "data        x\\u{1b}y");
        let words = |line: &str| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        assert!(lines[2].starts_with("what ") && lines[2].ends_with("file MB"), "{text}");
        assert_eq!(words(lines[3])[6..], ["0.500", "20", "-", "2.0", "3.0", "-"]);
        assert_eq!(words(lines[4]), ["create", "2.000", "5", "0.25", "2.0", "3.0", "11.0"]);
        assert!(lines[5].contains("(openssl is not installed)"), "{text}");
        assert_eq!(words(lines[5]).iter().filter(|word| *word == NOTHING).count(), 6);
    }

    #[test]
    fn the_json_has_every_run() {
        let json = report().json();
        assert_eq!(json["runs"], 1);
        let run =
            json!({ "seconds": 2.0, "memory_start_bytes": 1 << 20, "memory_peak_bytes": 3 << 20, "file_bytes": 11 * MEGABYTE });
        let expected = json!({
            "name": "create",
            "title": "create",
            "limit": "create_limit",
            "missing_program": null,
            "median_seconds": 2.0,
            "mb_per_second": 5.0,
            "of_limit": 0.25,
            "memory_growth_bytes": 2 << 20,
            "memory_peak_bytes": 3 << 20,
            "file_bytes": 11 * MEGABYTE,
            "runs": [run],
        });
        assert_eq!(json["rows"][1], expected);
        assert_eq!((&json["rows"][2]["missing_program"], &json["rows"][2]["runs"]), (&json!("openssl"), &json!([])));
    }

    #[test]
    fn megabytes_are_millions() {
        assert_eq!(megabytes(1_250_000), "1.2 MB");
    }
}
