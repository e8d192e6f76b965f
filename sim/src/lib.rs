//! Discrete-event kernel.
#![deny(missing_docs)]

pub mod fingerprint;
pub mod random;
pub mod time;
pub mod wheel;
