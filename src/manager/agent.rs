//! The agent that a master calls: aiomas's `subproc.Manager`.
//!
//! Why an agent of the kernel: what a master asks for enters by the door as every other call does, so it has its place in
//! the order of things. What a manager cannot do itself, to move time and to end the run, it leaves on the [`Desk`] for the
//! worker's loop.
//!
//! Contract: `set_time` is answered when its time has come, which is when everything before it and at it has happened: the
//! driver lets no answer out in the middle of an advance.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;

use isochrone_sim::{Ctx, This, Time};

use super::Moment;
use crate::agent::{Proxy, Vtable};
use crate::rpc::{Args, CallError};

/// What a manager leaves for its worker.
#[derive(Debug, Default)]
pub(super) struct Desk {
    granted: RefCell<VecDeque<Time>>,
    stopped: Cell<bool>,
}

impl Desk {
    /// The next time up to which the agents may run.
    pub(super) fn granted(&self) -> Option<Time> {
        self.granted.borrow_mut().pop_front()
    }

    pub(super) fn stopped(&self) -> bool {
        self.stopped.get()
    }
}

/// Creates agents in its container and moves its clock, as a master says: agent 0 of a [`Worker`](super::Worker)'s container.
///
/// A master that is a program of aiomas calls `spawn(qualname, *args, **kwargs)`, `set_time(t)` and `stop()` as it calls
/// aiomas's own manager; one of ours may use the typed [`ManagerProxy`].
#[derive(Debug)]
pub struct Manager {
    types: BTreeMap<String, &'static Vtable>,
    desk: Rc<Desk>,
    /// up to where the agents may run
    until: Time,
    /// the same, as it was said
    said: Moment,
}

impl Manager {
    pub(super) fn new(types: BTreeMap<String, &'static Vtable>, desk: Rc<Desk>, start: Time) -> Self {
        Manager { types, desk, until: start, said: Moment::in_seconds(start) }
    }

    /// Grants the agents the time up to this moment.
    fn grant(&mut self, moment: Moment) -> Result<Time, CallError> {
        let until = moment.time()?;
        let refused = match moment.is_aiomas() {
            true => (until <= self.until).then_some(">"),
            false => (until < self.until).then_some(">="),
        };
        if let Some(relation) = refused {
            let text = format!("Time must be {relation} {} but is {moment}", self.said);
            return Err(CallError::new("ValueError", text));
        }
        self.until = until;
        self.said = moment;
        self.desk.granted.borrow_mut().push_back(until);
        Ok(until)
    }
}

#[crate::agent]
impl Manager {
    /// Creates an agent of the type registered under this name, by its constructor, which gets the other arguments.
    /// Returns its proxy and its address.
    #[expose]
    fn spawn(&mut self, cx: &Ctx, qualname: String, args: Args) -> Result<(Proxy, String), CallError> {
        let Some(vtable) = self.types.get(&qualname) else {
            let known: Vec<&str> = self.types.keys().map(String::as_str).collect();
            let known = if known.is_empty() { "none".into() } else { known.join(", ") };
            let text = format!("no type of agents is registered here as {qualname:?}; there are: {known}");
            return Err(CallError::lookup_error(text));
        };
        let proxy = (vtable.spawn)(cx, args)?;
        let address = proxy.address().unwrap_or_default();
        Ok((proxy, address))
    }

    /// Lets the agents run up to this time, and returns when they are done. In seconds, as aiomas's masters say it, it must
    /// be later than the last one; as text, as in `"15min"`, it may be the same.
    #[expose]
    async fn set_time(this: This<Self>, time: Moment) -> Result<(), CallError> {
        let until = this.with(|me| me.grant(time))?;
        this.sleep_until(until).await;
        Ok(())
    }

    /// Ends the run, and with it the process.
    #[expose]
    fn stop(&self) -> Result<(), CallError> {
        match self.desk.stopped.replace(true) {
            false => Ok(()),
            true => Err(CallError::new("InvalidStateError", "it was stopped before")),
        }
    }
}
