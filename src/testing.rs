//! Tests of agents: many seeds each, and a failing one comes with the line that repeats it.
//!
//! Why many: one order of events is one of thousands that the laws leave open. `#[isochrone::test(seeds = 64)]` runs a test
//! with 64 seeds, of random streams and of that order (seed 0 keeps the canonical one); every sixteenth runs twice, in lock
//! step, so that a test that reads a clock or goes through a `HashMap` does not stay unnoticed.
//!
//! ```
//! use isochrone::prelude::*;
//! use isochrone::testing::{Spans, Trial};
//!
//! struct Meter { total: f64 }
//!
//! #[agent]
//! impl Meter {
//!     #[expose]
//!     fn add(&mut self, kwh: f64) { self.total += kwh; }
//! }
//!
//! struct House { meter: MeterProxy }
//!
//! #[agent]
//! impl House {
//!     #[every(minutes = 15)]
//!     fn report(&mut self) { self.meter.add(0.5).send(); }
//! }
//!
//! # mod the_test { use super::*;
//! #[isochrone::test(seeds = 64)]
//! # pub
//! fn a_house_reports_every_quarter_of_an_hour(world: &mut Trial) {
//!     let meter = world.add("meter", Meter { total: 0.0 }).unwrap();
//!     world.add("house", House { meter: meter.clone() }).unwrap();
//!     world.advance(15.mins());
//!     assert_eq!(world.expect_message::<f64>("house", "meter"), 0.5);
//!     world.advance(1.hours());
//!     assert_eq!(world.with(meter.agent(), |me| me.total), Some(2.5));
//!     world.no_dead_letters();
//! }
//! # }
//! ```
//!
//! `ISOCHRONE_SEED=17 cargo test NAME` runs the seed 17 alone.

use std::cell::RefCell;
use std::fmt;
use std::ops::Deref;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::rc::Rc;
use std::time::Duration;

use isochrone_sim::{AgentId, Config, Event, Observer, TaskResult, Time, What};
use serde::de::DeserializeOwned;

use crate::agent::Container;
use crate::clock::{Coupled, Interrupt, RunError};
use crate::codec::{Value, from_value};
use crate::journal::{Header, Level, Options, Writer};
use crate::replay::{Memory, Source, Stops, Tape, Verdict};

/// Every how many seeds a test is checked to be a function of its seed.
const CHECK: u64 = 16;
/// Messages that are named when the expected one is missing.
const NAMED: usize = 10;
/// Says which seed alone is to be run.
const SEED: &str = "ISOCHRONE_SEED";

/// Spans that read well: `15.mins()`. (`min` is what `Ord` calls its smaller one.)
pub trait Spans {
    /// So many milliseconds.
    fn millis(self) -> Duration;
    /// So many seconds.
    fn secs(self) -> Duration;
    /// So many minutes.
    fn mins(self) -> Duration;
    /// So many hours.
    fn hours(self) -> Duration;
    /// So many days.
    fn days(self) -> Duration;
}

macro_rules! spans {
    ($($type:ty)*) => {$(
        impl Spans for $type {
            fn millis(self) -> Duration {
                Duration::from_millis(u64::try_from(self).unwrap_or_default())
            }
            fn secs(self) -> Duration {
                self.millis() * 1_000
            }
            fn mins(self) -> Duration {
                self.secs() * 60
            }
            fn hours(self) -> Duration {
                self.mins() * 60
            }
            fn days(self) -> Duration {
                self.hours() * 24
            }
        }
    )*};
}

spans!(i32 u32 u64);

/// A message that was sent.
#[derive(Clone, Debug)]
struct Sent {
    time: Time,
    from: AgentId,
    to: AgentId,
    label: &'static str,
    args: Option<Value>,
}

/// A container in a test, with a clock that the test moves. It is a [`Container`].
pub struct Trial {
    world: Container,
    driver: Coupled,
    runtime: tokio::runtime::Runtime,
    tape: Tape,
    sent: Rc<RefCell<Vec<Sent>>>,
}

impl fmt::Debug for Trial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Trial({:?})", self.world)
    }
}

impl Deref for Trial {
    type Target = Container;

    fn deref(&self) -> &Container {
        &self.world
    }
}

struct Watch(Rc<RefCell<Vec<Sent>>>);

impl Observer for Watch {
    fn observe(&mut self, event: &Event) {
        if let What::Send { to, label, .. } = event.what {
            let args = event.value.as_ref().and_then(|value| value.downcast_ref::<Value>().cloned());
            self.0.borrow_mut().push(Sent { time: event.time, from: event.agent, to, label, args });
        }
    }

    fn wants_values(&self) -> bool {
        true
    }
}

impl Trial {
    /// An empty container under a seed, at time zero. Tests get theirs from `#[isochrone::test]`.
    ///
    /// # Panics
    /// No runtime can be started, or the process holds 65,535 kernels.
    pub fn new(seed: u64) -> Self {
        Trial::with_tape(seed, Tape::default())
    }

    fn with_tape(seed: u64, tape: Tape) -> Self {
        let mut config = Config::new("test");
        config.seed = seed;
        config.shuffle = Some(seed).filter(|seed| *seed > 0);
        let world = Container::new(config).unwrap_or_else(|error| panic!("{error}"));
        tape.attach(world.kernel());
        let sent = Rc::default();
        world.kernel().add_observer(Box::new(Watch(Rc::clone(&sent))));
        let mut driver = Coupled::new(Interrupt::default());
        driver.set_tape(tape.clone());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.unwrap_or_else(|error| panic!("the runtime could not be started: {error}"));
        Trial { world, driver, runtime, tape, sent }
    }

    /// Lets so much time pass, with everything that happens in it, its end included.
    ///
    /// # Panics
    /// With the failure of an agent, or another error of the run.
    #[track_caller]
    pub fn advance(&mut self, span: Duration) {
        let to = self.world.now().saturating_add(span);
        let local = tokio::task::LocalSet::new();
        let advanced = local.block_on(&self.runtime, self.driver.advance(self.world.kernel(), to));
        match advanced {
            Ok(_) => {}
            // not a failure of the test: whoever compares it has seen enough
            Err(RunError::Replayed) => resume_unwind(Box::new(Enough)),
            Err(error) => panic!("{error}"),
        }
    }

    /// The arguments of the next message between two agents, by their paths below the container; `outside` is the test
    /// itself. Each message is expected once, in the order in which they were sent. One argument is a `T`, several are a
    /// tuple.
    ///
    /// # Panics
    /// There is none, or its arguments are something else.
    #[track_caller]
    pub fn expect_message<T: DeserializeOwned>(&mut self, from: &str, to: &str) -> T {
        let ids = [from, to].map(|path| match path {
            "outside" => AgentId::OUTSIDE,
            path => self.world.kernel().find(path).unwrap_or_else(|| panic!("no agent {path:?} is here")),
        });
        let place = self.sent.borrow().iter().position(|sent| [sent.from, sent.to] == ids);
        let Some(place) = place else {
            panic!("no message of {from} to {to} by {}; there were: {}", self.world.now(), self.recent())
        };
        // what was sent before it is not expected any more
        let sent = self.sent.borrow_mut().remove(place);
        let args = match sent.args {
            Some(Value::List(mut args)) if args.len() == 1 => args.remove(0),
            Some(Value::List(args)) if args.is_empty() => Value::Null,
            Some(args) => args,
            None => panic!("`{}` of {from} to {to} does not show its arguments", sent.label),
        };
        from_value(args).unwrap_or_else(|error| panic!("`{}` of {from} to {to}: {error}", sent.label))
    }

    /// Looks back: no message went to nobody.
    ///
    /// # Panics
    /// With the messages that did.
    #[track_caller]
    pub fn no_dead_letters(&self) {
        let letters = self.world.kernel().dead_letters();
        assert!(letters.is_empty(), "{} dead letters:\n{}", letters.len(), letters.join("\n"));
    }

    fn recent(&self) -> String {
        let sent = self.sent.borrow();
        let path = |agent| match agent {
            AgentId::OUTSIDE => "outside".into(),
            agent => self.world.kernel().path(agent),
        };
        let last = sent.iter().rev().take(NAMED).map(|sent| {
            format!("`{}` of {} to {} at {}", sent.label, path(sent.from), path(sent.to), sent.time)
        });
        let last: Vec<String> = last.collect();
        if last.is_empty() { "none".into() } else { last.join(", ") }
    }
}

/// A run that is compared has come to its verdict.
struct Enough;

/// Runs a test with seeds from 0 on. What `#[isochrone::test]` makes of a function.
///
/// # Panics
/// With the first seed at which it fails, or is no function of its seed.
#[doc(hidden)]
#[track_caller]
pub fn run<R: TaskResult>(name: &str, seeds: u64, test: impl Fn(&mut Trial) -> R) {
    let test = |trial: &mut Trial| {
        if let Some(error) = test(trial).failure() {
            panic!("{error}");
        }
    };
    let only = std::env::var(SEED).ok().and_then(|seed| seed.parse::<u64>().ok());
    let seeds = only.map_or(0..seeds, |seed| seed..seed.saturating_add(1));
    let name = name.split_once("::").map_or(name, |(_, name)| name);
    let reproduce = |seed: u64| format!("  reproduce {SEED}={seed} cargo test {name}");
    for seed in seeds {
        let checked = seed % CHECK == 0;
        let memory = Memory::default();
        let tape = if checked { record(&memory) } else { Tape::default() };
        if let Err(panic) = once(seed, &tape, test) {
            panic!("seed {seed} fails: {}\n{}", text(&*panic), reproduce(seed));
        }
        if !checked {
            continue;
        }
        drop(tape);
        memory.seal();
        let Ok(tape) = Tape::play(Source::Memory(memory), Stops::default(), false) else { continue };
        let again = once(seed, &tape, test);
        match (tape.verdict(), again) {
            (Some(Verdict::Differs(difference)), _) => {
                panic!("two runs of seed {seed} differ: {difference}\n{}", reproduce(seed));
            }
            (_, Err(panic)) => {
                panic!("seed {seed} fails, but not always: {}\n{}", text(&*panic), reproduce(seed));
            }
            _ => {}
        }
    }
}

fn record(memory: &Memory) -> Tape {
    let mut header = Header::new("test", 0);
    (header.level, header.clock) = (Level::Full, "free".into());
    Writer::to_stream(memory.clone(), header, Options::default()).map(Tape::record).unwrap_or_default()
}

fn once(seed: u64, tape: &Tape, test: impl Fn(&mut Trial)) -> Result<(), Box<dyn std::any::Any + Send>> {
    let mut trial = Trial::with_tape(seed, tape.clone());
    let result = catch_unwind(AssertUnwindSafe(|| test(&mut trial)));
    let written = trial.tape.finish(trial.world.kernel(), "the test has ended");
    match result {
        Err(panic) if !panic.is::<Enough>() => Err(panic),
        _ => written.map_err(|error| Box::new(error.to_string()) as Box<dyn std::any::Any + Send>),
    }
}

fn text(panic: &(dyn std::any::Any + Send)) -> &str {
    match panic.downcast_ref::<&str>() {
        Some(text) => text,
        None => panic.downcast_ref::<String>().map_or("a panic without a message", String::as_str),
    }
}
