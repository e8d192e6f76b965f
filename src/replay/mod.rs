//! Recording a run, and running it again from the recording.
//!
//! | file | mechanism |
//! |------|-----------|
//! | `tape`, `reel` | what drivers hold: nothing, a recorder, or a recording; what its clones share |
//! | `recorder`, `events`, `names` | what is written down, and how |
//! | `player`, `source` | a recording in the place of the outside; where it is read from |
//! | `plan` | faults of a run |
//! | `properties` | what must always, sometimes, or never be |
//! | `diff` | two recordings side by side |
//! | `difference` | the first difference, with its causes |

mod diff;
mod difference;
mod events;
mod names;
mod plan;
mod player;
mod properties;
mod recorder;
mod reel;
mod source;
mod tape;

pub use diff::{Parted, diff};
pub use difference::Difference;
pub use plan::Fault;
pub(crate) use plan::{arrange, draw};
pub(crate) use player::{INTERRUPT, RESEED};
pub use player::{Stops, Verdict};
pub use properties::{Broken, Count, Expect, Properties, look};
pub(crate) use reel::Left;
pub use source::{Memory, Source};
pub use tape::Tape;
pub(crate) use tape::{Came, Next};
