//! What an agent's code holds: its clock handle, and the way to its state.
//!
//! Why: agent code names no kernel and no clock. [`Ctx`] is the number of the agent and nothing else; everything it does
//! goes to the kernel that runs the code, whichever driver moves that kernel's time. [`This`] is a `Ctx` that also leads
//! to the state, which is borrowed only inside [`This::with`] and never across an await.
//!
//! # Panics
//! The clock's methods work only in code that a kernel runs: an agent's methods and tasks, and
//! [`Kernel::enter`](crate::Kernel::enter). Elsewhere there is no clock, and they panic with that message.

use std::cell::RefMut;
use std::fmt;
use std::future::Future;
use std::ops::Deref;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use chrono::{DateTime, Utc};
use pin_project::pin_project;

use crate::agent::{AgentId, NameError, Status};
use crate::core::Core;
use crate::current;
use crate::external::{External, Form, Order};
use crate::kernel::CreateError;
use crate::mailbox::{self, Actor, Factory, Ref, ReplyTo};
use crate::observe::What;
use crate::random::{self, Draw};
use crate::supervise::panic_text;
use crate::task::{Label, body, small_body};
use crate::time::Time;
use crate::timers::{Interval, Settled, Sleep, Timeout};
use crate::waker::TaskKey;

/// An agent's handle: clock, random streams, tasks, address.
pub struct Ctx {
    agent: AgentId,
}

impl fmt::Debug for Ctx {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Ctx({:?})", self.agent)
    }
}

impl Ctx {
    pub(crate) fn new(agent: AgentId) -> Self {
        Ctx { agent }
    }

    /// The agent's number in its container.
    pub fn id(&self) -> AgentId {
        self.agent
    }

    /// The agent's path below its container: `house_3/Battery#0`.
    pub fn path(&self) -> String {
        current::with(|core| core.path(self.agent))
    }

    /// The present time, the same for all that happens at this instant.
    #[inline]
    pub fn now(&self) -> Time {
        current::with(Core::now)
    }

    /// The present time as a UTC date: the run's epoch plus [`now`](Ctx::now), at the ends of the calendar the last date
    /// that can be told.
    pub fn utc_now(&self) -> DateTime<Utc> {
        current::with(|core| {
            let edge =
                if core.now() < Time::ZERO { DateTime::<Utc>::MIN_UTC } else { DateTime::<Utc>::MAX_UTC };
            core.config.epoch.utc(core.now()).unwrap_or(edge)
        })
    }

    /// The time at which the run's calendar shows this date; `None` when out of range.
    pub fn time_of(&self, date: DateTime<Utc>) -> Option<Time> {
        current::with(|core| core.config.epoch.time(date))
    }

    /// Resumes after `span`. A span of zero resumes in the next round of this instant.
    #[inline]
    pub fn sleep(&self, span: Duration) -> Sleep {
        Sleep::until(self.now().saturating_add(span))
    }

    /// Resumes at `time`; a time that is not in the future resumes in the next round.
    pub fn sleep_until(&self, time: Time) -> Sleep {
        Sleep::until(time)
    }

    /// Runs `future` for at most `span`. A result of the very instant of the deadline still counts.
    ///
    /// # Errors
    /// [`Elapsed`](crate::Elapsed) when the deadline came first.
    pub fn timeout<F: Future>(&self, span: Duration, future: F) -> Timeout<F> {
        Timeout::new(future, self.now().saturating_add(span))
    }

    /// Ticks after one period, two, three, from now on; ticks that are missed are skipped.
    pub fn interval(&self, period: Duration) -> Interval {
        Interval::new(self.now(), period)
    }

    /// Resumes once when nothing more happens at this instant, before its deadlines: for decisions that need everything
    /// of an instant.
    pub fn settled(&self) -> Settled {
        Settled::default()
    }

    /// Runs `run` at `time`, as a task of this agent.
    pub fn at(&self, time: Time, run: impl FnOnce() + 'static) -> Task {
        self.start("at", async move {
            Sleep::until(time).await;
            run();
        })
    }

    /// Runs `run` after `span`, as a task of this agent.
    pub fn after(&self, span: Duration, run: impl FnOnce() + 'static) -> Task {
        self.at(self.now().saturating_add(span), run)
    }

    /// Starts a task of this agent. It first runs after the handlers of this round if one of them starts it, and in the
    /// next round if a task does. An error it ends with is a failure of the agent.
    pub fn spawn<F>(&self, future: F) -> Task
    where
        F: Future<Output: TaskResult> + 'static,
    {
        self.start("spawn", future)
    }

    /// As [`spawn`](Ctx::spawn), with a name for reports.
    pub fn start<F>(&self, label: Label, future: F) -> Task
    where
        F: Future<Output: TaskResult> + 'static,
    {
        let agent = self.agent;
        let future = body(agent, Running { future });
        Task { key: current::with(|core| core.spawn(agent, label, future)) }
    }

    /// The agent fails, as if the running task had ended with this error.
    pub fn fail(&self, message: impl fmt::Display) {
        current::with(|core| core.fail(self.agent, core.running_label(), message.to_string()));
    }

    /// The agent's random stream for a purpose. Streams of different agents, purposes and seeds are independent, and
    /// drawing from one shifts no other.
    pub fn random(&self, purpose: &str) -> Random {
        Random { agent: self.agent, purpose: random::purpose_of(purpose) }
    }

    /// What the program or the driver has [provided](crate::Kernel::provide): parameters of the run, say.
    pub fn shared<T: 'static>(&self) -> Option<Rc<T>> {
        crate::local::shared()
    }

    /// Creates an agent whose name is below this one's.
    ///
    /// # Errors
    /// [`NameError`] when the name is taken or unusable.
    pub fn create<A: Actor>(&self, name: Option<&str>, state: A) -> Result<Ref<A>, NameError> {
        current::with(|core| core.create(name, Some(state), None))
    }

    /// Creates an agent that its constructor builds, now and at each restart.
    ///
    /// # Errors
    /// [`CreateError`] for the name, or with what the constructor said.
    pub fn create_with<A: Actor>(
        &self,
        name: Option<&str>,
        constructor: impl Fn(&Ctx) -> Result<A, String> + 'static,
    ) -> Result<Ref<A>, CreateError> {
        let factory = Rc::new(constructor);
        current::current().map_or_else(
            || Err(CreateError::Constructor { kind: A::TYPE, message: "no kernel runs here".into() }),
            |core| create_with(&core, name, factory),
        )
    }

    /// Stops this agent when its present code has returned.
    pub fn stop(&self) {
        let agent = self.agent;
        current::with(|core| core.request_stop(agent));
    }

    /// Takes part in the world outside: `make` is called, and its future run, by the driver of the clock; this agent
    /// resumes at `now + latency`, which is fixed before the outcome is known. With latency zero that is the next round.
    /// In simulated time the clock waits for a result that is late; on the wall clock the agent resumes when it is there.
    /// Results due at one instant resume in the order (task, call number), never in order of arrival.
    ///
    /// The output is recorded in its `form` and compared by its hash. A panic of the future is a panic here.
    pub fn external_as<T, M, F>(&self, name: &str, latency: Duration, form: Form<T>, make: M) -> External<T>
    where
        T: serde::Serialize + 'static,
        M: FnOnce() -> F + 'static,
        F: Future<Output = T> + 'static,
    {
        External::new(name, self.agent, latency, form, make)
    }

    /// As [`external_as`](Ctx::external_as), for an operation that the driver may recognise.
    pub fn external_of<O: Order>(&self, order: Rc<O>, latency: Duration) -> External<O::Output> {
        External::of(order, self.agent, latency)
    }
}

/// What a task may end with.
pub trait TaskResult {
    /// The error's text, if it is one.
    fn failure(self) -> Option<String>;
}

impl TaskResult for () {
    fn failure(self) -> Option<String> {
        None
    }
}

impl<E: fmt::Display> TaskResult for Result<(), E> {
    fn failure(self) -> Option<String> {
        self.err().map(|error| error.to_string())
    }
}

/// A task that was started. Dropping this lets the task run on.
#[derive(Debug)]
pub struct Task {
    key: Option<TaskKey>,
}

impl Task {
    /// Ends the task where it waits; a task that has ended, or that is just running, is left alone.
    pub fn cancel(self) {
        // the task's values are dropped in there: not under the thread-local's borrow
        if let Some(key) = self.key
            && let Some(core) = current::current()
        {
            core.cancel_task(key);
        }
    }
}

/// One of an agent's random streams; see [`Ctx::random`] and [`Draw`] for what can be drawn.
#[derive(Clone, Copy, Debug)]
pub struct Random {
    agent: AgentId,
    purpose: u64,
}

impl Draw for Random {
    fn next_u64(&mut self) -> u64 {
        current::with(|core| {
            let identity = core.agents.borrow().identity(self.agent).unwrap_or(0);
            let mut draws = core.draws.borrow_mut();
            let n = draws.entry((self.agent, self.purpose)).or_default();
            *n += 1;
            let n = *n - 1;
            drop(draws);
            core.observe_value(self.agent, || What::Draw { purpose: self.purpose, n });
            random::draw(core.seed.get(), identity, self.purpose, n)
        })
    }
}

/// An agent's handle with the way to its state. It can be cloned and moved into tasks of the agent.
pub struct This<A: Actor> {
    cell: Rc<mailbox::Cell<A>>,
}

impl<A: Actor> Clone for This<A> {
    fn clone(&self) -> Self {
        This { cell: self.cell.clone() }
    }
}

impl<A: Actor> fmt::Debug for This<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "This({:?})", self.cell.ctx.agent)
    }
}

impl<A: Actor> Deref for This<A> {
    type Target = Ctx;

    #[inline]
    fn deref(&self) -> &Ctx {
        &self.cell.ctx
    }
}

impl<A: Actor> This<A> {
    #[inline]
    pub(crate) fn new(cell: Rc<mailbox::Cell<A>>) -> Self {
        This { cell }
    }

    pub(crate) fn cell(&self) -> &mailbox::Cell<A> {
        &self.cell
    }

    /// The state, borrowed while `f` runs.
    ///
    /// # Panics
    /// Inside another `with` of the same agent, and when the agent is stopped: both are mistakes in the agent's code, and
    /// the panic becomes a failure of that agent.
    #[inline]
    pub fn with<R>(&self, f: impl FnOnce(&mut A) -> R) -> R {
        f(&mut self.state())
    }

    /// As [`with`](This::with), or `None` when the agent has no state now: it is stopped, down, or in an exclusive method.
    pub fn try_with<R>(&self, f: impl FnOnce(&mut A) -> R) -> Option<R> {
        self.cell.state.try_borrow_mut().ok()?.as_mut().map(f)
    }

    #[inline]
    fn state(&self) -> RefMut<'_, A> {
        let state =
            self.cell.state.try_borrow_mut().expect("`with` inside `with`: the state is borrowed already");
        RefMut::map(state, |state| {
            state.as_mut().expect("the agent has no state: it is stopped or in an exclusive method")
        })
    }

    /// The agent's own address.
    pub fn me(&self) -> Ref<A> {
        current::with(|core| core.reference(self.id())).unwrap_or(Ref::new(0, 0, self.id()))
    }

    /// Starts a task that is polled at once and not in the next round.
    pub fn start_now(&self, label: Label, future: impl Future<Output = ()> + 'static) {
        let Some(core) = current::current() else { return };
        let Some(task) = core.new_task(self.id(), label, crate::call::CallRef::NONE) else { return };
        core.first_poll(task, small_body(self.id(), future));
    }

    /// Runs a function of the agent after one period, two, three, from now on; ticks that are missed are skipped. It is a task
    /// of the agent that takes no future; the error it returns is a failure of the agent, and its end.
    pub fn every(&self, label: Label, period: Duration, run: fn(&This<A>) -> Option<String>) {
        // a period of zero would never let time go on
        let period = u64::try_from(period.as_nanos()).unwrap_or(u64::MAX).max(1);
        if let Some(core) = current::current() {
            core.start_period(self.id(), label, period, run);
        }
    }

    /// Answers a call by a task that runs beside others of this agent. It is polled at once; only if it has to wait does
    /// it become a task.
    pub fn answer_later(
        &self,
        label: Label,
        reply: ReplyTo<A>,
        future: impl Future<Output = A::Reply> + 'static,
    ) {
        let Some(core) = current::current() else { return };
        let Some(task) = core.new_task(self.id(), label, reply.call()) else { return };
        core.first_poll(task, body(self.id(), Answering { future, reply: Some(reply) }));
    }

    /// Answers a call by a method that has the state for itself until it ends, over its awaits: meanwhile messages queue
    /// and the agent's other tasks are not polled.
    pub fn exclusively<F>(&self, label: Label, reply: ReplyTo<A>, run: impl FnOnce(A, This<A>) -> F)
    where
        F: Future<Output = (A, A::Reply)> + 'static,
    {
        let Some(core) = current::current() else { return };
        let id = self.id();
        let Some(task) = core.new_task(id, label, reply.call()) else { return };
        let Some(state) = self.cell.state.borrow_mut().take() else { return core.end_task(task) };
        core.lock(id, task);
        let this = self.clone();
        let future = run(state, self.clone());
        core.first_poll(
            task,
            body(id, async move {
                let (state, value) = future.await;
                *this.cell.state.borrow_mut() = Some(state);
                current::try_with(|core| core.unlock(id));
                reply.send(value);
            }),
        );
    }
}

/// A task whose error is its agent's failure. A struct, since an async block would hold the future twice.
#[pin_project]
struct Running<F> {
    #[pin]
    future: F,
}

impl<F: Future<Output: TaskResult>> Future for Running<F> {
    type Output = ();

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let me = self.project();
        me.future.poll(cx).map(|result| {
            if let Some(message) = result.failure() {
                current::try_with(|core| core.fail(core.running(), core.running_label(), message));
            }
        })
    }
}

/// A task that answers a call.
#[pin_project]
struct Answering<A: Actor, F> {
    #[pin]
    future: F,
    reply: Option<ReplyTo<A>>,
}

impl<A: Actor, F: Future<Output = A::Reply>> Future for Answering<A, F> {
    type Output = ();

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let me = self.project();
        me.future.poll(cx).map(|value| {
            if let Some(reply) = me.reply.take() {
                reply.send(value);
            }
        })
    }
}

/// Creates an agent in two steps, since its constructor may ask for its own path, clock and random streams.
pub(crate) fn create_with<A: Actor>(
    core: &Core,
    name: Option<&str>,
    constructor: Factory<A>,
) -> Result<Ref<A>, CreateError> {
    let agent = core.create(name, None, Some(constructor.clone()))?;
    let Some(this) = core.this(agent) else { return Ok(agent) };
    let built = core.acting_as(agent.id(), "constructor", || {
        catch_unwind(AssertUnwindSafe(|| constructor(&this))).unwrap_or_else(|panic| Err(panic_text(&*panic)))
    });
    match built {
        Ok(state) => {
            *this.cell.state.borrow_mut() = Some(state);
            Ok(agent)
        }
        Err(message) => {
            core.agents.borrow_mut().meta[agent.id().index()].status = Status::Stopped;
            Err(CreateError::Constructor { kind: A::TYPE, message })
        }
    }
}
