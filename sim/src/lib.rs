//! The kernel.
mod agent;
mod call;
mod check;
mod context;
mod current;
mod error;
mod external;
pub mod fingerprint;
mod kernel;
pub mod local;
mod mailbox;
mod observe;
mod order;
pub mod random;
mod supervise;
mod task;
pub mod time;
mod timers;
mod waits;
mod waker;
pub mod wheel;

pub use agent::{AgentId, NameError, Status};
pub use call::Fault;
pub use check::OrderCheck;
pub use context::{Ctx, Random, Task, TaskResult, This};
pub use error::{Involved, SimError};
pub use external::{External, ExternalId, Outcome as ExternalOutcome, Started};
pub use kernel::{Config, Counts, CreateError, Kernel, Progress, homeless_messages};
pub use mailbox::{Actor, Asked, Call, Ref, ReplyTo};
pub use observe::{Event, Observer, What};
pub use order::OrderKey;
pub use random::Draw;
pub use supervise::{Outcome, Policy, Report};
pub use task::Label;
pub use time::{
    DisplaySpan, Epoch, Tick, Time, TimeError, days, display_span, hours, micros, millis, minutes, nanos, parse_span, secs,
};
pub use timers::{Elapsed, Interval, Settled, Sleep, Timeout, timeout};
