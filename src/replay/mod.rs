//! Recording a run, and running it again from the recording.
//!
//! | file | mechanism |
//! |------|-----------|
//! | `tape`, `reel` | what drivers hold: nothing, a recorder, or a recording; what its clones share |
//! | `recorder`, `events`, `names` | what is written down, and how |
//! | `player`, `source` | a recording in the place of the outside; where it is read from |
//! | `trial`, `questions` | the inputs of a recording for a run that has parted from it, and what it asks |
//! | `operations` | what agents ask the outside |
//! | `plan` | faults of a run |
//! | `properties` | what must always, sometimes, or never be |
//! | `diff` | two recordings side by side |
//! | `difference` | the first difference, with its causes |

mod diff;
mod difference;
mod events;
mod names;
#[cfg_attr(not(feature = "app"), allow(dead_code, reason = "the command line uses all of it"))]
mod operations;
#[cfg_attr(not(feature = "app"), allow(dead_code, reason = "the command line uses all of it"))]
mod plan;
#[cfg_attr(not(feature = "app"), allow(dead_code, reason = "the command line uses all of it"))]
mod player;
mod properties;
#[cfg_attr(not(feature = "app"), allow(dead_code, reason = "the command line uses all of it"))]
mod questions;
mod recorder;
mod reel;
mod source;
#[cfg_attr(not(feature = "app"), allow(dead_code, reason = "the command line uses all of it"))]
mod tape;
#[cfg_attr(not(feature = "app"), allow(dead_code, reason = "the command line uses all of it"))]
mod trial;

pub use diff::{Compared, Forked, Parted, diff};
pub use difference::Difference;
pub use plan::Fault;
#[cfg(feature = "app")]
pub(crate) use plan::{arrange, draw};
#[cfg(feature = "app")]
pub(crate) use player::INTERRUPT;
pub use player::{Stops, Verdict};
pub use properties::{Broken, Count, Expect, Properties, look};
pub use questions::Questions;
pub(crate) use reel::Left;
pub use source::{Memory, Source};
pub(crate) use tape::Came;
#[cfg(any(feature = "mosaik", feature = "serve"))]
pub(crate) use tape::Next;
pub use tape::Tape;
