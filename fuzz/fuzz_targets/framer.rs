//! However a stream is cut: no panic, and the same frames.
#![no_main]

#[path = "../checks/framer.rs"]
mod check;

libfuzzer_sys::fuzz_target!(|data: &[u8]| check::run(data));
