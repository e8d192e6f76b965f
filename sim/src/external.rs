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
use std::cell::Cell;
use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap, VecDeque};
use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
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
use crate::random::purpose_of;
use crate::slab::Slab;
use crate::supervise::panic_text;
use crate::time::Time;

/// Identifies an operation: the time at which its agent resumes, the agent's task, the operation's number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ExternalId {
    due: Time,
    task: u32,
    number: u64,
    /// where it lies; the numbers before tell it from all others
    slot: u32,
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
trait Held: Any + fmt::Debug {
    fn encode(&self) -> Result<Rc<dyn Any>, String>;
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
}

impl Outcome {
    /// The operation failed before its future could say anything: the agent's task panics with this message.
    pub fn failed(message: String) -> Self {
        Outcome { value: Err(message), hash: 0 }
    }

    /// The operation has ended with this.
    pub fn new<T: serde::Serialize + 'static>(value: T, form: Form<T>) -> Self {
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

/// An operation, for layers above that have more to say of one than a closure: a driver can [recognise](Started::order) it
/// and carry it out without a future.
pub trait Order: 'static {
    /// What comes out.
    type Output: serde::Serialize + 'static;

    /// What it is called, in journals and errors.
    fn name(&self) -> String;

    /// Its name in fingerprints.
    fn purpose(&self) -> u64 {
        purpose_of(&self.name())
    }

    /// What is asked: two operations with the same number get the same answer if nothing else differs.
    fn question(&self) -> u64 {
        self.purpose()
    }

    /// What it sends, if that is known before it is sent; with the content itself, if that is wanted and can be shown.
    fn sends(&self, with_content: bool) -> Option<Sending> {
        let _ = with_content;
        None
    }

    /// What comes out when nobody can be asked, because of `why`; if nothing does, the agent's task panics with that.
    fn refused(&self, why: &str) -> Option<Self::Output> {
        let _ = why;
        None
    }

    /// How its output is written down.
    fn form(&self) -> Form<Self::Output>;

    /// Begins it. Called once, by the driver, on its runtime.
    fn run(&self) -> impl Future<Output = Self::Output>;
}

/// What leaves the simulated world with an operation: a recording compares it.
#[derive(Debug)]
pub struct Sending {
    /// To whom.
    pub to: String,
    /// What it adds up to.
    pub hash: u64,
    /// What it is, as layers above write it down.
    pub content: Option<Rc<dyn Any>>,
}

/// An [`Order`] that calls an agent's closure.
struct Closure<T, M> {
    name: Box<str>,
    form: Form<T>,
    make: Cell<Option<M>>,
}

impl<T, M, F> Order for Closure<T, M>
where
    T: serde::Serialize + 'static,
    M: FnOnce() -> F + 'static,
    F: Future<Output = T> + 'static,
{
    type Output = T;

    fn name(&self) -> String {
        self.name.to_string()
    }

    fn purpose(&self) -> u64 {
        purpose_of(&self.name)
    }

    fn form(&self) -> Form<T> {
        self.form
    }

    async fn run(&self) -> T {
        match self.make.take() {
            Some(make) => make().await,
            None => std::future::pending().await,
        }
    }
}

/// An [`Order`] of any type.
trait Asks: Any {
    fn name(&self) -> String;
    fn purpose(&self) -> u64;
    fn question(&self) -> u64;
    fn sends(&self, with_content: bool) -> Option<Sending>;
    fn run(self: Rc<Self>, id: ExternalId) -> Running;
    fn recall(&self, written: &dyn Any) -> Outcome;
    fn refuse(&self, why: String) -> Outcome;
}

impl<O: Order> Asks for O {
    fn name(&self) -> String {
        Order::name(self)
    }

    fn purpose(&self) -> u64 {
        Order::purpose(self)
    }

    fn question(&self) -> u64 {
        Order::question(self)
    }

    fn sends(&self, with_content: bool) -> Option<Sending> {
        Order::sends(self, with_content)
    }

    fn refuse(&self, why: String) -> Outcome {
        match self.refused(&why) {
            Some(output) => Outcome::new(output, self.form()),
            None => Outcome::failed(why),
        }
    }

    fn run(self: Rc<Self>, id: ExternalId) -> Running {
        Box::pin(async move {
            let form = self.form();
            let mut future = pin!(async move { Outcome::new(Order::run(&*self).await, form) });
            let outcome = std::future::poll_fn(|cx| {
                catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(cx)))
                    .unwrap_or_else(|panic| Poll::Ready(Outcome::failed(panic_text(&*panic))))
            });
            (id, outcome.await)
        })
    }

    fn recall(&self, written: &dyn Any) -> Outcome {
        let form = self.form();
        match (form.decode)(written) {
            Ok(value) => Outcome::new(value, form),
            Err(error) => Outcome::failed(format!("what was recorded is something else: {error}")),
        }
    }
}

/// An operation to be run by the driver.
pub struct Started {
    /// To be handed in with the outcome.
    pub id: ExternalId,
    /// Path of the agent.
    pub agent: AgentId,
    ask: Rc<dyn Asks>,
}

impl fmt::Debug for Started {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Started({:?} of {:?})", self.name(), self.agent)
    }
}

impl Started {
    /// What the agent called it.
    pub fn name(&self) -> String {
        self.ask.name()
    }

    /// The operation, if it is of this type.
    pub fn order<O: Order>(&self) -> Option<&O> {
        let ask: &dyn Any = &*self.ask;
        ask.downcast_ref()
    }

    /// When the agent resumes; on the wall clock, not before.
    pub fn due(&self) -> Time {
        self.id.due
    }

    /// What is asked, see [`Order::question`].
    pub fn question(&self) -> u64 {
        self.ask.question()
    }

    /// What leaves with it, see [`Order::sends`].
    pub fn sends(&self, with_content: bool) -> Option<Sending> {
        self.ask.sends(with_content)
    }

    /// Nobody can be asked, because of `why`; the agent's closure is not called.
    pub fn refuse(self, why: String) -> (ExternalId, Outcome) {
        (self.id, self.ask.refuse(why))
    }

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
    id: ExternalId,
    agent: AgentId,
    ask: Rc<dyn Asks>,
    waiter: u32,
    outcome: Option<Outcome>,
    delivered: bool,
}

/// All operations in flight.
#[derive(Default)]
pub(crate) struct Externals {
    slots: Slab<Option<Operation>>,
    /// those of simulated time, which has to know what the present instant waits for
    order: BTreeSet<ExternalId>,
    /// those whose outcome is there and not delivered: nobody looks through the others for them
    ready: BinaryHeap<Reverse<ExternalId>>,
    started: VecDeque<Started>,
    count: u64,
}

impl Externals {
    /// Whether nothing is to be looked at: in simulated time no operation, which may be waited for, else no result.
    #[inline]
    pub(crate) fn is_idle(&self, realtime: bool) -> bool {
        if realtime { self.ready.is_empty() } else { self.slots.is_empty() }
    }

    #[inline]
    fn get(&mut self, id: ExternalId) -> Option<&mut Operation> {
        self.slots.get_mut(id.slot)?.as_mut().filter(|operation| operation.id.number == id.number)
    }

    /// The operation is over.
    fn remove(&mut self, id: ExternalId) -> Option<Operation> {
        let place = self.slots.get_mut(id.slot)?;
        let operation = place.take_if(|operation| operation.id.number == id.number)?;
        self.slots.release(id.slot);
        self.order.remove(&id);
        if operation.outcome.is_some() && !operation.delivered {
            self.ready.retain(|Reverse(ready)| *ready != id);
        }
        Some(operation)
    }

    /// Those that are not delivered, in order.
    fn awaited(&self) -> impl Iterator<Item = &Operation> {
        let operation = |id: &ExternalId| self.slots.get(id.slot)?.as_ref();
        self.order.iter().filter_map(operation).filter(|operation| !operation.delivered)
    }

    /// When the earliest undelivered one of simulated time resumes.
    pub(crate) fn earliest(&self) -> Option<Time> {
        self.awaited().next().map(|operation| operation.id.due)
    }

    /// Whether an outcome waits to be delivered.
    pub(crate) fn has_results(&self) -> bool {
        !self.ready.is_empty()
    }

    pub(crate) fn waiters(&self) -> Vec<u32> {
        self.slots.iter().flatten().map(|operation| operation.waiter).collect()
    }

    #[inline]
    pub(crate) fn append_started(&mut self, started: &mut VecDeque<Started>) {
        if started.is_empty() {
            std::mem::swap(started, &mut self.started);
        } else {
            started.append(&mut self.started);
        }
    }

    pub(crate) fn take_started(&mut self) -> Vec<Started> {
        std::mem::take(&mut self.started).into()
    }
}

impl Core {
    fn begin_external(&self, agent: AgentId, due: Time, waiter: u32, ask: Rc<dyn Asks>) -> ExternalId {
        let externals = &mut *self.externals.borrow_mut();
        let slot = externals.slots.add(None);
        let id = ExternalId { due, task: self.running_task(), number: externals.count, slot };
        externals.count += 1;
        let operation = Operation { id, agent, ask: ask.clone(), waiter, outcome: None, delivered: false };
        if let Some(place) = externals.slots.get_mut(slot) {
            *place = Some(operation);
        }
        if !self.config.realtime {
            externals.order.insert(id);
            self.pending.raise(EXTERNAL);
        }
        externals.started.push_back(Started { id, agent, ask });
        id
    }

    /// Hands in an outcome; what nobody waits for comes back.
    pub(crate) fn finish_external(&self, id: ExternalId, outcome: Outcome) -> Option<Outcome> {
        let mut externals = self.externals.borrow_mut();
        match externals.get(id) {
            Some(operation) => {
                let (known, before) = (operation.delivered, operation.outcome.replace(outcome));
                if !known && before.is_none() {
                    externals.ready.push(Reverse(id));
                    self.pending.raise(EXTERNAL);
                }
                before
            }
            None => Some(outcome),
        }
    }

    /// Whether the present instant needs a result that is not there yet.
    pub(crate) fn is_blocked(&self) -> bool {
        let now = self.now();
        !self.config.realtime
            && self
                .externals
                .borrow()
                .awaited()
                .take_while(|operation| operation.id.due <= now)
                .any(|operation| operation.outcome.is_none())
    }

    /// The next operation whose result is there and due.
    fn next_due(&self, now: Time) -> Option<(AgentId, Rc<dyn Asks>, u32, u64)> {
        let mut externals = self.externals.borrow_mut();
        let Reverse(id) = *externals.ready.peek()?;
        if id.due > now && !self.config.realtime {
            return None;
        }
        externals.ready.pop();
        let operation = externals.get(id)?;
        operation.delivered = true;
        let hash = operation.outcome.as_ref().map_or(0, |outcome| outcome.hash);
        Some((operation.agent, operation.ask.clone(), operation.waiter, hash))
    }

    /// Resumes the agents whose results are due; all of them are there.
    pub(crate) fn deliver_externals(&self) -> bool {
        let now = self.now();
        let mut some = false;
        if self.config.realtime {
            // all that there are
            self.pending.lower(EXTERNAL);
        }
        while let Some((agent, ask, waiter, hash)) = self.next_due(now) {
            some = true;
            self.agents.borrow_mut().meta[agent.index()].fingerprint.mix(
                Tag::External,
                now,
                self.round(),
                ask.purpose(),
                0,
                hash,
            );
            self.observe(agent, || What::External { name: ask.name(), hash });
            self.wake_waiter(waiter);
        }
        some
    }
}

enum Asking {
    New(Option<Rc<dyn Asks>>),
    Asked(ExternalId),
    Done,
}

/// The agent's side of an operation; see [`Ctx::external_as`](crate::Ctx::external_as).
#[must_use = "it does nothing until it is awaited"]
pub struct External<T> {
    agent: AgentId,
    latency: Duration,
    state: Asking,
    output: PhantomData<fn() -> T>,
}

impl<T> fmt::Debug for External<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.state {
            Asking::New(Some(ask)) => write!(f, "External({:?} of {:?})", ask.name(), self.agent),
            _ => write!(f, "External(of {:?})", self.agent),
        }
    }
}

impl<T> Unpin for External<T> {}

impl<T: serde::Serialize + 'static> External<T> {
    pub(crate) fn new<M, F>(name: &str, agent: AgentId, latency: Duration, form: Form<T>, make: M) -> Self
    where
        M: FnOnce() -> F + 'static,
        F: Future<Output = T> + 'static,
    {
        External::of(
            Rc::new(Closure { name: name.into(), form, make: Cell::new(Some(make)) }),
            agent,
            latency,
        )
    }

    pub(crate) fn of(order: Rc<impl Order<Output = T>>, agent: AgentId, latency: Duration) -> Self {
        External { agent, latency, state: Asking::New(Some(order)), output: PhantomData }
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
                        core.begin_external(me.agent, due, waiter, ask)
                    });
                    me.state = Asking::Asked(id);
                }
                Poll::Pending
            }
            Asking::Asked(id) => {
                let Some(ended) = current::with(|core| take(core, *id, cx)) else { return Poll::Pending };
                me.state = Asking::Done;
                let Some(outcome) = ended.outcome else { return Poll::Pending };
                let output = outcome.value.map(|value| (value as Box<dyn Any>).downcast::<Output<T>>());
                match output {
                    Ok(Ok(output)) => Poll::Ready(output.0),
                    Ok(Err(_)) => {
                        panic!("external operation {:?}: the outcome is of another type", ended.ask.name())
                    }
                    Err(message) => panic!("external operation {:?}: {message}", ended.ask.name()),
                }
            }
            Asking::Done => Poll::Pending,
        }
    }
}

/// Takes an operation whose outcome has been delivered, or notes who waits for it now.
fn take(core: &Core, id: ExternalId, cx: &mut Context<'_>) -> Option<Operation> {
    let mut externals = core.externals.borrow_mut();
    let operation = externals.get(id)?;
    if operation.delivered {
        return externals.remove(id);
    }
    let old = operation.waiter;
    drop(externals);
    let new = core.renew_waiter(old, cx.waker());
    if let Some(operation) = core.externals.borrow_mut().get(id) {
        operation.waiter = new;
    }
    None
}

impl<T> Drop for External<T> {
    fn drop(&mut self) {
        if let Asking::Asked(id) = self.state {
            let gone = current::try_with(|core| {
                let gone = core.externals.borrow_mut().remove(id);
                if let Some(operation) = gone.as_ref().filter(|operation| !operation.delivered) {
                    core.release_waiter(operation.waiter);
                }
                gone
            });
            drop(gone);
        }
    }
}
