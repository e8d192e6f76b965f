//! What all parts of a kernel share. Public only inside the crate; [`Kernel`](crate::Kernel) owns it.
//!
//! Contract: every field is behind its own cell, borrowed for moments; no user code (poll, drop, clone, hash) runs while one
//! is borrowed, so agents' code may come back in at any place.

use std::any::{Any, TypeId};
use std::cell::{Cell, OnceCell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::agent::{AgentId, Agents, NameError, Status};
use crate::batch::Batch;
use crate::beat::{Beats, CLOSED};
use crate::call::{CallRef, Calls};
use crate::collected::Collected;
use crate::config::Config;
use crate::context::This;
use crate::current::Injector;
use crate::error::SimError;
use crate::external::Externals;
use crate::mailbox::{Actor, Class, Factory, Inbox, Ref};
use crate::observe::{Event, Observer, What};
use crate::order::{OrderKey, Shuffle};
use crate::pending::{MAIL, Pending, READY};
use crate::reply::ReplyNote;
use crate::shelf::Shelf;
use crate::slab::Slab;
use crate::supervise::{Policy, Report};
use crate::task::{Label, Tasks};
use crate::time::Time;
use crate::waiter::{NO_TASK, Side};
use crate::wheel::{RadixWheel, Wheel};

/// Messages sent where no kernel runs.
static HOMELESS: AtomicU64 = AtomicU64::new(0);

pub(crate) fn count_homeless() {
    HOMELESS.fetch_add(1, Ordering::Relaxed);
}

/// One-way messages of this process that were sent outside of any running kernel: dead letters of no container.
pub fn homeless_messages() -> u64 {
    HOMELESS.load(Ordering::Relaxed)
}

/// Coarse, since a deadline is hardly ever reached.
pub(crate) type Deadlines = RadixWheel<8>;

pub(crate) type Injection = Box<dyn FnOnce(&Core)>;

/// What all parts of a kernel share. Public only inside the crate; [`Kernel`] owns it.
pub(crate) struct Core {
    pub(crate) id: u16,
    pub(crate) injector: Arc<Injector>,
    pub(crate) config: Config,
    /// the container's identity
    pub(crate) place: u64,
    pub(crate) now: Cell<Time>,
    pub(crate) round: Cell<u32>,
    /// the two above, as they go into fingerprints
    pub(crate) instant: Cell<u64>,
    /// rounds since the step or the instant began
    pub(crate) spent: Cell<u32>,
    /// whose code runs
    pub(crate) agent: Cell<AgentId>,
    pub(crate) task: Cell<u32>,
    pub(crate) label: Cell<Label>,
    pub(crate) tasks: RefCell<Tasks>,
    /// what there is to do
    pub(crate) pending: Pending,
    pub(crate) ready: Collected<u32>,
    /// waiters whose time has come already: they go with the next round
    pub(crate) soon: RefCell<Batch>,
    pub(crate) parked: RefCell<BTreeMap<AgentId, Vec<u32>>>,
    /// the exclusive task of each locked agent
    pub(crate) locks: RefCell<BTreeMap<AgentId, u32>>,
    pub(crate) timers: RefCell<Wheel>,
    pub(crate) deadlines: RefCell<Deadlines>,
    /// no deadline lies before this instant, a key of the wheel; the last one if there is none
    pub(crate) deadlines_from: Cell<u64>,
    pub(crate) beats: RefCell<Beats>,
    /// the instant of the timer that periodic code may join
    pub(crate) joinable: Cell<u64>,
    pub(crate) settled: RefCell<Batch>,
    /// of all timers and deadlines that have fired: agent, time, round
    pub(crate) timers_fired: Cell<u64>,
    pub(crate) sides: RefCell<Slab<Option<Side>>>,
    pub(crate) agents: RefCell<Agents>,
    pub(crate) classes: Classes,
    pub(crate) types: RefCell<Vec<&'static str>>,
    pub(crate) policies: RefCell<BTreeMap<u16, Policy>>,
    /// a bit for each class with mail or starts; class 64 shares one with class 0
    pub(crate) active: Cell<u64>,
    pub(crate) calls: RefCell<Calls>,
    pub(crate) replies: Collected<ReplyNote>,
    /// calls of a driver that have their answer, with the places it gave them
    pub(crate) answered: RefCell<VecDeque<(u32, CallRef)>>,
    pub(crate) injections: RefCell<BTreeMap<(Time, u64), Injection>>,
    pub(crate) injected: Cell<u64>,
    pub(crate) externals: RefCell<Externals>,
    pub(crate) draws: RefCell<BTreeMap<(AgentId, u64), u64>>,
    pub(crate) restarts: RefCell<BTreeMap<AgentId, u32>>,
    pub(crate) failures: RefCell<Vec<(AgentId, Label, String)>>,
    pub(crate) stops: RefCell<Vec<AgentId>>,
    pub(crate) reports: RefCell<Vec<Report>>,
    pub(crate) escalated: RefCell<Option<Report>>,
    pub(crate) fatal: RefCell<Option<SimError>>,
    /// something among failures, fatal needs attention after this agent's code
    pub(crate) alarm: Cell<bool>,
    /// a turn is on: agents' code may run
    pub(crate) turning: Cell<bool>,
    pub(crate) shared: RefCell<BTreeMap<TypeId, Rc<dyn Any>>>,
    pub(crate) tracking: Cell<bool>,
    pub(crate) touched: RefCell<Vec<AgentId>>,
    pub(crate) observers: RefCell<Vec<Box<dyn Observer>>>,
    pub(crate) observed: Cell<bool>,
    /// whether the observer wants values
    pub(crate) valued: Cell<bool>,
    /// tasks that were woken from outside in a live run
    pub(crate) foreign: RefCell<Vec<(AgentId, Label)>>,
    pub(crate) seed: Cell<u64>,
    pub(crate) shuffled: Cell<Option<u64>>,
    pub(crate) letters: RefCell<Vec<String>>,
    pub(crate) messages: Cell<u64>,
    pub(crate) activations: Cell<u64>,
    pub(crate) instants: Cell<u64>,
    pub(crate) failed: Cell<u64>,
    pub(crate) dead: Cell<u64>,
    pub(crate) late: Cell<u64>,
}

/// The classes of agents. The first 64, and hardly a program has more types, are found by one look.
pub(crate) struct Classes {
    first: [OnceCell<Box<dyn Class>>; 64],
    more: Shelf<Box<dyn Class>>,
    len: Cell<u16>,
}

impl Default for Classes {
    fn default() -> Self {
        Classes { first: [const { OnceCell::new() }; 64], more: Shelf::default(), len: Cell::new(0) }
    }
}

impl Classes {
    #[inline(always)]
    pub(crate) fn get(&self, number: u16) -> Option<&dyn Class> {
        match self.first.get(usize::from(number)) {
            Some(class) => class.get().map(|class| &**class),
            None => self.more.get(u32::from(number) - 64).map(|class| &**class),
        }
    }

    #[inline(always)]
    fn inbox<A: Actor>(&self, number: u16) -> Option<&Inbox<A>> {
        let class: &dyn Any = self.get(number)?;
        class.downcast_ref()
    }

    #[inline(always)]
    pub(crate) fn len(&self) -> u16 {
        self.len.get()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &dyn Class> {
        (0..self.len()).filter_map(|number| self.get(number))
    }

    fn number<A: Actor>(&self) -> Option<u16> {
        (0..self.len()).find(|number| self.inbox::<A>(*number).is_some())
    }

    fn push(&self, class: Box<dyn Class>) {
        let number = usize::from(self.len());
        match self.first.get(number) {
            Some(slot) => drop(slot.set(class)),
            None => drop(self.more.push(class)),
        }
        self.len.set(number as u16 + 1);
    }
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

pub(crate) const fn wheel_time(key: u64) -> Time {
    Time::from_nanos((key ^ 1 << 63) as i64)
}

impl Core {
    pub(crate) fn new(id: u16, injector: Arc<Injector>, config: Config) -> Self {
        let start = config.start;
        // time zero lies half-way through the keys, and a cursor never goes back
        let wheels = (Wheel::starting_at(wheel_key(start)), Deadlines::starting_at(wheel_key(start)));
        Core {
            id,
            injector,
            place: crate::random::identity_of(&config.name),
            seed: Cell::new(config.seed),
            shuffled: Cell::new(config.shuffle),
            config,
            now: Cell::new(start),
            round: Cell::new(0),
            instant: Cell::new(crate::fingerprint::instant(start, 0)),
            spent: Cell::new(0),
            agent: Cell::new(AgentId::OUTSIDE),
            task: Cell::new(NO_TASK),
            label: Cell::new(""),
            tasks: RefCell::new(Tasks::new(id)),
            pending: Pending::default(),
            ready: Collected::default(),
            soon: RefCell::default(),
            parked: RefCell::default(),
            locks: RefCell::default(),
            timers: RefCell::new(wheels.0),
            deadlines: RefCell::new(wheels.1),
            deadlines_from: Cell::new(u64::MAX),
            beats: RefCell::default(),
            joinable: Cell::new(CLOSED),
            settled: RefCell::default(),
            timers_fired: Cell::new(0),
            sides: RefCell::default(),
            agents: RefCell::default(),
            classes: Classes::default(),
            types: RefCell::default(),
            policies: RefCell::default(),
            active: Cell::new(0),
            calls: RefCell::default(),
            replies: Collected::default(),
            answered: RefCell::default(),
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
            observers: RefCell::default(),
            observed: Cell::new(false),
            valued: Cell::new(false),
            foreign: RefCell::default(),
            letters: RefCell::default(),
            messages: Cell::new(0),
            activations: Cell::new(0),
            instants: Cell::new(0),
            failed: Cell::new(0),
            dead: Cell::new(0),
            late: Cell::new(0),
        }
    }

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

    pub(crate) fn reseed(&self, seed: u64) {
        self.seed.set(seed);
        self.shuffled.set(self.shuffled.get().map(|_| seed));
    }

    pub(crate) fn shuffle(&self) -> Option<Shuffle> {
        self.shuffled.get().map(|seed| Shuffle::new(seed, self.now.get(), self.round.get()))
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

    /// Whether a failure of the agent waits to be judged.
    pub(crate) fn has_failed(&self, agent: AgentId) -> bool {
        self.failures.borrow().iter().any(|(failed, ..)| *failed == agent)
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

    /// As [`observe`](Core::observe), for what only an observer that wants values is told.
    #[inline]
    pub(crate) fn observe_value(&self, agent: AgentId, what: impl FnOnce() -> What) {
        if self.valued.get() {
            self.tell(agent, what());
        }
    }

    #[cold]
    pub(crate) fn tell(&self, agent: AgentId, what: What) {
        self.tell_with(agent, what, || None);
    }

    /// As [`tell`](Core::tell), with the value of what is sent, for an observer that wants it.
    #[cold]
    pub(crate) fn tell_with(&self, agent: AgentId, what: What, value: impl FnOnce() -> Option<Rc<dyn Any>>) {
        let value = if self.valued.get() { value() } else { None };
        let (time, round) = (self.now.get(), self.round.get());
        let event = Event { time, round, agent, key: self.key(agent), what, value };
        // taken out meanwhile: an observer is user code
        let mut observers = std::mem::take(&mut *self.observers.borrow_mut());
        for observer in &mut observers {
            observer.observe(&event);
        }
        let mut place = self.observers.borrow_mut();
        observers.append(&mut place);
        *place = observers;
    }

    pub(crate) fn path(&self, agent: AgentId) -> String {
        self.agents.borrow().path(agent, &self.types.borrow())
    }

    pub(crate) fn find(&self, path: &str) -> Option<AgentId> {
        self.agents.borrow().find(path, &self.types.borrow())
    }

    /// The class has something to deliver in the next round.
    #[inline(always)]
    pub(crate) fn activate(&self, class: u16) {
        self.active.set(self.active.get() | 1 << (class % 64));
        self.pending.raise(MAIL);
    }

    /// The task runs in the next round.
    #[inline(always)]
    pub(crate) fn enqueue(&self, task: u32) {
        self.ready.push(task);
        self.pending.raise(READY);
    }

    #[inline(always)]
    pub(crate) fn class(&self, number: u16) -> Option<&dyn Class> {
        self.classes.get(number)
    }

    pub(crate) fn class_of(&self, agent: AgentId) -> Option<(&dyn Class, u32)> {
        let (class, index) = {
            let agents = self.agents.borrow();
            let meta = agents.meta.get(agent.index())?;
            (meta.class, meta.index)
        };
        Some((self.class(class)?, index))
    }

    #[inline(always)]
    pub(crate) fn with_class<A: Actor, R>(&self, class: u16, f: impl FnOnce(&Inbox<A>) -> R) -> Option<R> {
        self.inbox(class).map(f)
    }

    #[inline(always)]
    pub(crate) fn inbox<A: Actor>(&self, class: u16) -> Option<&Inbox<A>> {
        self.classes.inbox(class)
    }

    pub(crate) fn register<A: Actor>(&self) -> u16 {
        self.classes.number::<A>().unwrap_or_else(|| {
            let number = self.classes.len();
            self.classes.push(Box::new(Inbox::<A>::new(number)));
            self.types.borrow_mut().push(A::TYPE);
            number
        })
    }

    pub(crate) fn create<A: Actor>(
        &self,
        name: Option<&str>,
        state: Option<A>,
        factory: Option<Factory<A>>,
    ) -> Result<Ref<A>, NameError> {
        let class = self.register::<A>();
        let creator = self.agent.get();
        let index = self.class(class).map_or(0, Class::size);
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
        if !self.config.without.is_empty() {
            self.leave_out(id);
        }
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
        self.inbox::<A>(agent.class())?.this(index).cloned()
    }

    pub(crate) fn policy(&self, agent: AgentId) -> Policy {
        let class = self.agents.borrow().meta[agent.index()].class;
        self.policies.borrow().get(&class).copied().unwrap_or(self.config.policy)
    }

    pub(crate) fn fingerprint(&self) -> u64 {
        let agents = self.agents.borrow();
        agents
            .meta
            .iter()
            .fold(self.timers_fired.get(), |sum, meta| sum.wrapping_add(meta.fingerprint.finalise()))
    }

    pub(crate) fn teardown(&self) {
        self.observed.set(false);
        let observer = std::mem::take(&mut *self.observers.borrow_mut());
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
        for class in self.classes.iter() {
            let _ = catch_unwind(AssertUnwindSafe(|| class.teardown()));
        }
        let sides = std::mem::take(&mut *self.sides.borrow_mut());
        drop(sides);
    }
}
