//! Holds the tables of FORMAT.md against the constants of the code.

use std::path::Path;

/// The description of the formats.
#[expect(clippy::disallowed_methods, reason = "a document of the project, not data")]
fn document() -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    std::fs::read_to_string(root.join("FORMAT.md")).unwrap()
}

/// Offset, size and name of each field in the first table behind a heading.
fn table(document: &str, heading: &str) -> Vec<(usize, usize, String)> {
    let lines = document.lines().skip_while(|line| *line != heading).skip(1);
    let rows = lines.skip_while(|line| !line.starts_with("|---")).skip(1).take_while(|line| line.starts_with('|'));
    rows.map(|line| {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        (cells[1].parse().unwrap(), cells[2].parse().unwrap(), cells[3].trim_matches('`').to_owned())
    })
    .collect()
}

/// Checks the table behind `heading`: each field begins at its offset and ends where the next one begins, the last at `len`.
pub(crate) fn check(heading: &str, len: usize, fields: &[(usize, &str)]) {
    let ends = fields.iter().skip(1).map(|(offset, _)| *offset).chain([len]);
    let expected: Vec<_> =
        fields.iter().zip(ends).map(|(&(offset, name), end)| (offset, end - offset, name.to_owned())).collect();
    assert_eq!(table(&document(), heading), expected, "{heading}");
}

/// The number and name in each row of the tables between a heading and the next whose first cell is a number.
pub(crate) fn numbers(heading: &str) -> Vec<(u32, String)> {
    let document = document();
    let lines = document.lines().skip_while(|line| *line != heading).skip(1).take_while(|line| !line.starts_with('#'));
    lines
        .filter_map(|line| {
            let mut cells = line.split('|').map(str::trim).skip(1);
            Some((cells.next()?.parse().ok()?, cells.next()?.trim_matches('`').to_owned()))
        })
        .collect()
}

/// Checks that the text has `` `name` = value ``.
pub(crate) fn check_constant(name: &str, value: usize) {
    assert!(document().contains(&format!("`{name}` = {value}")), "{name} = {value} is not in the text");
}
