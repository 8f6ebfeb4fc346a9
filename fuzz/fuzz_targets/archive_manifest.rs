//! Runs [`icecore_fuzz_targets::archive_manifest`] under libFuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let _accepted = icecore_fuzz_targets::archive_manifest(data);
});
