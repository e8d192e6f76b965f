//! External simulators that advance the clock.
//!
//! Why: a simulator knows models, entities and ports, and thinks in steps; agents know none of it. [`Coupling`] is what
//! every such simulator talks to, whatever its protocol: it creates agents by their constructors, writes to their
//! inputs, lets the step happen, reads their outputs and says when it wants to be stepped next.
//!
//! # What a step means
//! `step(t, inputs, limit)`: events before `t` at their own times; the inputs, as messages of the simulator, at (t, round 0),
//! sorted by agent, port in order of declaration, source; the phases until quiet; the outputs; the next event.
//!
//! | [`Mode`] | the agents run | outputs | next step |
//! |----------|----------------|---------|-----------|
//! | `Exact` (default) | to `t` | state at `t` | next event |
//! | `Window(D)` | on until just before `min(t + D, limit)` | state then, stamped `t` | next event after that |
//! | `Ahead` | outputs taken at `t`, then on to the first instant that changes a connected output or emits an event | state at `t` | that instant |
//!
//! ```text
//!            step(0)                    step(900 s)
//!  exact     |> outputs: state at 0     |> outputs: state at 900
//!            0 ................... 900  |
//!  window    |==== agents run on ====>| outputs: state just before 900, stamped 0
//!  ahead     |> outputs: state at 0; agents run on until an output changes: that is the next step
//! ```
//!
//! A decision that ripens 0.3 s after a step reaches a partner that steps every 900 s one interval late in `Exact`, and in
//! time in `Window`. A 1 s timer makes a step a second in `Exact` and none in `Ahead` unless it changes an output.
//!
//! # Which door
//! | the simulator | the door |
//! |---------------|----------|
//! | is in a mosaik scenario, or is to be | [`mosaik`]: `program mosaik`; mosaik knows the protocol, connects ports and schedules |
//! | is any other program that can open a socket | [`rpc`]: `program serve`; the program steps the agents itself, and may end a step at the first output |
//! | is Rust code in the same process | [`Coupling`] |
//!
//! A step means the same behind each of them.

mod creation;
mod entities;
mod error;
#[cfg(any(feature = "mosaik", feature = "serve"))]
mod join;
mod mode;
#[cfg(feature = "mosaik")]
pub mod mosaik;
mod outputs;
#[cfg(any(feature = "mosaik", feature = "serve"))]
mod ports;
mod relations;
#[cfg(feature = "serve")]
pub mod rpc;
#[cfg(any(feature = "mosaik", feature = "serve"))]
mod served;
mod step;
mod watch;

pub use entities::{Emitted, Entity, PortInput, Readings};
pub use error::CoupleError;
#[cfg(any(feature = "mosaik", feature = "serve"))]
pub use join::Join;
pub use mode::Mode;
pub use relations::relate;
#[cfg(any(feature = "mosaik", feature = "serve"))]
pub use served::{ServeError, Served};
pub use step::Coupling;
