//! Runs [`icecore_fuzz_targets::segment_header`] under libFuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let _accepted = icecore_fuzz_targets::segment_header(data);
});
