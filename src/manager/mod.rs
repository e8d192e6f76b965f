//! Containers that are driven by a master in another process: aiomas's `subproc`, and worker processes of our own.
//!
//! ```text
//!   master (aiomas, or ours)                    worker process
//!   connect tcp://host:port/0  ──────────────>  Manager, agent 0
//!   spawn("House", 3.5)        ──────────────>  creates an agent      -> its proxy, its address
//!   set_time(900)              ──────────────>  grants the time       -> answered when all agents are done
//!   stop()                     ──────────────>  ends the run
//! ```
//!
//! | file | what |
//! |------|------|
//! | `agent` | [`Manager`]: what a master calls |
//! | `moment` | [`Moment`]: a time as a master says it |
//! | `worker` | [`Worker`]: lets a master drive a container |
//! | `processes` | [`Workers`]: processes of this program, started, watched and ended by it |
//!
//! Contract: what a manager spawns are types that were registered under a name, never arbitrary code. The clock is
//! [`Coupled`](crate::clock::Coupled): `set_time(t)` lets everything at or before t happen, each at its own time, and is
//! answered then (law 3). All calls enter by the door.
//!
//! Failure modes: a call that cannot be made fails that call, in aiomas's words; a run that fails ends, and its master
//! hears that the run is over.

mod agent;
mod moment;
mod processes;
mod worker;

pub use agent::{Manager, ManagerProxy};
pub use moment::Moment;
pub use processes::{Gone, WorkerError, Workers};
pub use worker::{Registry, Worker};
