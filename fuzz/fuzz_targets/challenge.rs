#![no_main]

#[path = "../../tests/corpus/challenge.rs"]
mod check;

libfuzzer_sys::fuzz_target!(|data: &[u8]| check::check(data));
