//! Isochrone: a kernel for multi-agent systems whose agents do not know which clock they run on.
#![forbid(unsafe_code)]

pub mod agent;
pub mod codec;
pub mod rpc;

// lets the code that `#[agent]` generates name this crate from inside it
extern crate self as isochrone;

/// What generated code and agents' programs reach through this crate.
pub use isochrone_sim as sim;

pub use isochrone_macros::agent;

/// Everything a program with agents needs.
pub mod prelude {
    pub use crate::agent::{Agent, Call, Inputs, Proxy};
    pub use crate::rpc::CallError;
    pub use crate::agent;
    pub use isochrone_sim::{Ctx, Draw, This, Time, days, hours, micros, millis, minutes, nanos, secs};
    pub use std::process::ExitCode;
    pub use std::time::Duration;
}
