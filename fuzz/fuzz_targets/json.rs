//! Whatever the payload of a frame holds: no panic, and all ways of reading it agree.
#![no_main]

#[path = "../checks/codecs.rs"]
#[allow(dead_code)]
mod check;

libfuzzer_sys::fuzz_target!(|data: &[u8]| check::json(data));
