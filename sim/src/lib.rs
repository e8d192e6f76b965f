//! A deterministic discrete-event kernel: tasks and typed messages on a clock that somebody else moves.
//!
//! No threads, no sockets, no system clock, no floats in time, no order that could differ from run to run: a run is a
//! function of what is created, of the seed, and of what is injected. It knows nothing of agents as users write them
//! (package `isochrone` does) and can be used without:
//!
//! ```
//! use isochrone_sim::fingerprint::payload_hash;
//! use isochrone_sim::{Actor, Config, Kernel, Label, ReplyTo, This, Time, millis};
//!
//! /// Adds what it is sent, and takes 5 ms to do so.
//! struct Adder { sum: i64 }
//!
//! impl Actor for Adder {
//!     type Msg = i64;
//!     type Reply = i64;
//!     const TYPE: &'static str = "Adder";
//!
//!     fn receive(this: &This<Self>, n: i64, reply: ReplyTo<Self>) {
//!         let me = this.clone();
//!         this.answer_later("add", reply, async move {
//!             me.sleep(millis(5)).await;
//!             me.with(|adder| { adder.sum += n; adder.sum })
//!         });
//!     }
//!
//!     fn label(_: &i64) -> Label { "add" }
//!     fn message_hash(n: &i64) -> u64 { payload_hash(n) }
//!     fn reply_hash(sum: &i64) -> u64 { payload_hash(sum) }
//! }
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let kernel = Kernel::new(Config::new("sums"))?;
//! let adder = kernel.create(Some("adder"), Adder { sum: 0 })?;
//! let mut asked = kernel.ask(adder, 4);
//! kernel.run_until(Time::ZERO + millis(4))?;
//! assert!(kernel.answer(&mut asked).is_none());
//! kernel.run_until(Time::ZERO + millis(5))?;
//! assert_eq!(kernel.answer(&mut asked), Some(Ok(4)));
//! # Ok(())
//! # }
//! ```
//!
//! | file | mechanism |
//! |------|-----------|
//! | `time`, `wheel`, `timers` | time as integers; the timer wheel; what waits: sleep, timeout, interval, settled |
//! | `kernel`, `instant`, `pending` | the contract of a driver; rounds, phases, instants; what there is to do |
//! | `mailbox`, `request`, `call`, `reply`, `order` | typed messages and requests; calls in flight and their replies; the order of delivery |
//! | `agent`, `context`, `local` | identity and life; the handle agents' code holds; the kernel of this thread |
//! | `task`, `waiter`, `batch`, `waker`, `current` | futures in a slab; who is to be woken; those who are woken together; a waker that is an integer; which kernel runs here |
//! | `period`, `beat` | periodic code that runs in place; one timer for all that waits for the same instant |
//! | `shelf`, `slab`, `collected` | a vector that grows while its items are borrowed; items by number; what one round collects for the next |
//! | `supervise`, `waits`, `error` | what becomes of failures; who waits for whom; what ends a run |
//! | `external` | calls that leave the simulated world |
//! | `random`, `fingerprint` | streams by counter; the running hash of a run |
//! | `faults` | what a search for bugs does to agents |
//! | `observe`, `check` | what happens, as it happens; the order rules, verified on the fly |

mod agent;
mod batch;
mod beat;
mod call;
mod check;
mod collected;
mod config;
mod context;
mod core;
mod current;
mod error;
mod external;
mod faults;
pub mod fingerprint;
mod instant;
mod kernel;
pub mod local;
mod mailbox;
mod observe;
mod order;
mod pending;
mod period;
pub mod random;
mod reply;
mod request;
mod shelf;
mod slab;
mod supervise;
mod task;
pub mod time;
mod timers;
mod waiter;
mod waits;
mod waker;
pub mod wheel;

pub use agent::{AgentId, NameError, Status};
pub use call::Fault;
pub use check::OrderCheck;
pub use config::{Config, Counts, Progress};
pub use context::{Ctx, Random, Task, TaskResult, This};
pub use core::homeless_messages;
pub use error::{Involved, SimError};
pub use external::{
    External, ExternalId, Form, Order, Outcome as ExternalOutcome, Running as ExternalRunning, Sending,
    Started,
};
pub use faults::Injected;
pub use kernel::{CreateError, Kernel};
pub use mailbox::{Actor, Ref, ReplyTo};
pub use observe::{Event, Observer, What};
pub use order::OrderKey;
pub use random::Draw;
pub use request::{Asked, Call, Ticket};
pub use supervise::{Outcome, Policy, Report};
pub use task::Label;
pub use time::{
    DisplaySpan, Epoch, Tick, Time, TimeError, days, display_span, hours, micros, millis, minutes, nanos,
    parse_span, secs,
};
pub use timers::{Elapsed, Interval, Settled, Sleep, Timeout, timeout};
