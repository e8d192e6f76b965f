//! What must always, sometimes, or never be: said in agents' code, counted over runs.
//!
//! Why: a search over thousands of runs needs to know what a failure is, and that it has seen what it was to see. A green
//! search in which the interesting state never came about has shown nothing.
//!
//! | macro | a failure is |
//! |-------|--------------|
//! | [`always!`](crate::always) | a run in which it does not hold |
//! | [`sometimes!`](crate::sometimes) | a whole search in which it never held |
//! | [`unreachable!`](crate::unreachable) | a run that comes there |
//!
//! Contract: a property that fails is a panic, so a failure of the agent, under every clock; what is more is that searches
//! and recordings know its name. Counting costs a look-up in a small map.

use std::cell::RefCell;
use std::collections::BTreeMap;

use isochrone_sim::{Time, local};

use super::tape::Tape;

/// How a property is to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Expect {
    /// Whenever it is looked at, it holds.
    Always,
    /// In some run it holds.
    Sometimes,
    /// Nobody comes there.
    Never,
}

/// How often a property was looked at, and how often it held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Count {
    /// How it is to be.
    pub expect: Expect,
    /// Looks.
    pub looks: u64,
    /// Of which it held.
    pub held: u64,
}

/// A property that failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broken {
    /// Its name.
    pub name: String,
    /// Path of the agent whose code looked.
    pub agent: String,
    /// When.
    pub time: Time,
    /// More about it.
    pub text: String,
}

/// The properties of one run; to be [provided](isochrone_sim::Kernel::provide) to its kernel.
#[derive(Debug, Default)]
pub struct Properties {
    counts: RefCell<BTreeMap<&'static str, Count>>,
    broken: RefCell<Option<Broken>>,
    tape: Tape,
}

impl Properties {
    /// None so far; what fails goes onto the tape.
    pub fn new(tape: Tape) -> Self {
        Properties { tape, ..Properties::default() }
    }

    /// What was counted, by name.
    pub fn counts(&self) -> BTreeMap<&'static str, Count> {
        self.counts.borrow().clone()
    }

    /// The first that failed.
    pub fn broken(&self) -> Option<Broken> {
        self.broken.borrow().clone()
    }
}

/// Looks at a property. What the macros stand on.
#[doc(hidden)]
#[track_caller]
pub fn look(expect: Expect, name: &'static str, holds: bool, text: impl FnOnce() -> String) {
    let properties = local::shared::<Properties>();
    if let Some(properties) = &properties {
        let mut counts = properties.counts.borrow_mut();
        let count = counts.entry(name).or_insert(Count { expect, looks: 0, held: 0 });
        count.looks += 1;
        count.held += u64::from(holds);
    }
    if holds || expect == Expect::Sometimes {
        return;
    }
    let text = text();
    if let Some(properties) = properties {
        let agent = local::ctx().map_or_else(String::new, |cx| cx.path());
        let time = local::now();
        properties.tape.property(&agent, name, &text);
        let broken = Broken { name: name.into(), agent, time, text: text.clone() };
        properties.broken.borrow_mut().get_or_insert(broken);
    }
    let colon = if text.is_empty() { "" } else { ": " };
    match expect {
        Expect::Never => panic!("nobody was to come to {name:?}{colon}{text}"),
        _ => panic!("{name:?} does not always hold{colon}{text}"),
    }
}

/// A condition that holds whenever it is looked at: `always!(self.soc <= 1.0, "no battery is overfull")`, with further
/// arguments as for `format!` where more is to be said. If it does not hold, the agent fails.
///
/// ```
/// use isochrone::prelude::*;
///
/// struct Battery { soc: f64 }
///
/// #[agent]
/// impl Battery {
///     #[expose]
///     fn charge(&mut self, by: f64) -> f64 {
///         self.soc += by;
///         isochrone::always!(self.soc <= 1.0, "no battery is overfull", "{} is", self.soc);
///         isochrone::sometimes!(self.soc > 0.9, "a battery is nearly full");
///         self.soc
///     }
/// }
/// ```
#[macro_export]
macro_rules! always {
    ($holds:expr, $name:literal $(,)?) => { $crate::always!($holds, $name, "") };
    ($holds:expr, $name:literal, $($text:tt)+) => {
        $crate::replay::look($crate::replay::Expect::Always, $name, $holds, || ::std::format!($($text)+))
    };
}

/// A condition that holds in some run of a search: `sometimes!(bids.len() > 1, "there is competition")`. A search in which
/// it never held has failed.
#[macro_export]
macro_rules! sometimes {
    ($holds:expr, $name:literal $(,)?) => {
        $crate::replay::look($crate::replay::Expect::Sometimes, $name, $holds, ::std::string::String::new)
    };
}

/// A place that nobody comes to: `isochrone::unreachable!("an award without a bid")`. If somebody does, the agent fails.
#[macro_export]
macro_rules! unreachable {
    ($name:literal $(,)?) => { $crate::unreachable!($name, "") };
    ($name:literal, $($text:tt)+) => {
        $crate::replay::look($crate::replay::Expect::Never, $name, false, || ::std::format!($($text)+))
    };
}
