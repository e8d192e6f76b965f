//! Who moves time.
//!
//! Why: the kernel never reads a clock. A driver tells it how far it may go, runs the operations that leave the simulated
//! world, and gives way to everything else on its thread. Agents cannot tell one driver from another.
//!
//! | driver | time goes | ends |
//! |--------|-----------|------|
//! | [`FreeRun`] | as fast as the agents can work | at `until`, or when nothing is left to happen |
//! | [`Paced`]   | as the wall clock does, times a factor | at `until`, or when nothing is left to happen |
//! | [`Wall`]    | as the wall clock does; the outside takes part | at `until`, or when stopped |
//! | [`Coupled`] | when an external simulator says so | when that says so |

mod abreast;
mod coupled;
mod door;
mod drive;
mod free_run;
mod interrupt;
mod paced;
mod queue;
mod wall;

pub use coupled::Coupled;
pub(crate) use door::Back;
pub use door::{Enter, Input, Live, Look, Notice, Notices, Reply, Request, Route};
pub use drive::{Drive, RunError};
pub use free_run::FreeRun;
pub use interrupt::Interrupt;
pub use paced::{Lag, Paced};
pub(crate) use queue::Sender;
pub use wall::Wall;
