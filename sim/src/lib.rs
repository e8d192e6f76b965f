//! Discrete-event kernel.
#![deny(missing_docs)]

pub mod time;
pub mod wheel;
