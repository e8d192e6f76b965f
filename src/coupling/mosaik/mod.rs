//! The program as a simulator of the co-simulator mosaik: API 3.0 and 2.2, over its JSON protocol.
//!
//! Why this and not a library of mosaik's: a simulator that returns from `step` before its agents are done, or that
//! swallows an error, makes co-simulations that are wrong without a sign. Here a step returns when every event of it has
//! happened, whatever the agents awaited.
//!
//! | file | what |
//! |------|------|
//! | `simulator` | what the program offers, and what mosaik is told of it (the *meta* description) |
//! | `session` | one run: `init`, `create`, `setup_done`, `step`, `get_data`, extra methods, `stop` |
//! | `requests` | what agents ask of mosaik: progress, related entities, data, events |
//! | `replayed` | mosaik's part, played from a recording |
//! | `server` | the connection: mosaik's listener (`cmd`), or ours (`connect`) |
//!
//! # What is never sent, since mosaik 3.6 waits for ever then
//! Invalid JSON, a reply to no request, a failure that is not a list of strings; and a `time` beyond `max_advance`, which
//! only `#[output(event, stamped)]` could produce.
//!
//! # Parameters of `world.start`
//! `step_size=S`, in mosaik's steps, makes every step ask for the next one S later, whatever the agents have to do in
//! between: a time-based simulator needs it; in a hybrid one it puts the agents' events off to the next multiple. All others
//! are the program's, see `App::params`.
//!
//! # Failures
//! A request that fails gets a failure reply with kind and message; the run goes on if mosaik wants it to. When an agent
//! has escalated, or mosaik is gone without a `stop`, [`serve`] ends with an error, and the program with an exit code
//! that is not 0.

mod replayed;
mod requests;
mod server;
mod session;
mod simulator;

pub use replayed::replay;
pub use requests::{Mosaik, MosaikError};
pub use server::{connect, listen, serve};
pub use simulator::{Api, Extra, Kind, ModelOptions, Setup, Simulator, StepLog};
