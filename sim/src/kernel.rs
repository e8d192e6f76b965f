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
use std::collections::VecDeque;
use std::rc::Rc;
use std::task::Waker;

use crate::agent::{AgentId, NameError, Status};
use crate::call::Fault;
use crate::config::{Config, Counts, Progress};
use crate::context::This;
use crate::core::Core;
use crate::current::{self, Entered};
use crate::error::{Involved, SimError};
use crate::fingerprint::Tag;
use crate::instant::Turning;
use crate::mailbox::{Actor, Ref};
use crate::observe::Observer;
use crate::pending::{INJECTED, ROUND, SETTLED};
use crate::request::{self, Asked};
use crate::supervise::{Policy, Report};
use crate::time::Time;
use crate::waiter::NO_TASK;

/// A container's kernel: agents, their clock, their messages. See the head of this module for the contract of whoever
/// drives it.
///
/// Not `Send`: a kernel and its agents live on one thread. Dropping it drops all tasks and agents, inside the kernel.
#[derive(Debug)]
pub struct Kernel {
    core: Rc<Core>,
    /// whether this is the one that was made, with which the kernel ends
    owner: bool,
}

impl Drop for Kernel {
    fn drop(&mut self) {
        if !self.owner {
            return;
        }
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
        let (id, injector) = current::register()
            .ok_or_else(|| SimError::Limit("a process holds at most 65,535 kernels".into()))?;
        Ok(Kernel { core: Rc::new(Core::new(id, injector, config)), owner: true })
    }

    /// The same kernel once more, for a driver that keeps it. The kernel ends with the one that was made, whoever has this:
    /// then nothing is left in it.
    pub fn again(&self) -> Kernel {
        Kernel { core: self.core.clone(), owner: false }
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
        self.core.agents.borrow().creator(agent)
    }

    /// Everything that happens is shown to this observer from now on.
    pub fn set_observer(&self, observer: Option<Box<dyn Observer>>) {
        let old = std::mem::take(&mut *self.core.observers.borrow_mut());
        drop(old);
        self.core.observed.set(false);
        self.core.valued.set(false);
        if let Some(observer) = observer {
            self.add_observer(observer);
        }
    }

    /// As [`set_observer`](Kernel::set_observer), beside those that there are.
    pub fn add_observer(&self, observer: Box<dyn Observer>) {
        self.core.observed.set(true);
        self.core.valued.set(self.core.valued.get() || observer.wants_values());
        self.core.observers.borrow_mut().push(observer);
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

    /// Whether something has been put in from outside since the last turn, or waits for the present instant. If not, the next
    /// event is still the one of which that turn told.
    pub fn is_busy(&self) -> bool {
        self.core.pending.has(ROUND | INJECTED | SETTLED)
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
        let _turn = self.begin_turn()?;
        loop {
            match self.core.turn(limit, inclusive, budget)? {
                Progress::More if budget == u32::MAX => {}
                progress => return Ok(progress),
            }
        }
    }

    /// Lets what was injected for now happen, and what follows from it in further rounds of this instant, while
    /// [`Progress::Blocked`] holds everything else up: a peer may ask back before it answers. External results, timers and
    /// time wait.
    ///
    /// # Errors
    /// As [`run_until`](Kernel::run_until).
    pub fn attend(&self) -> Result<(), SimError> {
        let _turn = self.begin_turn()?;
        self.core.attend()
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

    /// Agents whose code has run since the last call, in order of creation; what `touched` held is dropped.
    pub fn take_touched(&self, touched: &mut Vec<AgentId>) {
        touched.clear();
        std::mem::swap(touched, &mut *self.core.touched.borrow_mut());
        // mostly each has run once, in that order
        if !touched.is_sorted_by(|one, next| one < next) {
            touched.sort_unstable();
            touched.dedup();
        }
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
        self.core.enter_at(at, number, Box::new(move |_| enter()));
        Ok(())
    }

    /// As [`inject_with`](Kernel::inject_with) for the present instant, at once: what was injected for it before comes first.
    ///
    /// # Errors
    /// [`SimError::Limit`] for code that the kernel runs itself.
    pub fn admit(&self, enter: impl FnOnce()) -> Result<(), SimError> {
        let (_entered, _turning) = self.begin_turn()?;
        self.core.admit_injections();
        self.core.next_injection();
        enter();
        Ok(())
    }

    fn begin_turn(&self) -> Result<(Entered, Turning<'_>), SimError> {
        if self.core.turning.get() {
            return Err(SimError::Limit("a kernel cannot be run by code that it runs itself".into()));
        }
        Ok((Entered::new(&self.core), Turning::new(&self.core.turning)))
    }

    /// Asks an agent, from outside, now. The answer comes by [`Kernel::answer`] after the kernel has run.
    pub fn ask<A: Actor>(&self, to: Ref<A>, message: A::Msg) -> Asked<A> {
        self.enter(|| Asked { to, call: request::post(&self.core, to, message, Some(NO_TASK)) })
    }

    /// The answer to a call from outside, if it is there; at most once.
    pub fn answer<A: Actor>(&self, asked: &mut Asked<A>) -> Option<Result<A::Reply, Box<Fault>>> {
        self.enter(|| request::answer(&self.core, asked))
    }

    /// The agent's state and clock, for set-up, outputs and tests; `None` for an agent of another kernel.
    pub fn this<A: Actor>(&self, agent: Ref<A>) -> Option<This<A>> {
        self.core.this(agent)
    }

    /// Looks at an agent's state, by its number; `None` when it is of another type, or has no state now.
    pub fn look<A: Actor, R>(&self, agent: AgentId, f: impl FnOnce(&mut A) -> R) -> Option<R> {
        let (class, index) = {
            let agents = self.core.agents.borrow();
            let meta = agents.meta.get(agent.index())?;
            (meta.class, meta.index)
        };
        let this = self.core.inbox::<A>(class)?.this(index)?;
        self.enter(|| this.try_with(f))
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

    /// Does something to an agent that did nothing wrong, now; false if the agent is not in a state for it.
    pub fn inject_fault(&self, agent: AgentId, fault: crate::faults::Injected) -> bool {
        self.enter(|| self.core.inject_fault(agent, fault))
    }

    /// From now on random numbers, and the order if it is shuffled, are those of another seed: what would have happened?
    pub fn reseed(&self, seed: u64) {
        self.core.reseed(seed);
    }

    /// Tasks that were woken from outside since the last call, as a live run allows: a repetition cannot know when.
    pub fn take_foreign(&self) -> Vec<(AgentId, crate::task::Label)> {
        std::mem::take(&mut *self.core.foreign.borrow_mut())
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

    /// As [`reports`](Kernel::reports), without the first `n`.
    pub fn reports_since(&self, n: usize) -> Vec<Report> {
        self.core.reports.borrow().get(n..).unwrap_or_default().to_vec()
    }

    /// Tasks that have not ended.
    pub fn tasks(&self) -> usize {
        self.core.tasks.borrow().alive()
    }

    /// Calls without a reply: who waits for what since when.
    pub fn open_calls(&self) -> Vec<Involved> {
        self.core.open_calls()
    }

    /// Tasks that wait for nothing the kernel knows of: no message, timer, external operation or turn. They wait for other
    /// tasks of their agent, or for something outside the simulation, which never comes: then the agent should use
    /// `external`.
    pub fn stray_tasks(&self) -> Vec<Involved> {
        self.core.stray_tasks()
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

    /// Liveness: an error if calls are open that were open at `since` already.
    ///
    /// # Errors
    /// [`SimError::NoProgress`], which names callers and callees.
    pub fn check_progress(&self, since: Time) -> Result<(), SimError> {
        let calls = self.core.calls_since(since);
        if calls.is_empty() { Ok(()) } else { Err(SimError::NoProgress { time: self.now(), since, calls }) }
    }

    /// Asks for `driver` to be woken when a task is woken from outside the kernel.
    pub fn watch(&self, driver: &Waker) {
        self.core.injector.watch(driver);
    }

    /// Whether whoever asked last by [`watch`](Kernel::watch) is still to be woken.
    pub fn is_watched(&self) -> bool {
        self.core.injector.is_watched()
    }

    /// Whether tasks have been woken from outside since the last turn.
    pub fn has_wakes(&self) -> bool {
        self.core.injector.has_some()
    }

    /// External operations that have been asked for since the last call; the driver runs them.
    pub fn take_external(&self) -> Vec<crate::external::Started> {
        self.core.externals.borrow_mut().take_started()
    }

    /// As [`take_external`](Kernel::take_external), behind what `started` holds.
    pub fn append_external(&self, started: &mut VecDeque<crate::external::Started>) {
        self.core.externals.borrow_mut().append_started(started);
    }

    /// Hands in the outcome of an external operation.
    pub fn finish_external(&self, id: crate::external::ExternalId, outcome: crate::external::Outcome) {
        if let Some(gone) = self.core.finish_external(id, outcome) {
            self.enter(|| drop(gone));
        }
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
