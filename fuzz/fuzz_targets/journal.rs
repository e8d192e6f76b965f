//! Whatever a journal holds: no panic, no endless loop, and all tools say something of it.
#![no_main]

#[path = "../checks/journal.rs"]
mod check;

libfuzzer_sys::fuzz_target!(|data: &[u8]| check::run(data));
