//! A container under a master.
//!
//! ```text
//!        input from the door                        set_time left a time on the desk
//!   wait ───────────────────> handle at (now, next round) ───────────────────────────> advance
//!    ^                                │ stop, interrupt                                    │
//!    │                                v                                                    │
//!    └──────────────────────────── ended <──────────────────────────────────────────────────┘
//! ```
//!
//! Contract: time moves only when a master says so, and what comes while it moves is handled before it is answered.

use std::collections::BTreeMap;
use std::rc::Rc;

use isochrone_sim::NameError;

use super::Manager;
use super::agent::Desk;
use crate::agent::{Agent, Container, Vtable};
use crate::clock::{Coupled, Interrupt, Live, RunError};
use crate::replay::Tape;

/// Types of agents by the names under which masters spawn them: any text, Python's `package.module:Class` included.
#[derive(Debug, Default)]
pub struct Registry(BTreeMap<String, &'static Vtable>);

impl Registry {
    /// The same types and this one.
    #[must_use]
    pub fn with<A: Agent>(self, name: &str) -> Self {
        self.with_vtable(name, Vtable::of::<A>())
    }

    pub(crate) fn with_vtable(mut self, name: &str, vtable: &'static Vtable) -> Self {
        self.0.insert(name.into(), vtable);
        self
    }
}

/// Lets a master in another process drive a container: aiomas's `subproc.start`.
///
/// ```no_run
/// use isochrone::clock::Interrupt;
/// use isochrone::manager::{Registry, Worker};
/// use isochrone::prelude::*;
///
/// struct House { kw: f64 }
///
/// #[agent]
/// impl House {
///     #[constructor]
///     fn new(kw: f64) -> Self { House { kw } }
///
///     #[expose]
///     fn load(&self) -> f64 { self.kw }
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let mut config = Config::new("worker");
/// config.start = Time::ZERO - secs(1);
/// let world = Container::new(config)?;
/// let mut worker = Worker::new(&world, Registry::default().with::<House>("plant.house:House"), Interrupt::default())?;
/// let node = world.bind("tcp://localhost:5556").numbers(true).serve(&worker.live()).await?;
/// worker.run().await?;
/// node.shutdown(secs(5)).await;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Worker<'a> {
    world: &'a Container,
    coupled: Coupled,
    desk: Rc<Desk>,
}

impl<'a> Worker<'a> {
    /// Puts a manager into the container: its agent 0, if nobody is in there yet.
    ///
    /// # Errors
    /// An agent is called `manager` already.
    pub fn new(world: &'a Container, types: Registry, interrupt: Interrupt) -> Result<Self, NameError> {
        let desk = Rc::new(Desk::default());
        world.add("manager", Manager::new(types.0, desk.clone(), world.now()))?;
        Ok(Worker { world, coupled: Coupled::new(interrupt), desk })
    }

    #[cfg_attr(not(feature = "app"), allow(dead_code, reason = "the command line records"))]
    pub(crate) fn set_tape(&mut self, tape: Tape) {
        self.coupled.set_tape(tape);
    }

    /// The way in, for [`Binding::serve`](crate::container::Binding::serve).
    pub fn live(&self) -> Live {
        self.coupled.live()
    }

    /// Whether a master has said stop.
    #[cfg_attr(not(feature = "app"), allow(dead_code, reason = "the command line goes on after recordings"))]
    pub(crate) fn is_stopped(&self) -> bool {
        self.desk.stopped()
    }

    /// Serves until a master says stop; of a recording, to its end.
    ///
    /// # Errors
    /// What the simulation says, or that it was interrupted.
    pub async fn run(&mut self) -> Result<(), RunError> {
        let kernel = self.world.kernel();
        // a recording has its inputs on the way
        let is_recorded = self.coupled.tape().is_playing();
        // what the set-up has left for the first instant
        self.coupled.advance(kernel, kernel.now()).await?;
        loop {
            while let Some(until) = self.desk.granted() {
                self.coupled.advance(kernel, until).await?;
            }
            if self.desk.stopped() || is_recorded {
                return Ok(());
            }
            let interrupt = self.coupled.interrupt().clone();
            let input = tokio::select! {
                biased;
                () = interrupt.wait() => return Err(RunError::Interrupted(kernel.now())),
                input = self.coupled.next_input() => input,
            };
            self.coupled.handle(kernel, input).await?;
        }
    }
}
