//! Every input of every corpus, through its target: what a fuzzer has found once is looked at in every test run.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::{fs, io};

use icecore_fuzz_targets::TARGETS;

fn corpus() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../corpus")
}

/// The entries of a directory, by name.
fn entries(dir: &Path) -> Vec<PathBuf> {
    let listed = fs::read_dir(dir).and_then(|listed| listed.map(|entry| Ok(entry?.path())).collect::<io::Result<Vec<_>>>());
    let mut paths = listed.unwrap_or_else(|error| panic!("{}: {error}", dir.display()));
    paths.sort();
    paths
}

#[test]
fn every_corpus_belongs_to_a_target() {
    let found: BTreeSet<String> =
        entries(&corpus()).iter().map(|dir| dir.file_name().unwrap().to_str().unwrap().to_owned()).collect();
    let known: BTreeSet<String> = TARGETS.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(found, known);
}

#[test]
fn every_target_has_its_binary() {
    let found: BTreeSet<PathBuf> = entries(&corpus().join("../fuzz_targets")).into_iter().collect();
    let known = TARGETS.iter().map(|(name, _)| corpus().join("../fuzz_targets").join(format!("{name}.rs"))).collect();
    assert_eq!(found, known);
}

#[test]
fn every_input_keeps_the_promises() {
    for (name, target) in TARGETS {
        let inputs = entries(&corpus().join(name));
        assert!(!inputs.is_empty(), "the corpus of {name} is empty");
        for input in inputs {
            let bytes = fs::read(&input).unwrap();
            // The path shows only if the target panics: the harness prints what a failed test wrote.
            println!("{}", input.display());
            let accepted = target(&bytes);
            // Otherwise a change of the format could leave a corpus that never gets past the first check.
            let valid = input.file_name().unwrap().to_str().unwrap().ends_with("-valid");
            assert!(accepted || !valid, "a valid seed is refused");
        }
    }
}
