//! Whatever two peers do: no panic, and every request ends exactly once.
#![no_main]

#[path = "../checks/channel.rs"]
mod check;

libfuzzer_sys::fuzz_target!(|data: &[u8]| check::run(data));
