//! The program as a partner of any simulator that can make an RPC: no mosaik, no library, no bindings.
//!
//! Why: most simulators have a scripting interface, and a socket and JSON are in every language. `program serve` listens;
//! the simulator connects, creates agents, and steps them. A whole client is 40 lines of Python, see
//! `examples/plant_by_rpc.py`; an aiomas program calls the same services by `aiomas.rpc.open_connection`.
//!
//! # Service `sim`
//! | method | what it does | returns |
//! |--------|--------------|---------|
//! | `describe()` | | models (docs, parameters, ports with kinds), agents, epoch, seed, mode, now, owner, what is under way |
//! | `create(model, n=1, params={})` | creates agents by their `#[constructor]` | their names |
//! | `connect(outputs)` | says which outputs, `{agent: [port]}`, count and come back after a step; else all do | null |
//! | `step(t, inputs={}, limit=null, stop_at_output=false)` | a step to `t` as the head of [`coupling`](crate::coupling) tells; `inputs` is `{agent: {port: {source: value}}}` | a reading |
//! | `inject(at, agent, port, value, source="inject")` | writes to an input at a later time, after the inputs of a step at that time | null |
//! | `get(outputs)` | reads `{agent: [port]}` now | a reading |
//! | `rest()` | what did not fit into the last reply | a reading |
//! | `unanswered()` | | what a lost owner did not get: `{owner, request, reply}`, or null; after `resume`, the reply to the step that was recorded last |
//! | `stop()` | ends the run well | `{now, steps, fingerprint, failed}` |
//!
//! A *reading* is `{now, next_event, outputs: {agent: {port: value}}, events: [[time, agent, port, value]], more}`. `now` is where
//! the agents stand: no later step may lie before it. `next_event` is when they want to be stepped next, or null. Events have
//! the exact times at which they happened. `more` is true if not everything fits into this reply (a frame holds 16 MiB): call
//! `rest()` until it is false. What is not called for comes first in the next reading, and nothing is lost; while more waits
//! than fits into one reply, a step is refused (`Busy`).
//!
//! With `stop_at_output` the step ends at the first instant that changes a connected output or emits an event. If `now` is
//! then before `t`, the inputs have not been written: the simulator computes what they are and steps again.
//!
//! # Service `clock`
//! | method | what it does | returns |
//! |--------|--------------|---------|
//! | `time()` | | where the clock stands, also in the middle of a step |
//! | `next_event()` | | when the agents have something to do next, or null |
//! | `advance(until, inclusive=true)` | lets time pass, without inputs and in no mode | as `next_event()` |
//! | `hold()`, `release()` | no step begins until the same connection releases the clock, or ends | the time; whether it was held |
//!
//! Requests are those of [`rpc`](crate::rpc), in any [`Codec`](crate::codec::Codec): a frame is its length (four bytes, the
//! highest first) and `[0, id, [path, [arguments], {named arguments}]]`; the reply is `[1, id, result]`, or `[2, id, text]`, whose
//! last line is `kind: message`.
//!
//! Times are integers of nanoseconds since the epoch, or text: `"15min"`, `"1h02m03.5s"`, `"2016-05-22T06:15:00Z"`; what comes
//! back are integers.
//!
//! # The owner
//! Who first creates, steps or advances is the owner; nobody else moves time until it is gone. What happens then is
//! [`OwnerLoss`]. The table at the head of `desk` says who may ask what.
//!
//! | file | what |
//! |------|------|
//! | `session` | one run: its requests, one after the other, without connections |
//! | `desk` | who may ask what, and what is answered while a step is under way |
//! | `catalog` | what `describe` tells |
//! | `reading` | what is read, in parts that fit into a frame |
//! | `times` | times as other programs write them |
//! | `replayed` | the simulator's part, played from a recording |
//! | `server` | the connections |

mod catalog;
mod desk;
mod reading;
mod replayed;
mod server;
mod session;
mod times;

pub use desk::OwnerLoss;
#[cfg_attr(
    not(feature = "app"),
    allow(unused_imports, reason = "the command line goes on after recordings")
)]
pub(crate) use replayed::play;
pub use replayed::replay;
pub use server::Server;
pub use session::{Offer, Session};
