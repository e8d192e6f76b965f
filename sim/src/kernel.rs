//! The kernel: one container's agents, its clock, and the order in which things happen.
//!
//! Why: a simulated run must be a function of scenario, seed and inputs. So the kernel owns everything that could decide
//! otherwise: which task runs next, which message arrives first, when a timer fires. It has no threads, no sockets and
//! no system clock; whoever owns it says how far time may go.
//!
//! # An instant
//! An instant is a time and a number of *rounds*. What is sent in round r arrives in round r + 1. Within an instant the
//! phases follow each other, and every phase is run until nothing is left to do before the next one begins:
//!
//! | phase | what happens | then |
//! |-------|--------------|------|
//! | 1 | results of `external`, inputs, messages and replies arrive; tasks they wake run | again, while there are any |
//! | 2 | timers that are due fire | back to 1 |
//! | 2b | tasks in `settled()` resume, once | back to 1 |
//! | 3 | deadlines that are due fire | back to 1 |
//!
//! # The contract of a driver
//! Call [`Kernel::run_until`] (or [`Kernel::turn`], which gives way); on [`Progress::Blocked`] run the futures of
//! [`Kernel::take_external`] until [`Kernel::finish_external`] has been called for those that are due, then call again.
//! Everything from outside enters through [`Kernel::inject`].
//!
//! # Failure modes
//! A failing agent never stops the kernel unless its policy says so; see [`SimError`] for what does.

use std::any::{Any, TypeId};
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, Waker};

use crate::agent::{AgentId, Agents, NameError, Status};
use crate::call::{CallRef, CallState, Calls, Fault};
use crate::context::This;
use crate::current::{self, Entered, Injector};
use crate::error::{Involved, SimError};
use crate::external::Externals;
use crate::fingerprint::{Tag, fold};
use crate::mailbox::{self, Actor, Asked, Class, Factory, Inbox, Ref};
use crate::observe::{Event, Observer, What};
use crate::order::{OrderKey, Ordered, Shuffle, arrange};
use crate::supervise::{Policy, Report, panic_text};
use crate::task::{Label, TaskFuture, Tasks};
use crate::time::{Epoch, Time};
use crate::waker::{self, TaskKey};
use crate::wheel::Wheel;

/// What a kernel is made with. [`Config::new`] has the defaults.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Config {
    /// Name of the container; first part of every agent's identity.
    pub name: String,
    /// Rank of the container among the containers of its world, by name.
    pub rank: u32,
    /// Seed of all random streams.
    pub seed: u64,
    /// Seed of shuffle mode; `None` keeps the canonical order.
    pub shuffle: Option<u64>,
    /// The UTC date of time zero.
    pub epoch: Epoch,
    /// Where the clock stands at first; default zero.
    pub start: Time,
    /// Rounds at one instant, or in one step at one instant, that make a livelock; default 1,000,000.
    pub livelock: u32,
    /// Messages that may wait for one agent; default 65,536.
    pub mailbox: u32,
    /// What to do with a failing agent whose type has no policy of its own; default escalate.
    pub policy: Policy,
    /// Whether time is the wall's: then wakes from outside are allowed, and `external` resumes when its result is there.
    pub realtime: bool,
}

impl Config {
    /// Defaults for a container of this name.
    pub fn new(name: impl Into<String>) -> Self {
        Config {
            name: name.into(),
            rank: 0,
            seed: 0,
            shuffle: None,
            epoch: Epoch::default(),
            start: Time::ZERO,
            livelock: 1_000_000,
            mailbox: 65_536,
            policy: Policy::default(),
            realtime: false,
        }
    }
}

/// How far a turn came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Progress {
    /// Everything up to the limit has happened; the next event is at this time, if there is one.
    Quiet {
        /// Of the earliest timer, deadline, injection or external result.
        next: Option<Time>,
    },
    /// Time cannot go on before an external operation has finished.
    Blocked,
    /// The budget of rounds is used up; there is more to do.
    More,
}

/// What has been counted so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counts {
    /// Agents ever created.
    pub agents: u64,
    /// Messages delivered to agents, calls included.
    pub messages: u64,
    /// Handlers run and tasks polled.
    pub activations: u64,
    /// Instants at which something happened.
    pub instants: u64,
    /// Messages to nobody.
    pub dead_letters: u64,
    /// Replies whose caller had lost interest.
    pub late_replies: u64,
    /// Failures of agents.
    pub failures: u64,
}

pub(crate) const NO_TASK: u32 = u32::MAX;
/// Waiters with this bit are foreign wakers in [`Core::sides`].
const SIDE: u32 = 1 << 31;
/// Waiters with this bit are agents that restart.
const RESTART: u32 = 1 << 30;

/// Messages sent where no kernel runs.
static HOMELESS: AtomicU64 = AtomicU64::new(0);

pub(crate) fn count_homeless() {
    HOMELESS.fetch_add(1, Ordering::Relaxed);
}

/// One-way messages of this process that were sent outside of any running kernel: dead letters of no container.
pub fn homeless_messages() -> u64 {
    HOMELESS.load(Ordering::Relaxed)
}

/// A reply on its way to its caller.
pub(crate) struct ReplyNote {
    to: AgentId,
    from: AgentId,
    sequence: u64,
    class: u16,
    call: CallRef,
    value: u32,
    hash: u64,
}

impl ReplyNote {
    #[inline]
    pub(crate) fn new(to: AgentId, class: u16, call: CallRef, value: u32, hash: u64) -> Self {
        ReplyNote { to, from: AgentId::OUTSIDE, sequence: 0, class, call, value, hash }
    }
}

impl Ordered for ReplyNote {
    fn order(&self) -> (AgentId, u32, u64) {
        (self.to, self.from.ordinal().wrapping_add(1), self.sequence)
    }
}

/// A waker that is not ours, and the task that waits through it.
struct Side {
    waker: Waker,
    task: u32,
}

#[derive(Default)]
struct Sides {
    wakers: Vec<Option<Side>>,
    free: Vec<u32>,
}

/// A turn is on until this is dropped.
struct Turning<'c>(&'c Cell<bool>);

impl<'c> Turning<'c> {
    fn new(turning: &'c Cell<bool>) -> Self {
        turning.set(true);
        Turning(turning)
    }
}

impl Drop for Turning<'_> {
    fn drop(&mut self) {
        self.0.set(false);
    }
}

/// Replaces a waiter whose number has been given back: it may soon be somebody else's.
fn stand_in(waiters: &RefCell<Vec<u32>>, old: u32, new: u32) {
    if old != new
        && let Some(waiter) = waiters.borrow_mut().iter_mut().find(|waiter| **waiter == old)
    {
        *waiter = new;
    }
}

type Injection = Box<dyn FnOnce(&Core)>;

/// What all parts of a kernel share. Public only inside the crate; [`Kernel`] owns it.
pub(crate) struct Core {
    id: u16,
    injector: Arc<Injector>,
    pub(crate) config: Config,
    now: Cell<Time>,
    round: Cell<u32>,
    /// rounds since the step or the instant began
    spent: Cell<u32>,
    /// whose code runs
    agent: Cell<AgentId>,
    task: Cell<u32>,
    label: Cell<Label>,
    pub(crate) tasks: RefCell<Tasks>,
    ready: RefCell<Vec<u32>>,
    spare_ready: RefCell<Vec<u32>>,
    /// waiters whose time has come already: they go with the next round
    soon: RefCell<Vec<u32>>,
    parked: RefCell<BTreeMap<AgentId, Vec<u32>>>,
    /// the exclusive task of each locked agent
    pub(crate) locks: RefCell<BTreeMap<AgentId, u32>>,
    pub(crate) timers: RefCell<Wheel>,
    pub(crate) deadlines: RefCell<Wheel>,
    settled: RefCell<Vec<u32>>,
    settlings: Cell<u64>,
    /// of all timers and deadlines that have fired: agent, time, round
    timers_fired: Cell<u64>,
    sides: RefCell<Sides>,
    pub(crate) agents: RefCell<Agents>,
    classes: RefCell<Vec<Rc<dyn Class>>>,
    /// the same, to be told by their types
    inboxes: RefCell<Vec<Rc<dyn Any>>>,
    types: RefCell<Vec<&'static str>>,
    policies: RefCell<BTreeMap<u16, Policy>>,
    active: RefCell<Vec<u16>>,
    spare_active: RefCell<Vec<u16>>,
    pub(crate) calls: RefCell<Calls>,
    replies: RefCell<Vec<ReplyNote>>,
    spare_replies: RefCell<Vec<ReplyNote>>,
    injections: RefCell<BTreeMap<(Time, u64), Injection>>,
    injected: Cell<u64>,
    pub(crate) externals: RefCell<Externals>,
    pub(crate) draws: RefCell<BTreeMap<(AgentId, u64), u64>>,
    pub(crate) restarts: RefCell<BTreeMap<AgentId, u32>>,
    pub(crate) failures: RefCell<Vec<(AgentId, Label, String)>>,
    pub(crate) stops: RefCell<Vec<AgentId>>,
    pub(crate) reports: RefCell<Vec<Report>>,
    pub(crate) escalated: RefCell<Option<Report>>,
    fatal: RefCell<Option<SimError>>,
    /// something among failures, fatal needs attention after this agent's code
    alarm: Cell<bool>,
    /// a turn is on: agents' code may run
    turning: Cell<bool>,
    pub(crate) shared: RefCell<BTreeMap<TypeId, Rc<dyn Any>>>,
    tracking: Cell<bool>,
    touched: RefCell<Vec<AgentId>>,
    observer: RefCell<Option<Box<dyn Observer>>>,
    observed: Cell<bool>,
    letters: RefCell<Vec<String>>,
    messages: Cell<u64>,
    activations: Cell<u64>,
    instants: Cell<u64>,
    pub(crate) failed: Cell<u64>,
    dead: Cell<u64>,
    late: Cell<u64>,
}

impl fmt::Debug for Core {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Kernel({:?} at {}, round {})", self.config.name, self.now.get(), self.round.get())
    }
}

/// A time as the wheels hold it: order-preserving, unsigned.
#[inline]
pub(crate) const fn wheel_key(time: Time) -> u64 {
    time.as_nanos() as u64 ^ 1 << 63
}

const fn wheel_time(key: u64) -> Time {
    Time::from_nanos((key ^ 1 << 63) as i64)
}

// ---- what agents' code reaches through the thread's current kernel

impl Core {
    #[inline]
    pub(crate) fn id(&self) -> u16 {
        self.id
    }

    #[inline]
    pub(crate) fn now(&self) -> Time {
        self.now.get()
    }

    #[inline]
    pub(crate) fn round(&self) -> u32 {
        self.round.get()
    }

    /// Whose code runs.
    #[inline]
    pub(crate) fn running(&self) -> AgentId {
        self.agent.get()
    }

    /// The agent's place in the order of delivery.
    #[inline]
    pub(crate) fn key(&self, agent: AgentId) -> OrderKey {
        if agent == AgentId::OUTSIDE { OrderKey::OUTSIDE } else { OrderKey::new(self.config.rank, agent) }
    }

    #[inline]
    pub(crate) fn running_task(&self) -> u32 {
        self.task.get()
    }

    pub(crate) fn running_label(&self) -> Label {
        match self.task.get() {
            NO_TASK => self.label.get(),
            task => self.tasks.borrow().label(task),
        }
    }

    pub(crate) fn shuffle(&self) -> Option<Shuffle> {
        self.config.shuffle.map(|seed| Shuffle::new(seed, self.now.get(), self.round.get()))
    }

    #[inline]
    pub(crate) fn next_injection(&self) -> u64 {
        let number = self.injected.get();
        self.injected.set(number + 1);
        number
    }

    /// From here on the code of `agent` runs, until [`Core::finish`].
    #[inline(always)]
    pub(crate) fn begin(&self, agent: AgentId, task: u32, label: Label) {
        self.agent.set(agent);
        self.task.set(task);
        self.label.set(label);
        if self.tracking.get() {
            self.touched.borrow_mut().push(agent);
        }
    }

    #[inline(always)]
    pub(crate) fn finish(&self) {
        self.agent.set(AgentId::OUTSIDE);
        self.task.set(NO_TASK);
        if self.alarm.get() {
            self.settle_alarm();
        }
    }

    /// The agent has failed; judged when its code has returned.
    pub(crate) fn fail(&self, agent: AgentId, label: Label, message: String) {
        self.failures.borrow_mut().push((agent, label, message));
        self.alarm.set(true);
    }

    pub(crate) fn raise_alarm(&self) {
        self.alarm.set(true);
    }

    pub(crate) fn rest_alarm(&self) {
        let more = !self.failures.borrow().is_empty() || !self.stops.borrow().is_empty();
        self.alarm.set(more || self.fatal.borrow().is_some());
    }

    /// Runs code as an agent's, inside other code.
    pub(crate) fn acting_as<R>(&self, agent: AgentId, label: Label, f: impl FnOnce() -> R) -> R {
        let outer = (self.agent.replace(agent), self.task.replace(NO_TASK), self.label.replace(label));
        let result = f();
        self.agent.set(outer.0);
        self.task.set(outer.1);
        self.label.set(outer.2);
        result
    }

    pub(crate) fn lock(&self, agent: AgentId, task: u32) {
        self.locks.borrow_mut().insert(agent, task);
        self.agents.borrow_mut().meta[agent.index()].status = Status::Locked;
    }

    pub(crate) fn forget_parked(&self, agent: AgentId) {
        self.parked.borrow_mut().remove(&agent);
    }

    pub(crate) fn set_fatal(&self, error: SimError) {
        self.fatal.borrow_mut().get_or_insert(error);
        self.alarm.set(true);
    }

    #[inline]
    pub(crate) fn count_message(&self) {
        self.messages.set(self.messages.get() + 1);
    }

    /// Counts a message to nobody, and remembers the first hundred.
    pub(crate) fn count_dead_letter(&self, text: impl FnOnce() -> String) {
        self.dead.set(self.dead.get() + 1);
        if self.letters.borrow().len() < 100 {
            let text = format!("{}: {}", self.now.get(), text());
            self.letters.borrow_mut().push(text);
        }
    }

    #[inline]
    pub(crate) fn is_observed(&self) -> bool {
        self.observed.get()
    }

    #[inline]
    pub(crate) fn observe(&self, agent: AgentId, what: impl FnOnce() -> What) {
        if self.observed.get() {
            self.tell(agent, what());
        }
    }

    #[cold]
    fn tell(&self, agent: AgentId, what: What) {
        let event = Event { time: self.now.get(), round: self.round.get(), agent, key: self.key(agent), what };
        // taken out meanwhile: an observer is user code
        let observer = self.observer.borrow_mut().take();
        if let Some(mut observer) = observer {
            observer.observe(&event);
            self.observer.borrow_mut().get_or_insert(observer);
        }
    }

    pub(crate) fn path(&self, agent: AgentId) -> String {
        self.agents.borrow().path(agent, &self.types.borrow())
    }

    pub(crate) fn find(&self, path: &str) -> Option<AgentId> {
        self.agents.borrow().find(path, &self.types.borrow())
    }

    // ---- classes

    #[inline]
    pub(crate) fn activate(&self, class: u16) {
        self.active.borrow_mut().push(class);
    }

    fn class(&self, number: u16) -> Option<Rc<dyn Class>> {
        self.classes.borrow().get(usize::from(number)).cloned()
    }

    pub(crate) fn class_of(&self, agent: AgentId) -> Option<(Rc<dyn Class>, u32)> {
        let (class, index) = {
            let agents = self.agents.borrow();
            let meta = agents.meta.get(agent.index())?;
            (meta.class, meta.index)
        };
        Some((self.class(class)?, index))
    }

    #[inline(always)]
    pub(crate) fn with_class<A: Actor, R>(&self, class: u16, f: impl FnOnce(&Inbox<A>) -> R) -> Option<R> {
        let inboxes = self.inboxes.borrow();
        inboxes.get(usize::from(class))?.downcast_ref::<Inbox<A>>().map(f)
    }

    #[inline]
    pub(crate) fn with_class_of<A: Actor, R>(&self, agent: AgentId, f: impl FnOnce(&Inbox<A>) -> R) -> Option<R> {
        let class = self.agents.borrow().meta.get(agent.index())?.class;
        self.with_class::<A, R>(class, f)
    }

    pub(crate) fn register<A: Actor>(&self) -> u16 {
        let known = self.inboxes.borrow().iter().position(|inbox| inbox.is::<Inbox<A>>());
        let number = known.unwrap_or_else(|| {
            let number = self.classes.borrow().len();
            let inbox = Rc::new(Inbox::<A>::new(number as u16));
            self.classes.borrow_mut().push(inbox.clone());
            self.inboxes.borrow_mut().push(inbox);
            self.types.borrow_mut().push(A::TYPE);
            number
        });
        number as u16
    }

    pub(crate) fn create<A: Actor>(
        &self,
        name: Option<&str>,
        state: Option<A>,
        factory: Option<Factory<A>>,
    ) -> Result<Ref<A>, NameError> {
        let class = self.register::<A>();
        let creator = self.agent.get();
        let index = self.classes.borrow()[usize::from(class)].size() as u32;
        let id = self.agents.borrow_mut().add(
            &self.config.name,
            class,
            &self.types.borrow(),
            index,
            creator,
            name,
        )?;
        self.with_class::<A, _>(class, |inbox| inbox.add(self, id, state, factory));
        self.observe(id, || What::Created { by: creator });
        Ok(Ref::new(self.id, class, id))
    }

    pub(crate) fn reference<A: Actor>(&self, agent: AgentId) -> Option<Ref<A>> {
        let class = self.agents.borrow().meta.get(agent.index())?.class;
        self.with_class::<A, _>(class, |_| Ref::new(self.id, class, agent))
    }

    pub(crate) fn this<A: Actor>(&self, agent: Ref<A>) -> Option<This<A>> {
        if agent.kernel() != self.id {
            return None;
        }
        let index = self.agents.borrow().meta.get(agent.id().index())?.index;
        self.with_class::<A, _>(agent.class(), |inbox| inbox.this(index)).flatten()
    }

    pub(crate) fn policy(&self, agent: AgentId) -> Policy {
        let class = self.agents.borrow().meta[agent.index()].class;
        self.policies.borrow().get(&class).copied().unwrap_or(self.config.policy)
    }

    // ---- tasks and waiters

    /// A task that runs from the next round on.
    pub(crate) fn spawn(&self, agent: AgentId, label: Label, future: TaskFuture) -> Option<TaskKey> {
        let task = self.new_task(agent, label, CallRef::NONE)?;
        let mut tasks = self.tasks.borrow_mut();
        let slot = &mut tasks.slots[task as usize];
        slot.future = Some(future);
        slot.queued = true;
        let key = TaskKey::new(self.id, slot.generation, task);
        drop(tasks);
        self.ready.borrow_mut().push(task);
        Some(key)
    }

    pub(crate) fn new_task(&self, agent: AgentId, label: Label, serves: CallRef) -> Option<u32> {
        if self.agents.borrow().meta.get(agent.index()).is_none_or(|meta| meta.status == Status::Stopped) {
            return None;
        }
        let task = self.tasks.borrow_mut().add(agent, label, serves);
        if task.is_none() {
            self.set_fatal(SimError::Limit("a container holds at most 268,435,456 tasks".into()));
        }
        task
    }

    /// Polls a new task at once, in place of the handler that made it; it stays as a task if it has to wait.
    pub(crate) fn first_poll(&self, task: u32, mut future: TaskFuture) {
        let key = TaskKey::new(self.id, self.tasks.borrow().slots[task as usize].generation, task);
        let outer = self.task.replace(task);
        let waker = waker::waker(key);
        let polled = catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(&mut Context::from_waker(&waker))));
        self.task.set(outer);
        self.polled(key, future, polled);
    }

    fn polled(&self, key: TaskKey, future: TaskFuture, polled: std::thread::Result<Poll<()>>) {
        let task = key.task();
        let running = {
            let mut tasks = self.tasks.borrow_mut();
            let slot = &mut tasks.slots[task as usize];
            let alive = slot.alive && key.is_generation(slot.generation);
            if alive && matches!(polled, Ok(Poll::Pending)) {
                slot.future = Some(future);
                return;
            }
            // it has ended, or its agent was stopped while it ran: then the slot may be another task's
            let agent = slot.agent;
            alive.then(|| (agent, tasks.label(task)))
        };
        let (agent, label) = running.unwrap_or((self.agent.get(), self.label.get()));
        if let Err(panic) = polled {
            self.fail(agent, label, panic_text(&*panic));
        }
        self.drop_as(agent, label, future);
        if running.is_some() {
            self.end_task(task);
        }
    }

    /// Drops what belongs to an agent; a panic in there is a failure of that agent.
    pub(crate) fn drop_as<T>(&self, agent: AgentId, label: Label, value: T) {
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| drop(value))) {
            self.fail(agent, label, panic_text(&*panic));
        }
    }

    pub(crate) fn task_of(&self, task: u32) -> (AgentId, Label) {
        let tasks = self.tasks.borrow();
        (tasks.slots[task as usize].agent, tasks.label(task))
    }

    /// Ends a task and drops its future.
    pub(crate) fn end_task(&self, task: u32) {
        let (agent, label, future) = {
            let mut tasks = self.tasks.borrow_mut();
            let agent = tasks.slots[task as usize].agent;
            (agent, tasks.label(task), tasks.end(task))
        };
        if future.is_some() {
            self.drop_as(agent, label, future);
        }
    }

    /// Ends a task of somebody's choice, if it is still that one.
    pub(crate) fn cancel_task(&self, key: TaskKey) {
        let ours = self.tasks.borrow().slots.get(key.task() as usize).is_some_and(|slot| {
            slot.alive && key.kernel() == self.id && key.is_generation(slot.generation) && slot.future.is_some()
        });
        if ours {
            self.end_task(key.task());
        }
    }

    #[inline]
    fn poll_task(&self, task: u32) {
        let (future, key, agent) = {
            let mut tasks = self.tasks.borrow_mut();
            if !tasks.take_turn(task) {
                return;
            }
            let slot = &mut tasks.slots[task as usize];
            if !self.locks.borrow().is_empty() && self.is_kept_waiting(slot.agent, task) {
                self.parked.borrow_mut().entry(slot.agent).or_default().push(task);
                return;
            }
            let Some(future) = slot.future.take() else { return };
            (future, TaskKey::new(self.id, slot.generation, task), slot.agent)
        };
        let mut future = future;
        self.begin(agent, task, "");
        self.activations.set(self.activations.get() + 1);
        let waker = waker::waker(key);
        let polled = catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(&mut Context::from_waker(&waker))));
        self.polled(key, future, polled);
        self.finish();
    }

    /// Whether an exclusive method of the agent keeps this task from running.
    fn is_kept_waiting(&self, agent: AgentId, task: u32) -> bool {
        self.locks.borrow().get(&agent).is_some_and(|holder| *holder != task)
    }

    /// What a waker of ours does when it is used on this thread, in this kernel.
    pub(crate) fn wake_from_code(&self, key: TaskKey) {
        let mut tasks = self.tasks.borrow_mut();
        let Some(slot) = tasks.slots.get_mut(key.task() as usize) else { return };
        if !slot.alive || !key.is_generation(slot.generation) {
            return;
        }
        let (owner, by) = (slot.agent, self.agent.get());
        if by != AgentId::OUTSIDE && by != owner && !self.config.realtime {
            let label = tasks.label(key.task());
            drop(tasks);
            let by = format!("by code of agent {} without a message", self.path(by));
            self.foreign_wake(owner, label, by);
            return;
        }
        if !slot.queued {
            slot.queued = true;
            drop(tasks);
            self.ready.borrow_mut().push(key.task());
        }
    }

    fn foreign_wake(&self, agent: AgentId, task: Label, by: String) {
        let agent = self.path(agent);
        self.set_fatal(SimError::ForeignWake { time: self.now.get(), agent, task: task.into(), by });
    }

    /// Wakes whoever waits under this number.
    #[inline]
    pub(crate) fn wake_waiter(&self, waiter: u32) {
        if waiter & (SIDE | RESTART) != 0 {
            return self.wake_special(waiter);
        }
        let mut tasks = self.tasks.borrow_mut();
        if let Some(slot) = tasks.slots.get_mut(waiter as usize)
            && slot.alive
            && !slot.queued
        {
            slot.queued = true;
            self.ready.borrow_mut().push(waiter);
        }
    }

    #[cold]
    fn wake_special(&self, waiter: u32) {
        if waiter == NO_TASK {
            return;
        }
        if waiter & SIDE == 0 {
            return self.restart(AgentId::new(waiter & !RESTART));
        }
        if let Some(side) = self.take_side(waiter) {
            side.waker.wake();
        }
    }

    fn take_side(&self, waiter: u32) -> Option<Side> {
        let mut sides = self.sides.borrow_mut();
        // once: a slot that were free twice would have two owners
        let waker = sides.wakers.get_mut((waiter & !SIDE) as usize)?.take()?;
        sides.free.push(waiter & !SIDE);
        Some(waker)
    }

    /// The number under which the owner of this waker can be woken: the task itself for our own wakers.
    #[inline]
    pub(crate) fn waiter(&self, waker: &Waker) -> u32 {
        match waker::key_of(waker) {
            Some(key) if key.kernel() == self.id => key.task(),
            _ => self.side(waker.clone()),
        }
    }

    #[cold]
    fn side(&self, waker: Waker) -> u32 {
        let side = Side { waker, task: self.task.get() };
        let mut sides = self.sides.borrow_mut();
        match sides.free.pop() {
            Some(slot) => {
                sides.wakers[slot as usize] = Some(side);
                slot | SIDE
            }
            None => {
                sides.wakers.push(Some(side));
                (sides.wakers.len() as u32 - 1) | SIDE
            }
        }
    }

    /// The number for the present waker, given the one of an earlier poll.
    pub(crate) fn renew_waiter(&self, old: u32, waker: &Waker) -> u32 {
        if let Some(key) = waker::key_of(waker)
            && key.kernel() == self.id
            && key.task() == old
        {
            return old;
        }
        let kept = old & SIDE != 0 && old != NO_TASK && {
            let sides = self.sides.borrow();
            let known = sides.wakers.get((old & !SIDE) as usize);
            known.is_some_and(|known| known.as_ref().is_some_and(|known| known.waker.will_wake(waker)))
        };
        if kept {
            return old;
        }
        self.release_waiter(old);
        self.waiter(waker)
    }

    /// Nobody waits under this number any more.
    #[inline]
    pub(crate) fn release_waiter(&self, waiter: u32) {
        if waiter & SIDE != 0 && waiter != NO_TASK {
            drop(self.take_side(waiter));
        }
    }

    /// Wakes the waiter in the next round.
    pub(crate) fn wake_soon(&self, waiter: u32) {
        self.soon.borrow_mut().push(waiter);
    }

    /// Another waiter stands in for one that is to be woken in the next round.
    pub(crate) fn wake_soon_as(&self, old: u32, new: u32) {
        stand_in(&self.soon, old, new);
    }

    /// Registers a waiter for the moment when this instant is quiet; the number to compare in [`Core::settlings`].
    pub(crate) fn settle(&self, waiter: u32) -> u64 {
        self.settled.borrow_mut().push(waiter);
        self.settlings.get()
    }

    /// Another waiter stands in for one that was registered.
    pub(crate) fn settle_as(&self, old: u32, new: u32) {
        stand_in(&self.settled, old, new);
    }

    /// Nobody waits under this number for the instant to settle any more: it would wake a stranger.
    pub(crate) fn forget_settled(&self, waiter: u32) {
        self.forget(&self.settled, waiter);
    }

    /// The same for the next round.
    pub(crate) fn forget_soon(&self, waiter: u32) {
        self.forget(&self.soon, waiter);
    }

    fn forget(&self, waiters: &RefCell<Vec<u32>>, waiter: u32) {
        let place = waiters.borrow().iter().rposition(|other| *other == waiter);
        if let Some(place) = place {
            waiters.borrow_mut().remove(place);
            self.release_waiter(waiter);
        }
    }

    pub(crate) fn settlings(&self) -> u64 {
        self.settlings.get()
    }

    /// Lets the agent's tasks and mail go on after an exclusive method.
    pub(crate) fn unlock(&self, agent: AgentId) {
        self.locks.borrow_mut().remove(&agent);
        {
            let mut agents = self.agents.borrow_mut();
            let Some(meta) = agents.meta.get_mut(agent.index()) else { return };
            if meta.status != Status::Locked {
                return;
            }
            meta.status = Status::Running;
        }
        self.unpark(agent);
        if let Some((class, index)) = self.class_of(agent) {
            class.resume(self, index);
        }
    }

    pub(crate) fn unpark(&self, agent: AgentId) {
        for task in self.parked.borrow_mut().remove(&agent).unwrap_or_default() {
            self.wake_waiter(task);
        }
    }

    pub(crate) fn schedule_restart(&self, agent: AgentId, at: Time) {
        if at <= self.now.get() {
            self.wake_soon(agent.ordinal() | RESTART);
        } else if at < Time::MAX {
            self.timers.borrow_mut().insert(wheel_key(at), agent.ordinal() | RESTART);
        }
    }

    // ---- calls

    /// Puts a reply on its way.
    #[inline]
    pub(crate) fn reply(&self, from: AgentId, mut note: ReplyNote) {
        {
            let mut agents = self.agents.borrow_mut();
            let me = &mut agents.meta[from.index()];
            note.sequence = me.sequence;
            note.from = from;
            me.sequence += 1;
            let peer = self.key(note.to).raw();
            me.fingerprint.mix(Tag::Reply, self.now.get(), self.round.get(), peer, note.sequence, note.hash);
        }
        self.observe(from, || What::Reply { to: note.to, sequence: note.sequence, hash: note.hash });
        self.replies.borrow_mut().push(note);
    }

    /// Why a call ends whose handler was dropped.
    #[cold]
    pub(crate) fn abandoned(&self, callee: AgentId, call: CallRef) -> Box<Fault> {
        let method = self.calls.borrow_mut().get(call).map_or("?", |head| head.label);
        let why = match self.agents.borrow().meta.get(callee.index()).map(|meta| meta.status) {
            Some(Status::Stopped) => "it was stopped",
            Some(Status::Down) => "it failed and restarts",
            _ => "its handler ended without an answer",
        };
        Box::new(Fault::Abandoned { agent: self.path(callee), method: method.into(), why: why.into() })
    }

    #[inline]
    fn deliver_reply(&self, note: &ReplyNote) {
        let waiter = match self.calls.borrow_mut().get(note.call) {
            Some(head) => {
                head.state = CallState::Answered(note.value);
                head.waiter
            }
            None => {
                self.late.set(self.late.get() + 1);
                self.observe(note.to, || What::Late { from: self.key(note.from), sequence: note.sequence });
                if let Some(class) = self.class(note.class) {
                    class.discard(note.value);
                }
                return;
            }
        };
        if note.to != AgentId::OUTSIDE {
            self.agents.borrow_mut().meta[note.to.index()].fingerprint.mix(
                Tag::Answer,
                self.now.get(),
                self.round.get(),
                self.key(note.from).raw(),
                note.sequence,
                note.hash,
            );
        }
        self.observe(note.to, || What::Answer { from: self.key(note.from), sequence: note.sequence, hash: note.hash });
        self.wake_waiter(waiter);
    }
}

// ---- rounds, phases, time

impl Core {
    /// One round: replies and messages of the previous one, then the tasks they and the timers woke.
    #[inline]
    fn run_round(&self) -> bool {
        let mut some = false;
        // all that the previous round sent is taken before any code of this one can send
        let mut replies = std::mem::take(&mut *self.spare_replies.borrow_mut());
        std::mem::swap(&mut replies, &mut *self.replies.borrow_mut());
        let mut active = std::mem::take(&mut *self.spare_active.borrow_mut());
        std::mem::swap(&mut active, &mut *self.active.borrow_mut());
        for number in &active {
            if let Some(class) = self.class(*number) {
                class.seal();
            }
        }
        if !self.externals.borrow().is_empty() {
            some |= self.deliver_externals();
        }
        if !self.soon.borrow().is_empty() {
            some = true;
            let soon = std::mem::take(&mut *self.soon.borrow_mut());
            for waiter in soon {
                self.wake_waiter(waiter);
            }
        }
        if !replies.is_empty() {
            some = true;
            arrange(&mut replies, self.shuffle());
            for note in replies.drain(..) {
                self.deliver_reply(&note);
            }
        }
        *self.spare_replies.borrow_mut() = replies;
        if !active.is_empty() {
            some = true;
            if self.config.shuffle.is_none() {
                active.sort_unstable();
            } else if let Some(shuffle) = self.shuffle() {
                active.sort_by_cached_key(|class| shuffle.turn(u32::from(*class)));
            }
            for number in active.drain(..) {
                if let Some(class) = self.class(number) {
                    class.deliver(self);
                }
            }
        }
        *self.spare_active.borrow_mut() = active;
        if !self.ready.borrow().is_empty() {
            some = true;
            let mut ready = std::mem::take(&mut *self.spare_ready.borrow_mut());
            std::mem::swap(&mut ready, &mut *self.ready.borrow_mut());
            if let Some(shuffle) = self.shuffle() {
                ready.sort_by_cached_key(|task| shuffle.turn(*task));
            }
            for task in ready.drain(..) {
                self.poll_task(task);
            }
            *self.spare_ready.borrow_mut() = ready;
        }
        if some {
            if self.round.get() == 0 {
                self.instants.set(self.instants.get() + 1);
            }
            self.round.set(self.round.get().saturating_add(1));
            self.spent.set(self.spent.get() + 1);
        }
        some
    }

    fn move_to(&self, time: Time) {
        if time > self.now.get() {
            self.now.set(time);
            self.round.set(0);
            self.spent.set(0);
        }
    }

    fn fire(&self, wheel: &RefCell<Wheel>, tag: Tag) {
        // which agent, when, and in which round: no order among them is left to remember, so they are summed at once
        let at = fold(self.now.get().as_nanos() as u64 ^ 0xE703_7ED1_A0B4_28DB, u64::from(self.round.get()) << 8 | tag as u64 | 1 << 62);
        let mut sum = self.timers_fired.get();
        let mut fired = Vec::new();
        let mut wheel = wheel.borrow_mut();
        let mut tasks = self.tasks.borrow_mut();
        let mut ready = self.ready.borrow_mut();
        let sides = self.sides.borrow();
        wheel.fire(|waiter| {
            let mut task = waiter;
            if waiter & (SIDE | RESTART) != 0 {
                fired.push(waiter);
                let side = sides.wakers.get((waiter & !SIDE) as usize).filter(|_| waiter & SIDE != 0);
                let Some(Some(side)) = side else { return };
                task = side.task;
            }
            let Some(slot) = tasks.slots.get_mut(task as usize) else { return };
            if !slot.alive {
                // its sleep was dropped where no kernel runs
                return;
            }
            sum = sum.wrapping_add(fold(at ^ u64::from(slot.agent.ordinal()), 0x8EBC_6AF0_9C88_C6E3));
            if task == waiter && !slot.queued {
                slot.queued = true;
                ready.push(waiter);
            }
        });
        drop((wheel, tasks, ready, sides));
        self.timers_fired.set(sum);
        for waiter in fired {
            if waiter & SIDE == 0 {
                // a constructor is agents' code: it runs inside the round
                self.wake_soon(waiter);
            } else {
                self.wake_waiter(waiter);
            }
        }
        if self.observed.get() {
            let woken: Vec<u32> = self.ready.borrow().clone();
            for task in woken {
                let (agent, label) = self.task_of(task);
                self.tell(agent, if tag == Tag::Timer { What::Timer { label } } else { What::Deadline { label } });
            }
        }
    }

    /// Judges the wakes that came from outside since the last turn.
    fn admit_wakes(&self) {
        for key in self.injector.take() {
            let known = self.tasks.borrow().slots.get(key.task() as usize).and_then(|slot| {
                (slot.alive && key.is_generation(slot.generation)).then_some(slot.agent)
            });
            let known = known.map(|agent| (agent, self.task_of(key.task()).1));
            match known {
                Some(_) if self.config.realtime => self.wake_from_code(key),
                Some((agent, label)) => self.foreign_wake(agent, label, "from outside the kernel".into()),
                None => {}
            }
        }
    }

    fn livelock(&self) -> SimError {
        let mut busy: Vec<Involved> = Vec::new();
        let classes: Vec<_> = self.classes.borrow().iter().cloned().collect();
        for class in classes {
            for (to, from, label) in class.pending(self) {
                busy.push(Involved {
                    agent: self.path(to),
                    what: format!("is to receive `{label}` from {}", self.path(from)),
                });
            }
        }
        for note in self.replies.borrow().iter().take(32) {
            let from = self.path(note.from);
            busy.push(Involved { agent: self.path(note.to), what: format!("is to receive a reply from {from}") });
        }
        for task in self.ready.borrow().iter().take(32) {
            let (agent, label) = self.task_of(*task);
            busy.push(Involved { agent: self.path(agent), what: format!("is to run `{label}`") });
        }
        for waiter in self.soon.borrow().iter().filter(|waiter| **waiter & (SIDE | RESTART) == 0).take(32) {
            let (agent, label) = self.task_of(*waiter);
            busy.push(Involved { agent: self.path(agent), what: format!("is to run `{label}`") });
        }
        SimError::Livelock { time: self.now.get(), rounds: self.spent.get(), busy }
    }

    /// Whether the next round of this instant has anything to do.
    fn is_busy(&self) -> bool {
        !self.active.borrow().is_empty()
            || !self.ready.borrow().is_empty()
            || !self.replies.borrow().is_empty()
            || !self.soon.borrow().is_empty()
    }

    /// The time of the earliest event that has not happened yet.
    fn next_event(&self) -> Option<Time> {
        if self.is_busy() || !self.settled.borrow().is_empty() {
            return Some(self.now.get());
        }
        let timer = self.timers.borrow().next().map(wheel_time);
        let deadline = self.deadlines.borrow().next().map(wheel_time);
        [timer, deadline, self.next_input()].into_iter().flatten().min()
    }

    /// Brings the earliest timer or deadline at or before the horizon to firing.
    #[inline]
    fn fire_next(&self, horizon: Time) -> bool {
        // what the clock has jumped over is due now, timers before deadlines
        let (horizon, now) = (wheel_key(horizon), wheel_key(self.now.get()));
        let bound = self.deadlines.borrow().lower_bound().map(|bound| bound.max(now));
        let first = self.timers.borrow_mut().ready(bound.map_or(horizon, |bound| bound.min(horizon)));
        if let Ok(at) = first {
            self.move_to(wheel_time(at));
            self.fire(&self.timers, Tag::Timer);
            return true;
        }
        if bound.is_none_or(|bound| bound > horizon) {
            return false;
        }
        // a deadline may be near: its exact time decides, and a timer of the same instant goes first
        let Some(deadline) = self.deadlines.borrow().next().map(|at| at.max(now)) else { return false };
        let timer = self.timers.borrow_mut().ready(deadline.min(horizon));
        if let Ok(at) = timer {
            self.move_to(wheel_time(at));
            self.fire(&self.timers, Tag::Timer);
            return true;
        }
        if deadline > horizon {
            return false;
        }
        if wheel_time(deadline) > self.now.get() {
            self.move_to(wheel_time(deadline));
            // whoever waits for this instant to settle, and inputs of it, come before the deadline
            return true;
        }
        if self.resume_settled() {
            return true;
        }
        let ready = self.deadlines.borrow_mut().ready(deadline);
        if ready.is_ok() {
            self.fire(&self.deadlines, Tag::Deadline);
        }
        true
    }

    fn resume_settled(&self) -> bool {
        if self.settled.borrow().is_empty() {
            return false;
        }
        let waiters = std::mem::take(&mut *self.settled.borrow_mut());
        self.settlings.set(self.settlings.get() + 1);
        for waiter in waiters {
            self.wake_waiter(waiter);
        }
        true
    }

    /// Inputs that are due at the present time.
    fn admit_injections(&self) -> bool {
        let now = self.now.get();
        let mut some = false;
        loop {
            let due = {
                let mut injections = self.injections.borrow_mut();
                match injections.first_entry() {
                    Some(entry) if entry.key().0 <= now => entry.remove(),
                    _ => break,
                }
            };
            due(self);
            some = true;
        }
        some
    }

    fn turn(&self, limit: Time, inclusive: bool, budget: u32) -> Result<Progress, SimError> {
        let stop = if inclusive { Some(limit) } else { limit.checked_sub(std::time::Duration::from_nanos(1)) };
        let Some(horizon) = stop else { return Ok(Progress::Quiet { next: self.next_event() }) };
        if limit < self.now.get() {
            return Err(SimError::Past { now: self.now.get(), asked: limit });
        }
        self.admit_wakes();
        if self.now.get() <= horizon {
            self.admit_injections();
        }
        let mut left = budget;
        // before the limit of an exclusive turn lies nothing, if the clock stands there already
        while self.now.get() <= horizon {
            if self.alarm.get() {
                self.settle_alarm();
                if let Some(error) = self.fatal.borrow_mut().take() {
                    return Err(error);
                }
            }
            if !self.externals.borrow().is_empty() && self.is_blocked() {
                return Ok(Progress::Blocked);
            }
            if self.spent.get() >= self.config.livelock && self.is_busy() {
                let error = self.livelock();
                self.spent.set(0);
                return Err(error);
            }
            if left == 0 {
                return Ok(Progress::More);
            }
            left -= 1;
            if self.run_round() {
                continue;
            }
            // quiet: what else belongs to this instant, and if nothing does, which instant is next?
            if self.next_phase(horizon) {
                continue;
            }
            if let Some(report) = self.escalated.borrow_mut().take() {
                return Err(SimError::Escalated(report));
            }
            if !self.next_instant(horizon) {
                break;
            }
        }
        if inclusive && limit != Time::MAX {
            self.move_to(limit);
        }
        Ok(Progress::Quiet { next: self.next_event() })
    }

    /// Whatever of the present instant has not happened yet, in the order of the phases.
    #[inline]
    fn next_phase(&self, horizon: Time) -> bool {
        let now = self.now.get();
        debug_assert!(now <= horizon);
        if !self.injections.borrow().is_empty() && self.admit_injections() {
            return true;
        }
        if self.settled.borrow().is_empty() && self.escalated.borrow().is_none() {
            // nothing waits for the end of this instant: timers of now are found as those of later are
            return false;
        }
        let due = self.timers.borrow_mut().ready(wheel_key(now));
        if due.is_ok() {
            self.fire(&self.timers, Tag::Timer);
            return true;
        }
        if self.resume_settled() {
            return true;
        }
        if self.deadlines.borrow_mut().ready(wheel_key(now)).is_ok() {
            self.fire(&self.deadlines, Tag::Deadline);
            return true;
        }
        false
    }

    /// Moves on to the next instant at or before the horizon.
    #[inline]
    fn next_instant(&self, horizon: Time) -> bool {
        // inputs and external results of an instant come before its timers
        match self.next_input() {
            Some(input) if input <= horizon => {
                let before = input.checked_sub(std::time::Duration::from_nanos(1));
                if before.is_some_and(|before| before >= self.now.get() && self.fire_next(before)) {
                    return true;
                }
                self.move_to(input);
                // inputs are the first of the instant, in the same round as the results that are due
                self.admit_injections();
                true
            }
            _ => self.fire_next(horizon),
        }
    }

    /// The earliest input or external result that lies ahead.
    #[inline]
    fn next_input(&self) -> Option<Time> {
        let injections = self.injections.borrow();
        let externals = self.externals.borrow();
        if injections.is_empty() && externals.is_empty() {
            return None;
        }
        let injection = injections.keys().next().map(|(time, _)| *time);
        let external = if self.config.realtime {
            externals.has_results().then_some(self.now.get())
        } else {
            externals.earliest()
        };
        [injection, external].into_iter().flatten().min()
    }

    fn fingerprint(&self) -> u64 {
        let agents = self.agents.borrow();
        agents.meta.iter().fold(self.timers_fired.get(), |sum, meta| sum.wrapping_add(meta.fingerprint.finalise()))
    }

    fn teardown(&self) {
        self.observed.set(false);
        let observer = self.observer.borrow_mut().take();
        drop(observer);
        // what is dropped may start tasks; after so many times it will not stop
        for _ in 0..1_000 {
            let tasks = self.tasks.borrow().all();
            if tasks.is_empty() {
                break;
            }
            for task in tasks {
                self.end_task(task);
            }
        }
        let injections = std::mem::take(&mut *self.injections.borrow_mut());
        drop(injections);
        let externals = std::mem::take(&mut *self.externals.borrow_mut());
        drop(externals);
        let classes: Vec<_> = self.classes.borrow().iter().cloned().collect();
        for class in classes {
            let _ = catch_unwind(AssertUnwindSafe(|| class.teardown()));
        }
        let sides = std::mem::take(&mut self.sides.borrow_mut().wakers);
        drop(sides);
    }
}

/// A container's kernel: agents, their clock, their messages. See the head of this module for the contract of whoever
/// drives it.
///
/// Not `Send`: a kernel and its agents live on one thread. Dropping it drops all tasks and agents, inside the kernel.
#[derive(Debug)]
pub struct Kernel {
    core: Rc<Core>,
}

impl Drop for Kernel {
    fn drop(&mut self) {
        let _entered = Entered::new(&self.core);
        self.core.teardown();
        current::unregister(self.core.id);
    }
}

impl Kernel {
    /// A kernel without agents.
    ///
    /// # Errors
    /// When 65,535 kernels are alive in this process.
    pub fn new(config: Config) -> Result<Self, SimError> {
        let (id, injector) =
            current::register().ok_or_else(|| SimError::Limit("a process holds at most 65,535 kernels".into()))?;
        let start = config.start;
        // time zero lies half-way through the keys, and a cursor never goes back
        let wheels = (Wheel::starting_at(wheel_key(start)), Wheel::starting_at(wheel_key(start)));
        Ok(Kernel {
            core: Rc::new(Core {
                id,
                injector,
                config,
                now: Cell::new(start),
                round: Cell::new(0),
                spent: Cell::new(0),
                agent: Cell::new(AgentId::OUTSIDE),
                task: Cell::new(NO_TASK),
                label: Cell::new(""),
                tasks: RefCell::default(),
                ready: RefCell::default(),
                spare_ready: RefCell::default(),
                soon: RefCell::default(),
                parked: RefCell::default(),
                locks: RefCell::default(),
                timers: RefCell::new(wheels.0),
                deadlines: RefCell::new(wheels.1),
                settled: RefCell::default(),
                settlings: Cell::new(0),
                timers_fired: Cell::new(0),
                sides: RefCell::default(),
                agents: RefCell::default(),
                classes: RefCell::default(),
                inboxes: RefCell::default(),
                types: RefCell::default(),
                policies: RefCell::default(),
                active: RefCell::default(),
                spare_active: RefCell::default(),
                calls: RefCell::default(),
                replies: RefCell::default(),
                spare_replies: RefCell::default(),
                injections: RefCell::default(),
                injected: Cell::new(0),
                externals: RefCell::default(),
                draws: RefCell::default(),
                restarts: RefCell::default(),
                failures: RefCell::default(),
                stops: RefCell::default(),
                reports: RefCell::default(),
                escalated: RefCell::default(),
                fatal: RefCell::default(),
                alarm: Cell::new(false),
                turning: Cell::new(false),
                shared: RefCell::default(),
                tracking: Cell::new(false),
                touched: RefCell::default(),
                observer: RefCell::default(),
                observed: Cell::new(false),
                letters: RefCell::default(),
                messages: Cell::new(0),
                activations: Cell::new(0),
                instants: Cell::new(0),
                failed: Cell::new(0),
                dead: Cell::new(0),
                late: Cell::new(0),
            }),
        })
    }

    /// Runs code inside the kernel, as the set-up or the driver does: proxies, names and the clock work in there, and
    /// what it sends counts as coming from outside, at the present time.
    pub fn enter<R>(&self, f: impl FnOnce() -> R) -> R {
        let _entered = Entered::new(&self.core);
        f()
    }

    /// Adds an agent. Its first code runs at the next round.
    ///
    /// # Errors
    /// [`NameError`] when the name is taken or unusable.
    pub fn create<A: Actor>(&self, name: Option<&str>, state: A) -> Result<Ref<A>, NameError> {
        self.enter(|| self.core.create(name, Some(state), None))
    }

    /// Adds an agent that its constructor builds, now and at each restart.
    ///
    /// # Errors
    /// [`NameError`] as [`create`](Kernel::create), or the constructor's own message.
    pub fn create_with<A: Actor>(
        &self,
        name: Option<&str>,
        constructor: impl Fn(&crate::Ctx) -> Result<A, String> + 'static,
    ) -> Result<Ref<A>, CreateError> {
        self.enter(|| crate::context::create_with(&self.core, name, Rc::new(constructor)))
    }

    /// Sets the policy for agents of one type.
    pub fn set_policy<A: Actor>(&self, policy: Policy) {
        let class = self.core.register::<A>();
        self.core.policies.borrow_mut().insert(class, policy);
    }

    /// Makes a value reachable for all agents by [`Ctx::shared`](crate::Ctx::shared): one of each type, the last one counts.
    /// It must be constant for the run, or belong to a driver: agents share nothing.
    pub fn provide<T: 'static>(&self, value: Rc<T>) {
        let old = self.core.shared.borrow_mut().insert(TypeId::of::<T>(), value);
        drop(old);
    }

    /// The number of agents ever created; their numbers count from 0.
    pub fn population(&self) -> u32 {
        self.core.agents.borrow().meta.len() as u32
    }

    /// Who created the agent; [`AgentId::OUTSIDE`] for the set-up, and for an agent that is not here.
    pub fn creator(&self, agent: AgentId) -> AgentId {
        self.core.agents.borrow().meta.get(agent.index()).map_or(AgentId::OUTSIDE, |meta| meta.creator)
    }

    /// Everything that happens is shown to this observer from now on.
    pub fn set_observer(&self, observer: Option<Box<dyn Observer>>) {
        self.core.observed.set(observer.is_some());
        let old = std::mem::replace(&mut *self.core.observer.borrow_mut(), observer);
        drop(old);
    }

    /// The present time.
    pub fn now(&self) -> Time {
        self.core.now()
    }

    /// The round of the present instant that comes next.
    pub fn round(&self) -> u32 {
        self.core.round()
    }

    /// What the kernel was made with.
    pub fn config(&self) -> &Config {
        &self.core.config
    }

    /// The time of the earliest event that has not happened yet; `None` when nothing is left to happen by itself.
    pub fn next_event(&self) -> Option<Time> {
        self.core.next_event()
    }

    /// Processes every event at or before `limit`, each at its own time, and leaves the clock at `limit`
    /// (at the last event, if `limit` is [`Time::MAX`]).
    ///
    /// # Errors
    /// See [`SimError`]. The kernel stays usable for questions after an error.
    pub fn run_until(&self, limit: Time) -> Result<Progress, SimError> {
        self.core.spent.set(0);
        self.turn(limit, true, u32::MAX)
    }

    /// Processes every event before `limit` and leaves the clock at the last one.
    ///
    /// # Errors
    /// As [`run_until`](Kernel::run_until).
    pub fn run_before(&self, limit: Time) -> Result<Progress, SimError> {
        self.core.spent.set(0);
        self.turn(limit, false, u32::MAX)
    }

    /// As [`run_until`](Kernel::run_until) (inclusive) or [`run_before`](Kernel::run_before), for at most `budget` rounds.
    ///
    /// # Errors
    /// As [`run_until`](Kernel::run_until).
    pub fn turn(&self, limit: Time, inclusive: bool, budget: u32) -> Result<Progress, SimError> {
        if self.core.turning.get() {
            return Err(SimError::Limit("a kernel cannot be run by code that it runs itself".into()));
        }
        let _entered = Entered::new(&self.core);
        let _turning = Turning::new(&self.core.turning);
        loop {
            match self.core.turn(limit, inclusive, budget)? {
                Progress::More if budget == u32::MAX => {}
                progress => return Ok(progress),
            }
        }
    }

    /// Puts the clock forward without letting anything happen in between: timers that are overdue then fire at once, at the
    /// new time, and periodic ones skip what they missed. For a wall clock that ran away (suspend, overload).
    pub fn jump(&self, to: Time) {
        self.core.move_to(to);
    }

    /// From now on the kernel notes which agents' code has run, see [`Kernel::take_touched`].
    pub fn track(&self, on: bool) {
        self.core.tracking.set(on);
    }

    /// Agents whose code has run since the last call, in order of creation.
    pub fn take_touched(&self) -> Vec<AgentId> {
        let mut touched = std::mem::take(&mut *self.core.touched.borrow_mut());
        touched.sort_unstable();
        touched.dedup();
        touched
    }

    /// The rounds of the livelock limit are counted from here: a new step has begun.
    pub fn begin_step(&self) {
        self.core.spent.set(0);
    }

    /// Sends a message from outside at a time that is not past. Messages of one time arrive in the order of their
    /// injection, before everything else of that instant.
    ///
    /// # Errors
    /// [`SimError::Past`] when the clock is beyond `at`.
    pub fn inject<A: Actor>(&self, at: Time, to: Ref<A>, message: A::Msg) -> Result<(), SimError> {
        self.inject_with(at, move || to.call(message).send())
    }

    /// Runs `enter` inside the kernel when time reaches `at`, at the start of that instant.
    ///
    /// # Errors
    /// [`SimError::Past`] when the clock is beyond `at`.
    pub fn inject_with(&self, at: Time, enter: impl FnOnce() + 'static) -> Result<(), SimError> {
        if at < self.core.now() {
            return Err(SimError::Past { now: self.core.now(), asked: at });
        }
        let number = self.core.next_injection();
        self.core.injections.borrow_mut().insert((at, number), Box::new(move |_| enter()));
        Ok(())
    }

    /// Asks an agent, from outside, now. The answer comes by [`Kernel::answer`] after the kernel has run.
    pub fn ask<A: Actor>(&self, to: Ref<A>, message: A::Msg) -> Asked<A> {
        self.enter(|| Asked { to, call: mailbox::post(&self.core, to, message, Some(NO_TASK)) })
    }

    /// The answer to a call from outside, if it is there; at most once.
    pub fn answer<A: Actor>(&self, asked: &mut Asked<A>) -> Option<Result<A::Reply, Box<Fault>>> {
        self.enter(|| mailbox::answer(&self.core, asked))
    }

    /// The agent's state and clock, for set-up, outputs and tests; `None` for an agent of another kernel.
    pub fn this<A: Actor>(&self, agent: Ref<A>) -> Option<This<A>> {
        self.core.this(agent)
    }

    /// The address of an agent by its number, if it is of that type.
    pub fn reference<A: Actor>(&self, agent: AgentId) -> Option<Ref<A>> {
        self.core.reference(agent)
    }

    /// The agent at a path below the container, `house_3/Battery#0`.
    pub fn find(&self, path: &str) -> Option<AgentId> {
        self.core.find(path)
    }

    /// The path of an agent below the container.
    pub fn path(&self, agent: AgentId) -> String {
        self.core.path(agent)
    }

    /// What the agent's type tells the layers above, see [`Actor::facet`].
    pub fn facet(&self, agent: AgentId) -> Option<&'static dyn Any> {
        self.core.class_of(agent).and_then(|(class, _)| class.facet())
    }

    /// Where the agent is in its life; `None` if there is no such agent.
    pub fn status(&self, agent: AgentId) -> Option<Status> {
        self.core.agents.borrow().meta.get(agent.index()).map(|meta| meta.status)
    }

    /// Stops an agent on purpose: [`Actor::stopping`] runs, its tasks end, its mail is refused.
    pub fn stop(&self, agent: AgentId) {
        self.enter(|| self.core.stop_agent(agent));
    }

    /// Mixes something that crossed the boundary (a port's value) into an agent's fingerprint.
    pub fn mix(&self, agent: AgentId, port: u64, value: u64) {
        let (now, round) = (self.core.now(), self.core.round());
        if let Some(meta) = self.core.agents.borrow_mut().meta.get_mut(agent.index()) {
            meta.fingerprint.mix(Tag::Port, now, round, port, 0, value);
        }
    }

    /// The sum of all agents' running hashes: equal for runs with equal traces.
    pub fn fingerprint(&self) -> u64 {
        self.core.fingerprint()
    }

    /// What has been counted so far.
    pub fn counts(&self) -> Counts {
        let core = &self.core;
        Counts {
            agents: core.agents.borrow().meta.len() as u64,
            messages: core.messages.get(),
            activations: core.messages.get() + core.activations.get(),
            instants: core.instants.get(),
            dead_letters: core.dead.get(),
            late_replies: core.late.get(),
            failures: core.failed.get(),
        }
    }

    /// The first hundred dead letters, as text.
    pub fn dead_letters(&self) -> Vec<String> {
        self.core.letters.borrow().clone()
    }

    /// All failures so far, and what was done about them.
    pub fn reports(&self) -> Vec<Report> {
        self.core.reports.borrow().clone()
    }

    /// Tasks that have not ended.
    pub fn tasks(&self) -> usize {
        self.core.tasks.borrow().alive()
    }

    /// Calls without a reply: who waits for what since when.
    pub fn open_calls(&self) -> Vec<Involved> {
        self.core.open_calls()
    }

    /// Law 6 at the end of a simulated run: an error if nothing is left to happen and calls are still open.
    ///
    /// # Errors
    /// [`SimError::OpenCalls`], which names callers and callees.
    pub fn check_end(&self) -> Result<(), SimError> {
        let calls = self.core.open_calls();
        if calls.is_empty() || self.next_event().is_some() {
            return Ok(());
        }
        Err(SimError::OpenCalls { time: self.now(), calls })
    }

    /// Asks for `driver` to be woken when a task is woken from outside the kernel.
    pub fn watch(&self, driver: &Waker) {
        self.core.injector.watch(driver);
    }

    /// Whether tasks have been woken from outside since the last turn.
    pub fn has_wakes(&self) -> bool {
        self.core.injector.has_some()
    }

    /// External operations that have been asked for since the last call; the driver runs them.
    pub fn take_external(&self) -> Vec<crate::external::Started> {
        self.core.externals.borrow_mut().take_started()
    }

    /// Hands in the outcome of an external operation.
    pub fn finish_external(&self, id: crate::external::ExternalId, outcome: crate::external::Outcome) {
        self.enter(|| self.core.finish_external(id, outcome));
    }
}

/// Why an agent could not be created.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CreateError {
    /// Its name.
    #[error(transparent)]
    Name(#[from] NameError),
    /// Its constructor.
    #[error("the constructor of {kind} failed: {message}")]
    Constructor {
        /// Type of the agent.
        kind: &'static str,
        /// What the constructor said.
        message: String,
    },
}
