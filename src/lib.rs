//! Isochrone: a kernel for multi-agent systems whose agents do not know which clock they run on.
//!
//! The same agent code runs live, on the wall clock; simulated, as fast as possible and deterministic to the last bit;
//! and coupled, where an external simulator advances the clock.
//!
//! ```
//! use isochrone::prelude::*;
//!
//! struct Meter { kwh: u32 }
//!
//! #[agent]
//! impl Meter {
//!     #[every(minutes = 15)]
//!     fn count(&mut self) {
//!         self.kwh += 1;
//!     }
//!
//!     /// What has been counted so far.
//!     #[expose]
//!     fn reading(&self) -> u32 {
//!         self.kwh
//!     }
//! }
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let world = Container::new(Config::new("grid"))?;
//! world.add("meter", Meter { kwh: 0 })?;
//! world.run_until(Time::ZERO + hours(1))?;
//! assert_eq!(world.call("meter", "reading", Args::default())?.as_i64(), Some(4));
//! # Ok(())
//! # }
//! ```
//!
//! | module | what |
//! |--------|------|
//! | [`agent`](mod@agent) | agents, proxies, calls, ports, containers |
//! | [`container`] | containers on the network, calls from and to agents elsewhere |
//! | [`clock`] | who moves time: free run, paced, wall clock, coupled |
//! | [`manager`] | containers driven by a master in another process; worker processes |
//! | [`coupling`] | external simulators: the step and its modes; mosaik |
//! | [`journal`] | the flight recorder's file |
//! | [`replay`] | recording a run, and running it again |
//! | [`testing`] | tests with many seeds |
//! | [`app`] | the command line of every program |
//! | [`rpc`], [`channel`], [`codec`] | calls, connections, and the bytes on them |
//! | [`sim`] | the kernel, usable without any of the above |
#![forbid(unsafe_code)]

pub mod agent;
#[cfg(feature = "app")]
pub mod app;
pub mod channel;
pub mod clock;
pub mod codec;
pub mod container;
pub mod coupling;
pub mod journal;
#[cfg(feature = "manager")]
pub mod manager;
pub mod replay;
pub mod rpc;
pub mod testing;

// lets the code that our attributes generate name this crate from inside it
extern crate self as isochrone;

pub use isochrone_macros::{agent, service, test};
/// The discrete-event kernel below the agents.
pub use isochrone_sim as sim;
#[doc(hidden)]
pub use serde;

#[doc(hidden)]
pub use tokio::select as tokio_select;

/// Waits for several futures at once and goes on with the first that is ready; of several that are ready at the same time,
/// with the one written first. Other `select!` macros choose at random there, and no seed of ours reproduces that.
///
/// The branches are written as for tokio's macro.
///
/// ```
/// use isochrone::prelude::*;
///
/// struct Guard { alarm: bool }
///
/// #[agent]
/// impl Guard {
///     #[start]
///     async fn watch(this: This<Self>) {
///         isochrone::select! {
///             () = this.sleep(secs(5)) => this.with(|me| me.alarm = true),
///             () = this.sleep(secs(9)) => {}
///         }
///     }
/// }
/// # let world = Container::new(Config::new("site")).unwrap();
/// # let guard = world.add("guard", Guard { alarm: false }).unwrap();
/// # world.run_until(Time::ZERO + secs(6)).unwrap();
/// # assert_eq!(world.with(guard.agent(), |me| me.alarm), Some(true));
/// ```
#[macro_export]
macro_rules! select {
    ($($branches:tt)*) => { $crate::tokio_select! { biased; $($branches)* } };
}

// the README's agent compiles
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

/// Everything a program with agents needs.
pub mod prelude {
    pub use std::process::ExitCode;
    pub use std::time::Duration;

    pub use isochrone_sim::{
        Config, Ctx, Draw, Elapsed, Policy, Task, This, Time, days, hours, micros, millis, minutes, nanos,
        secs,
    };

    pub use crate::agent;
    pub use crate::agent::{Agent, Call, Connect, Container, Externals, Inputs, OwnProxy, Proxy};
    #[cfg(feature = "app")]
    pub use crate::app::{App, Built};
    pub use crate::rpc::{Args, CallError};
}
