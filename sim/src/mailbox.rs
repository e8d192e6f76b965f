//! Mailboxes: typed messages to agents of one type, and the replies to them.
//!
//! Why: agents of a type share one inbox with one vector of messages per round, so that a message is moved twice and
//! allocated never, and a synchronous handler is answered in place without a task. Nothing here knows what a message
//! means: an [`Actor`] does.
//!
//! | when | what |
//! |------|------|
//! | round r | `post` appends to the inbox |
//! | round r + 1 | `deliver` takes the whole vector, arranges it, hands each message to its agent |
//! | agent locked or down | the message waits in the agent's cell, and goes first when the agent is free again |
//!
//! Contract: no user code runs while a borrow of the kernel or of the inbox is held. A handler that panics fails its
//! agent, not the delivery.

use std::any::Any;
use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::marker::PhantomData;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::rc::Rc;
use std::slice::Iter;

use crate::agent::{AgentId, Status};
use crate::call::{CallRef, Fault};
use crate::context::{Ctx, This};
use crate::core::Core;
use crate::current;
use crate::fingerprint::Tag;
use crate::observe::What;
use crate::order::{Ordered, arrange};
use crate::period::{Periods, Run};
use crate::reply::ReplyNote;
use crate::request::Call;
use crate::shelf::Shelf;
use crate::supervise::panic_text;
use crate::task::{Label, Turn};
use crate::waiter::NO_TASK;

/// What the kernel must know about a type of agents: its messages, and how one of them is handled.
///
/// # Contract
/// [`receive`](Actor::receive) runs in place, inside the round in which the message arrives, and returns without
/// waiting; what takes time is [spawned](Ctx::spawn) or handed to [`This::answer_later`] or [`This::exclusively`]. A panic
/// inside is a failure of this agent.
pub trait Actor: Sized + 'static {
    /// Everything such an agent can be sent.
    type Msg: 'static;
    /// Everything it can answer.
    type Reply: 'static;

    /// The name of the type, as it appears in `Type#n`; without `/` and `#`.
    const TYPE: &'static str;

    /// Handles one message. Dropping `reply` unanswered ends the call with [`Fault::Abandoned`].
    fn receive(this: &This<Self>, message: Self::Msg, reply: ReplyTo<Self>);

    /// Runs once before the first message: at the first instant of the run, in the round after its creation, and after each restart.
    fn started(this: &This<Self>) {
        let _ = this;
    }

    /// Runs once when the agent is stopped on purpose; not when it fails.
    fn stopping(this: &This<Self>) {
        let _ = this;
    }

    /// What a message is called, for reports.
    fn label(message: &Self::Msg) -> Label;

    /// The message's contribution to the fingerprints of sender and receiver, see
    /// [`payload_hash`](crate::fingerprint::payload_hash).
    fn message_hash(message: &Self::Msg) -> u64;

    /// The same of a reply.
    fn reply_hash(reply: &Self::Reply) -> u64;

    /// The message as layers above write it down; they know its type again.
    fn message_value(message: &Self::Msg) -> Option<Rc<dyn Any>> {
        let _ = message;
        None
    }

    /// The same of a reply.
    fn reply_value(reply: &Self::Reply) -> Option<Rc<dyn Any>> {
        let _ = reply;
        None
    }

    /// Whatever layers above want to know of the type, found again by [`local::facet`](crate::local::facet).
    fn facet() -> Option<&'static dyn Any> {
        None
    }
}

/// The address of an agent in this process: what a typed proxy is made of.
pub struct Ref<A> {
    pub(crate) kernel: u16,
    pub(crate) class: u16,
    pub(crate) agent: AgentId,
    kind: PhantomData<fn() -> A>,
}

impl<A> Clone for Ref<A> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<A> Copy for Ref<A> {}

impl<A> PartialEq for Ref<A> {
    fn eq(&self, other: &Self) -> bool {
        (self.kernel, self.agent) == (other.kernel, other.agent)
    }
}

impl<A> Eq for Ref<A> {}

impl<A> fmt::Debug for Ref<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.agent)
    }
}

impl<A> Ref<A> {
    /// The agent's number in its container.
    pub fn id(&self) -> AgentId {
        self.agent
    }

    pub(crate) fn new(kernel: u16, class: u16, agent: AgentId) -> Self {
        Ref { kernel, class, agent, kind: PhantomData }
    }

    /// An agent that is in no kernel: messages to it are dead letters.
    pub const fn nowhere() -> Self {
        Ref { kernel: 0, class: 0, agent: AgentId::OUTSIDE, kind: PhantomData }
    }

    /// The number of its kernel in this process.
    pub fn kernel(&self) -> u16 {
        self.kernel
    }

    pub(crate) fn class(&self) -> u16 {
        self.class
    }
}

impl<A: Actor> Ref<A> {
    /// A request; it is sent when it is first polled, or by [`Call::send`].
    #[inline]
    pub fn call(self, message: A::Msg) -> Call<A> {
        Call::new(self, message)
    }
}

/// The state of one agent and what waits for it.
pub(crate) struct Cell<A: Actor> {
    pub(crate) ctx: Ctx,
    pub(crate) state: RefCell<Option<A>>,
    #[allow(clippy::box_collection, reason = "8 bytes an agent: hardly any of a million ever queues")]
    waiting: RefCell<Option<Box<VecDeque<Mail<A>>>>>,
}

pub(crate) struct Mail<A: Actor> {
    pub(crate) to: AgentId,
    pub(crate) from: AgentId,
    pub(crate) sequence: u64,
    /// of payload and sequence number
    pub(crate) hash: u64,
    pub(crate) call: CallRef,
    pub(crate) message: A::Msg,
}

impl<A: Actor> Ordered for Mail<A> {
    #[inline]
    fn order(&self) -> (AgentId, u32, u64) {
        // outside comes first; all agents here are of one container, so that the ordinal is the order key
        (self.to, self.from.ordinal().wrapping_add(1), self.sequence)
    }
}

/// Builds an agent's state: at its creation and at each restart.
pub(crate) type Factory<A> = Rc<dyn Fn(&Ctx) -> Result<A, String>>;

/// All agents of one type in one container.
pub(crate) struct Inbox<A: Actor> {
    number: u16,
    agents: Shelf<This<A>>,
    factories: RefCell<BTreeMap<u32, Factory<A>>>,
    /// who starts, and whose queued mail goes first
    early: RefCell<Early>,
    mail: RefCell<Vec<Mail<A>>>,
    /// the same two, of the round that is being delivered
    sealed: RefCell<Early>,
    arriving: RefCell<Vec<Mail<A>>>,
    values: RefCell<Values<Result<A::Reply, Box<Fault>>>>,
    periods: RefCell<Periods<A>>,
}

/// What comes before the mail of a round.
#[derive(Default)]
struct Early {
    starts: Vec<u32>,
    resumed: Vec<u32>,
}

impl Early {
    #[inline]
    fn is_empty(&self) -> bool {
        self.starts.is_empty() && self.resumed.is_empty()
    }
}

/// Replies that lie here until their caller takes them.
struct Values<T> {
    slots: Vec<Option<T>>,
    free: Vec<u32>,
}

impl<T> Values<T> {
    #[inline]
    fn put(&mut self, value: T) -> u32 {
        match self.free.pop() {
            Some(slot) => {
                self.slots[slot as usize] = Some(value);
                slot
            }
            None => {
                self.slots.push(Some(value));
                self.slots.len() as u32 - 1
            }
        }
    }

    #[inline]
    fn take(&mut self, slot: u32) -> Option<T> {
        let value = self.slots.get_mut(slot as usize)?.take()?;
        self.free.push(slot);
        Some(value)
    }
}

/// An inbox as the kernel sees it, without its types.
pub(crate) trait Class: Any {
    /// Takes what was sent in the previous round: whatever is sent from now on arrives in the next one.
    fn seal(&self);
    /// Hands out what was taken.
    fn deliver(&self, core: &Core);
    /// Both, when no other class has anything.
    fn deliver_now(&self, core: &Core);
    /// Runs a periodic method, and those of the tasks that follow it as far as they are of this class.
    fn run_periods(&self, core: &Core, first: Turn, following: &mut Iter<'_, u32>);
    /// The task of a periodic method has ended.
    fn end_period(&self, core: &Core, number: u32);
    /// Drops a reply nobody waits for.
    fn discard(&self, value: u32);
    /// A reply as layers above write it down.
    fn show(&self, value: u32) -> Option<Rc<dyn Any>>;
    /// Runs the agent's own code for being stopped on purpose.
    fn stopping(&self, core: &Core, index: u32);
    /// Drops the state of an agent.
    fn clear(&self, core: &Core, index: u32);
    /// Builds the state anew; `None` when the agent has no constructor.
    fn rebuild(&self, core: &Core, index: u32) -> Option<Result<(), String>>;
    /// Whether it has one.
    fn can_rebuild(&self, index: u32) -> bool;
    /// Lets queued mail go first in the next round.
    fn resume(&self, core: &Core, index: u32);
    /// Callers' tasks whose calls queue behind a locked agent.
    fn queued_callers(&self, core: &Core, index: u32) -> Vec<u32>;
    /// Who gets what next: for the livelock report.
    fn pending(&self, core: &Core) -> Vec<(AgentId, AgentId, Label)>;
    /// Drops everything, inside the kernel.
    fn teardown(&self);
    fn size(&self) -> u32;
    fn facet(&self) -> Option<&'static dyn Any>;
}

impl<A: Actor> Inbox<A> {
    pub(crate) fn new(number: u16) -> Self {
        Inbox {
            number,
            agents: Shelf::default(),
            factories: RefCell::default(),
            early: RefCell::default(),
            mail: RefCell::default(),
            sealed: RefCell::default(),
            arriving: RefCell::default(),
            values: RefCell::new(Values { slots: Vec::new(), free: Vec::new() }),
            periods: RefCell::default(),
        }
    }

    pub(crate) fn add(&self, core: &Core, id: AgentId, state: Option<A>, factory: Option<Factory<A>>) {
        let cell = Cell { ctx: Ctx::new(id), state: RefCell::new(state), waiting: RefCell::default() };
        let index = self.agents.push(This::new(Rc::new(cell)));
        if let Some(factory) = factory {
            self.factories.borrow_mut().insert(index, factory);
        }
        core.activate(self.number);
        self.early.borrow_mut().starts.push(index);
    }

    pub(crate) fn add_period(&self, core: &Core, of: (u32, u32), period: u64, run: Run<A>) -> Option<u32> {
        let this = self.this(of.0)?.clone();
        Some(self.periods.borrow_mut().add(core, (this, of.1), period, run))
    }

    #[inline(always)]
    pub(crate) fn this(&self, index: u32) -> Option<&This<A>> {
        self.agents.get(index)
    }

    #[inline(always)]
    pub(crate) fn push(&self, core: &Core, mail: Mail<A>) {
        core.activate(self.number);
        self.mail.borrow_mut().push(mail);
    }

    #[inline]
    pub(crate) fn put_value(&self, value: Result<A::Reply, Box<Fault>>) -> u32 {
        self.values.borrow_mut().put(value)
    }

    #[inline]
    pub(crate) fn take_value(&self, slot: u32) -> Option<Result<A::Reply, Box<Fault>>> {
        self.values.borrow_mut().take(slot)
    }

    fn start(&self, core: &Core, index: u32) {
        let Some(this) = self.this(index) else { return };
        let id = this.id();
        let has_state = this.try_with(|_| ()).is_some();
        let runs = {
            let status = &mut core.agents.borrow_mut().meta[id.index()].status;
            if *status == Status::Down && has_state {
                *status = Status::Running;
            }
            *status == Status::Running
        };
        if runs {
            core.observe(id, || What::Start);
            self.guarded(core, id, "start", || A::started(this));
        }
    }

    /// What comes before the mail: agents start, and what queued for agents that are free again is put in front.
    #[cold]
    fn deliver_first(&self, core: &Core, mail: &mut Vec<Mail<A>>) {
        let Early { starts, resumed } = self.sealed.take();
        for index in starts {
            self.start(core, index);
        }
        let mut first = Vec::new();
        for index in resumed {
            let Some(this) = self.this(index) else { continue };
            // the queue is taken at its present length: a handler may lock the agent again, and the rest stays in order
            let queued = this.cell().waiting.borrow_mut().take();
            first.extend(queued.into_iter().flat_map(|queue| *queue));
        }
        if !first.is_empty() {
            first.append(mail);
            *mail = first;
        }
    }

    /// Hands messages to their agents. A panic ends one handler and not the batch: what follows is caught per batch, and
    /// not per message, for speed.
    #[inline]
    fn hand_over_all(&self, core: &Core, mail: &mut Vec<Mail<A>>) {
        let mut mail = mail.drain(..);
        while let Err(panic) = catch_unwind(AssertUnwindSafe(|| {
            for mail in mail.by_ref() {
                self.hand_over(core, mail);
            }
        })) {
            caught(core, panic);
        }
    }

    #[inline(always)]
    fn hand_over(&self, core: &Core, mail: Mail<A>) {
        let mut agents = core.agents.borrow_mut();
        let meta = &mut agents.meta[mail.to.index()];
        match meta.status {
            Status::Running => {
                meta.queued -= 1;
                let peer = core.key(mail.from).raw();
                meta.fingerprint.mix_at(core.instant.get(), Tag::Receive, peer, mail.hash);
                let index = meta.index;
                drop(agents);
                if let Some(this) = self.this(index) {
                    self.handle(core, this, mail);
                }
            }
            Status::Locked | Status::Down => {
                let index = meta.index;
                drop(agents);
                self.hold(core, index, mail);
            }
            Status::Tripped => {
                meta.queued -= 1;
                meta.status = Status::Running;
                drop(agents);
                let (agent, method) = (core.path(mail.to), A::label(&mail.message).into());
                let why = "a fault was injected".into();
                self.refuse(core, mail, Box::new(Fault::Abandoned { agent, method, why }));
            }
            Status::Stopped => {
                meta.queued -= 1;
                drop(agents);
                let fault = Box::new(Fault::Stopped(core.path(mail.to)));
                self.refuse(core, mail, fault);
            }
        }
    }

    /// Keeps mail for an agent that is not free, unless it would wait for itself.
    #[cold]
    fn hold(&self, core: &Core, index: u32, mail: Mail<A>) {
        let Some(this) = self.this(index) else { return };
        let waiting = &this.cell().waiting;
        let (call, to) = (mail.call, mail.to);
        core.observe(to, || What::Held { from: mail.from, sequence: mail.sequence });
        waiting.borrow_mut().get_or_insert_default().push_back(mail);
        if let Some(cycle) = core.wait_cycle(call, to) {
            let mail = waiting.borrow_mut().as_mut().and_then(|queue| queue.pop_back());
            if let Some(mail) = mail {
                core.agents.borrow_mut().meta[to.index()].queued -= 1;
                self.refuse(core, mail, Box::new(Fault::WaitCycle(cycle)));
            }
        }
    }

    #[inline(always)]
    fn handle(&self, core: &Core, this: &This<A>, mail: Mail<A>) {
        let Mail { to, from, sequence, hash, call, message } = mail;
        let label = A::label(&message);
        let number = call.number();
        core.observe(to, || What::Receive { from, key: core.key(from), sequence, label, hash, call: number });
        core.count_message();
        let (kernel, class) = (core.id(), self.number);
        let reply = ReplyTo { kernel, class, call, caller: from, callee: to, kind: PhantomData };
        core.begin(to, NO_TASK, label);
        A::receive(this, message, reply);
        core.finish();
    }

    #[inline(always)]
    fn run_period(&self, core: &Core, turn: Turn) {
        let Turn { task, agent, number } = turn;
        core.begin(agent, task, "");
        core.activations.set(core.activations.get() + 1);
        let found = self.periods.borrow().get(number);
        match found {
            Some((this, run)) => match run(&this) {
                Some(message) => {
                    this.fail(message);
                    core.end_task(task);
                }
                None => self.periods.borrow_mut().again(core, number),
            },
            None => core.end_task(task),
        }
        core.finish();
    }

    /// Runs agent code: as that agent, and with its panics made failures.
    fn guarded(&self, core: &Core, agent: AgentId, label: Label, run: impl FnOnce()) {
        core.begin(agent, NO_TASK, label);
        if let Err(panic) = catch_unwind(AssertUnwindSafe(run)) {
            core.fail(agent, label, panic_text(&*panic));
        }
        core.finish();
    }

    #[cold]
    fn refuse(&self, core: &Core, mail: Mail<A>, fault: Box<Fault>) {
        core.observe(mail.to, || What::Refused { from: mail.from, sequence: mail.sequence });
        if mail.call.is_none() {
            core.count_dead_letter(|| {
                format!("`{}` to {}: {fault}", A::label(&mail.message), core.path(mail.to))
            });
        } else {
            self.reply(core, mail.to, mail.from, mail.call, fault.hash(), Err(fault));
        }
        core.drop_as(mail.to, "drop", mail.message);
    }

    /// Puts a reply on its way: it arrives in the next round.
    #[inline(always)]
    fn reply(
        &self,
        core: &Core,
        from: AgentId,
        to: AgentId,
        call: CallRef,
        hash: u64,
        value: Result<A::Reply, Box<Fault>>,
    ) {
        let value = self.put_value(value);
        core.reply(from, ReplyNote::new(to, self.number, call, value, hash));
    }
}

/// A panic of an agent's code, while its mail was handed over.
#[cold]
fn caught(core: &Core, panic: Box<dyn Any + Send>) {
    if core.running() == AgentId::OUTSIDE {
        // no agent's code: an observer's, or a message that cannot name itself
        resume_unwind(panic);
    }
    core.fail(core.running(), core.running_label(), panic_text(&*panic));
    core.finish();
}

impl<A: Actor> Class for Inbox<A> {
    fn seal(&self) {
        std::mem::swap(&mut *self.mail.borrow_mut(), &mut *self.arriving.borrow_mut());
        if !self.early.borrow().is_empty() {
            *self.sealed.borrow_mut() = self.early.take();
        }
    }

    fn deliver(&self, core: &Core) {
        let mut mail = self.arriving.take();
        arrange(&mut mail, core.shuffle());
        if !self.sealed.borrow().is_empty() {
            self.deliver_first(core, &mut mail);
        }
        self.hand_over_all(core, &mut mail);
        *self.arriving.borrow_mut() = mail;
    }

    fn run_periods(&self, core: &Core, mut turn: Turn, following: &mut Iter<'_, u32>) {
        // caught for all of them, for speed; what follows the one that panics is left to who called
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| {
            loop {
                self.run_period(core, turn);
                match core.next_turn(self.number, following) {
                    Some(next) => turn = next,
                    None => break,
                }
            }
        })) {
            core.panicked(turn, panic);
        }
    }

    fn end_period(&self, core: &Core, number: u32) {
        self.periods.borrow_mut().remove(core, number);
    }

    fn deliver_now(&self, core: &Core) {
        let first = {
            let mut mail = self.mail.borrow_mut();
            if mail.len() == 1 && self.early.borrow().is_empty() { mail.pop() } else { None }
        };
        match first {
            Some(mail) => {
                if let Err(panic) = catch_unwind(AssertUnwindSafe(|| self.hand_over(core, mail))) {
                    caught(core, panic);
                }
            }
            None => {
                self.seal();
                self.deliver(core);
            }
        }
    }

    fn show(&self, value: u32) -> Option<Rc<dyn Any>> {
        // taken out meanwhile: it is shown by user code
        let reply = self.values.borrow_mut().slots.get_mut(value as usize)?.take()?;
        let shown = reply.as_ref().ok().and_then(A::reply_value);
        self.values.borrow_mut().slots[value as usize] = Some(reply);
        shown
    }

    fn discard(&self, value: u32) {
        let value = self.take_value(value);
        drop(value);
    }

    fn stopping(&self, core: &Core, index: u32) {
        let Some(this) = self.this(index) else { return };
        if this.try_with(|_| ()).is_some() {
            core.acting_as(this.id(), "stop", || {
                if let Err(panic) = catch_unwind(AssertUnwindSafe(|| A::stopping(this))) {
                    core.fail(this.id(), "stop", panic_text(&*panic));
                }
            });
        }
    }

    fn clear(&self, core: &Core, index: u32) {
        let Some(this) = self.this(index) else { return };
        let state = this.cell().state.try_borrow_mut().ok().and_then(|mut state| state.take());
        core.acting_as(this.id(), "drop", || core.drop_as(this.id(), "drop", state));
    }

    fn rebuild(&self, core: &Core, index: u32) -> Option<Result<(), String>> {
        let factory = self.factories.borrow().get(&index)?.clone();
        let this = self.this(index)?;
        let built = catch_unwind(AssertUnwindSafe(|| factory(this)));
        Some(match built {
            Ok(Ok(state)) => {
                *this.cell().state.borrow_mut() = Some(state);
                core.activate(self.number);
                self.early.borrow_mut().starts.push(index);
                Ok(())
            }
            Ok(Err(message)) => Err(message),
            Err(panic) => Err(panic_text(&*panic)),
        })
    }

    fn can_rebuild(&self, index: u32) -> bool {
        self.factories.borrow().contains_key(&index)
    }

    fn resume(&self, core: &Core, index: u32) {
        if self.this(index).is_some_and(|this| this.cell().waiting.borrow().is_some()) {
            core.activate(self.number);
            self.early.borrow_mut().resumed.push(index);
        }
    }

    fn queued_callers(&self, core: &Core, index: u32) -> Vec<u32> {
        let Some(this) = self.this(index) else { return Vec::new() };
        let waiting = this.cell().waiting.borrow();
        let mut calls = core.calls.borrow_mut();
        waiting
            .iter()
            .flat_map(|queue| queue.iter())
            .filter_map(|mail| Some(calls.get(mail.call)?.task))
            .collect()
    }

    fn pending(&self, core: &Core) -> Vec<(AgentId, AgentId, Label)> {
        let label = |mail: &Mail<A>| (mail.to, mail.from, A::label(&mail.message));
        let mut pending: Vec<_> = self.mail.borrow().iter().take(32).map(label).collect();
        let early = self.early.borrow();
        for this in early.resumed.iter().take(32).filter_map(|index| self.this(*index)) {
            let waiting = this.cell().waiting.borrow();
            pending.extend(waiting.iter().flat_map(|queue| queue.iter()).take(32).map(label));
        }
        for this in early.starts.iter().take(32).filter_map(|index| self.this(*index)) {
            let id = this.id();
            pending.push((id, core.agents.borrow().creator(id), "start"));
        }
        pending
    }

    fn teardown(&self) {
        let mail =
            (std::mem::take(&mut *self.mail.borrow_mut()), std::mem::take(&mut *self.arriving.borrow_mut()));
        drop(mail);
        let values = std::mem::take(&mut self.values.borrow_mut().slots);
        drop(values);
        for this in self.agents.iter() {
            let waiting = this.cell().waiting.borrow_mut().take();
            drop(waiting);
            let state = this.cell().state.try_borrow_mut().ok().and_then(|mut state| state.take());
            drop(state);
        }
        let factories = std::mem::take(&mut *self.factories.borrow_mut());
        drop(factories);
    }

    fn size(&self) -> u32 {
        self.agents.len()
    }

    fn facet(&self) -> Option<&'static dyn Any> {
        A::facet()
    }
}

/// The right, and the duty, to answer one call. For a message that wants no answer, sending is a no-op.
#[must_use = "dropping it ends the call with `Fault::Abandoned`"]
pub struct ReplyTo<A: Actor> {
    kernel: u16,
    /// of the callee
    class: u16,
    call: CallRef,
    caller: AgentId,
    callee: AgentId,
    kind: PhantomData<fn() -> A>,
}

impl<A: Actor> fmt::Debug for ReplyTo<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ReplyTo({:?})", self.caller)
    }
}

impl<A: Actor> ReplyTo<A> {
    /// Answers; the caller resumes in the next round.
    #[inline(always)]
    pub fn send(mut self, value: A::Reply) {
        // most messages want none
        if !self.call.is_none() {
            self.finish(A::reply_hash(&value), Ok(value));
        }
    }

    /// Whether anybody waits for the answer.
    pub fn is_wanted(&self) -> bool {
        !self.call.is_none()
    }

    /// Who asked; [`AgentId::OUTSIDE`] for callers that are no agents of this container.
    pub fn caller(&self) -> AgentId {
        self.caller
    }

    pub(crate) fn call(&self) -> CallRef {
        self.call
    }

    /// The call ends without an answer.
    #[cold]
    #[inline(never)]
    fn abandon(&mut self) {
        let ours = |core: &Core| (core.id() == self.kernel).then(|| core.abandoned(self.callee, self.call));
        if let Some(Some(fault)) = current::try_with(ours) {
            self.finish(fault.hash(), Err(fault));
        }
    }

    /// Puts the answer on its way. Its hash is taken before, with the call still to be answered: if that panics, the call
    /// ends as abandoned.
    #[inline(always)]
    fn finish(&mut self, hash: u64, value: Result<A::Reply, Box<Fault>>) {
        let call = std::mem::replace(&mut self.call, CallRef::NONE);
        current::try_with(|core| {
            // inside another kernel the numbers would mean others
            if core.id() == self.kernel
                && let Some(inbox) = core.inbox::<A>(self.class)
            {
                inbox.reply(core, self.callee, self.caller, call, hash, value);
            }
        });
    }
}

impl<A: Actor> Drop for ReplyTo<A> {
    #[inline(always)]
    fn drop(&mut self) {
        if !self.call.is_none() {
            self.abandon();
        }
    }
}
