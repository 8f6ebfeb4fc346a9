//! Tables for people: columns as wide as their widest cell, numbers to the right.

use std::io::{self, Write};

/// Rows of cells under headings.
#[derive(Debug)]
pub(crate) struct Table {
    /// The headings, each with whether its column has numbers.
    headings: Vec<(&'static str, bool)>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table whose columns have these headings; one that ends in `#` is of numbers, and loses that sign.
    pub(crate) fn new(headings: &[&'static str]) -> Self {
        let heading = |text: &&'static str| (text.trim_end_matches('#'), text.ends_with('#'));
        Self { headings: headings.iter().map(heading).collect(), rows: Vec::new() }
    }

    /// Adds a row with a cell for each heading. Control characters, which names from a foreign archive may have, are escaped.
    pub(crate) fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.rows.push(cells.into_iter().map(|cell| printable(&cell)).collect());
    }

    /// Whether there are no rows.
    pub(super) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Writes headings and rows.
    pub(crate) fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        let width = |column: usize| {
            let cells = self.rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count());
            cells.chain(self.headings.get(column).map(|(heading, _)| heading.len())).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..self.headings.len()).map(width).collect();
        let headings: Vec<String> = self.headings.iter().map(|(heading, _)| (*heading).to_owned()).collect();
        for row in [&headings].into_iter().chain(&self.rows) {
            let mut line = String::new();
            for ((cell, width), (_, numbers)) in row.iter().zip(&widths).zip(&self.headings) {
                let width = *width;
                line += &if *numbers { format!("{cell:>width$}  ") } else { format!("{cell:<width$}  ") };
            }
            writeln!(out, "{}", line.trim_end())?;
        }
        Ok(())
    }
}

/// A text whose control characters are escaped, so that it cannot do anything to a terminal.
pub(super) fn printable(text: &str) -> String {
    let escape = |character: char| if character.is_control() { character.escape_default().to_string() } else { character.into() };
    text.chars().map(escape).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_and_control_characters_harmless() {
        let mut table = Table::new(&["name", "bytes#"]);
        assert!(table.is_empty());
        table.row(["gr\u{fc}n".to_owned(), "7".to_owned()]);
        table.row(["a\u{1b}[2Jb".to_owned(), "123456".to_owned()]);
        let mut out = Vec::new();
        table.write(&mut out).unwrap();
        let expected = "name          bytes\ngr\u{fc}n              7\na\\u{1b}[2Jb  123456\n";
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }
}
