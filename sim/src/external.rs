//! Calls that leave the simulated world.
//!
//! Why: the outcome of a request to a database, a solver or a peer is not a function of the seed, and when it arrives is
//! not either. So the *time* at which the agent resumes is fixed when it asks, and the kernel waits, in wall time, for a
//! result that is late. All results due at one instant are delivered together, in the order (task, call number), never
//! in the order of arrival.
//!
//! | state | who holds it |
//! |-------|--------------|
//! | asked   | [`Externals::started`], until the driver takes it |
//! | running | the driver |
//! | done    | here, until the agent's time has come |
//! | gone    | the agent dropped it: the outcome is ignored |
//!
//! Contract: the kernel never runs these futures. The driver takes them with `take_external`, runs them in its own
//! runtime and hands in the outcome with `finish_external`; a replay hands in recorded outcomes and never calls `make`.

use std::any::Any;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use crate::agent::AgentId;
use crate::core::Core;
use crate::current;
use crate::fingerprint::{Tag, payload_hash};
use crate::observe::What;
use crate::pending::EXTERNAL;
use crate::supervise::panic_text;
use crate::time::Time;

/// Identifies an operation: the time at which its agent resumes, the agent's task, the operation's number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ExternalId {
    due: Time,
    task: u32,
    number: u64,
}

/// How the output of an operation is written down and read again; layers above know the type of what is written.
pub struct Form<T> {
    /// Writes it down, or says why that cannot be.
    pub encode: fn(&T) -> Result<Rc<dyn Any>, String>,
    /// Reads it again.
    pub decode: fn(&dyn Any) -> Result<T, String>,
}

impl<T> Clone for Form<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Form<T> {}

impl<T> fmt::Debug for Form<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Form")
    }
}

impl<T> Form<T> {
    /// No form: a run with such an operation cannot be recorded.
    pub const fn none() -> Self {
        Form {
            encode: |_| Err("the operation has no form in which it could be recorded".into()),
            decode: |_| Err("the operation has no form from which it could be read".into()),
        }
    }
}

/// What came out: the value and its hash, or what the future panicked with.
#[derive(Debug)]
pub struct Outcome {
    value: Result<Box<dyn Held>, String>,
    hash: u64,
}

/// A value that can be written down.
trait Held: fmt::Debug {
    fn encode(&self) -> Result<Rc<dyn Any>, String>;
    fn into_any(self: Box<Self>) -> Box<dyn Any>;
}

struct Output<T>(T, Form<T>);

impl<T> fmt::Debug for Output<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Output")
    }
}

impl<T: 'static> Held for Output<T> {
    fn encode(&self) -> Result<Rc<dyn Any>, String> {
        (self.1.encode)(&self.0)
    }

    fn into_any(self: Box<Self>) -> Box<dyn Any> {
        Box::new(self.0)
    }
}

impl Outcome {
    /// The operation failed before its future could say anything: the agent's task panics with this message.
    pub fn failed(message: String) -> Self {
        Outcome { value: Err(message), hash: 0 }
    }

    fn of<T: serde::Serialize + 'static>(value: T, form: Form<T>) -> Self {
        let hash = payload_hash(&value);
        Outcome { value: Ok(Box::new(Output(value, form))), hash }
    }

    /// What the operation failed with, if it did.
    pub fn failure(&self) -> Option<&str> {
        self.value.as_ref().err().map(String::as_str)
    }

    /// The output as its [`Form`] writes it down.
    ///
    /// # Errors
    /// Why it cannot be written down, or what the operation failed with.
    pub fn encode(&self) -> Result<Rc<dyn Any>, String> {
        self.value.as_ref().map_err(Clone::clone)?.encode()
    }
}

/// What the driver runs: the operation's number, and its outcome.
pub type Running = Pin<Box<dyn Future<Output = (ExternalId, Outcome)>>>;

/// What an operation is made of: the agent's closure, and the form of its output.
struct Ask<T, M> {
    make: M,
    form: Form<T>,
}

/// An [`Ask`] of any type.
trait Asks {
    fn run(self: Box<Self>, id: ExternalId) -> Running;
    fn recall(self: Box<Self>, written: &dyn Any) -> Outcome;
}

impl<T, M, F> Asks for Ask<T, M>
where
    T: serde::Serialize + 'static,
    M: FnOnce() -> F + 'static,
    F: Future<Output = T> + 'static,
{
    fn run(self: Box<Self>, id: ExternalId) -> Running {
        let Ask { make, form } = *self;
        Box::pin(async move {
            let mut future = pin!(async move { Outcome::of(make().await, form) });
            let outcome = std::future::poll_fn(|cx| {
                catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(cx)))
                    .unwrap_or_else(|panic| Poll::Ready(Outcome::failed(panic_text(&*panic))))
            });
            (id, outcome.await)
        })
    }

    fn recall(self: Box<Self>, written: &dyn Any) -> Outcome {
        match (self.form.decode)(written) {
            Ok(value) => Outcome::of(value, self.form),
            Err(error) => Outcome::failed(format!("what was recorded is something else: {error}")),
        }
    }
}

/// An operation to be run by the driver.
pub struct Started {
    /// To be handed in with the outcome.
    pub id: ExternalId,
    /// What the agent called it.
    pub name: Rc<str>,
    /// Path of the agent.
    pub agent: AgentId,
    ask: Box<dyn Asks>,
}

impl fmt::Debug for Started {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Started({:?} of {:?})", self.name, self.agent)
    }
}

impl Started {
    /// The outcome of an earlier run; the agent's closure is not called.
    pub fn recall(self, recorded: Result<&dyn Any, String>) -> (ExternalId, Outcome) {
        let outcome = match recorded {
            Ok(written) => self.ask.recall(written),
            Err(message) => Outcome::failed(message),
        };
        (self.id, outcome)
    }

    /// Calls the agent's closure, when it is first polled, and runs its future; panics become an outcome.
    pub fn run(self) -> Running {
        self.ask.run(self.id)
    }
}

struct Operation {
    agent: AgentId,
    name: Rc<str>,
    waiter: u32,
    outcome: Option<Outcome>,
    delivered: bool,
}

/// All operations in flight.
#[derive(Default)]
pub(crate) struct Externals {
    open: BTreeMap<ExternalId, Operation>,
    /// those whose outcome is there and not delivered: nobody looks through the others for them
    ready: BTreeSet<ExternalId>,
    started: Vec<Started>,
    count: u64,
}

impl Externals {
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    /// When the earliest undelivered one resumes.
    pub(crate) fn earliest(&self) -> Option<Time> {
        self.open.iter().find(|(_, operation)| !operation.delivered).map(|(id, _)| id.due)
    }

    /// Whether an outcome waits to be delivered.
    pub(crate) fn has_results(&self) -> bool {
        !self.ready.is_empty()
    }

    pub(crate) fn waiters(&self) -> Vec<u32> {
        self.open.values().map(|operation| operation.waiter).collect()
    }

    pub(crate) fn take_started(&mut self) -> Vec<Started> {
        std::mem::take(&mut self.started)
    }
}

impl Core {
    fn begin_external(
        &self,
        (name, agent): (Rc<str>, AgentId),
        due: Time,
        waiter: u32,
        ask: Box<dyn Asks>,
    ) -> ExternalId {
        let mut externals = self.externals.borrow_mut();
        let id = ExternalId { due, task: self.running_task(), number: externals.count };
        externals.count += 1;
        let operation = Operation { agent, name: name.clone(), waiter, outcome: None, delivered: false };
        externals.open.insert(id, operation);
        externals.started.push(Started { id, name, agent, ask });
        self.pending.raise(EXTERNAL);
        id
    }

    pub(crate) fn finish_external(&self, id: ExternalId, outcome: Outcome) {
        let mut externals = self.externals.borrow_mut();
        let Externals { open, ready, .. } = &mut *externals;
        let gone = match open.get_mut(&id) {
            Some(operation) => {
                if !operation.delivered {
                    ready.insert(id);
                }
                operation.outcome.replace(outcome)
            }
            None => Some(outcome),
        };
        drop(externals);
        drop(gone);
    }

    /// Whether the present instant needs a result that is not there yet.
    pub(crate) fn is_blocked(&self) -> bool {
        let now = self.now();
        !self.config.realtime
            && self
                .externals
                .borrow()
                .open
                .iter()
                .take_while(|(id, _)| id.due <= now)
                .any(|(_, operation)| !operation.delivered && operation.outcome.is_none())
    }

    /// Resumes the agents whose results are due; all of them are there.
    pub(crate) fn deliver_externals(&self) -> bool {
        let now = self.now();
        let due: Vec<_> = {
            let mut externals = self.externals.borrow_mut();
            let Externals { open, ready, .. } = &mut *externals;
            let mut due = Vec::new();
            while let Some(id) = ready.first().copied().filter(|id| self.config.realtime || id.due <= now) {
                ready.remove(&id);
                let Some(operation) = open.get_mut(&id) else { continue };
                operation.delivered = true;
                let hash = operation.outcome.as_ref().map_or(0, |outcome| outcome.hash);
                due.push((operation.agent, operation.name.clone(), operation.waiter, hash));
            }
            due
        };
        let some = !due.is_empty();
        for (agent, name, waiter, hash) in due {
            let purpose = crate::random::purpose_of(&name);
            self.agents.borrow_mut().meta[agent.index()].fingerprint.mix(
                Tag::External,
                now,
                self.round(),
                purpose,
                0,
                hash,
            );
            self.observe(agent, || What::External { name: name.to_string(), hash });
            self.wake_waiter(waiter);
        }
        some
    }
}

enum Asking<T> {
    New(Option<Box<dyn Asks>>),
    Asked(ExternalId),
    Done(std::marker::PhantomData<fn() -> T>),
}

/// The agent's side of an operation; see [`Ctx::external_as`](crate::Ctx::external_as).
#[must_use = "it does nothing until it is awaited"]
pub struct External<T> {
    name: Rc<str>,
    agent: AgentId,
    latency: Duration,
    state: Asking<T>,
}

impl<T> fmt::Debug for External<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "External({:?} of {:?})", self.name, self.agent)
    }
}

impl<T> Unpin for External<T> {}

impl<T: serde::Serialize + 'static> External<T> {
    pub(crate) fn new<M, F>(name: &str, agent: AgentId, latency: Duration, form: Form<T>, make: M) -> Self
    where
        M: FnOnce() -> F + 'static,
        F: Future<Output = T> + 'static,
    {
        let ask = Box::new(Ask { make, form });
        External { name: name.into(), agent, latency, state: Asking::New(Some(ask)) }
    }
}

impl<T: 'static> Future for External<T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        let me = &mut *self;
        match &mut me.state {
            Asking::New(ask) => {
                if let Some(ask) = ask.take() {
                    let id = current::with(|core| {
                        let due = core.now().saturating_add(me.latency);
                        let waiter = core.waiter(cx.waker());
                        core.begin_external((me.name.clone(), me.agent), due, waiter, ask)
                    });
                    me.state = Asking::Asked(id);
                }
                Poll::Pending
            }
            Asking::Asked(id) => {
                let id = *id;
                let outcome = current::with(|core| {
                    let mut externals = core.externals.borrow_mut();
                    if externals.open.get(&id).is_some_and(|operation| operation.delivered) {
                        return externals.open.remove(&id).and_then(|operation| operation.outcome);
                    }
                    let old = externals.open.get(&id).map(|operation| operation.waiter);
                    drop(externals);
                    if let Some(old) = old {
                        let new = core.renew_waiter(old, cx.waker());
                        if let Some(operation) = core.externals.borrow_mut().open.get_mut(&id) {
                            operation.waiter = new;
                        }
                    }
                    None
                });
                let Some(outcome) = outcome else { return Poll::Pending };
                me.state = Asking::Done(std::marker::PhantomData);
                match outcome.value.map(|value| value.into_any().downcast::<T>()) {
                    Ok(Ok(value)) => Poll::Ready(*value),
                    Ok(Err(_)) => panic!("external operation {:?}: the outcome is of another type", me.name),
                    Err(message) => panic!("external operation {:?}: {message}", me.name),
                }
            }
            Asking::Done(_) => Poll::Pending,
        }
    }
}

impl<T> Drop for External<T> {
    fn drop(&mut self) {
        if let Asking::Asked(id) = self.state {
            let gone = current::try_with(|core| {
                let mut externals = core.externals.borrow_mut();
                externals.ready.remove(&id);
                let gone = externals.open.remove(&id);
                drop(externals);
                if let Some(operation) = gone.as_ref().filter(|operation| !operation.delivered) {
                    core.release_waiter(operation.waiter);
                }
                gone
            });
            drop(gone);
        }
    }
}
