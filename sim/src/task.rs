//! Tasks: the futures of agents, in a slab.
//!
//! Why: an agent waits far more often than it works. A task is one slot of 32 bytes beside its boxed future, found by
//! index, so waking, polling and cancelling touch one cache line.
//!
//! | state    | `work` | `queued` | `alive` |
//! |----------|----------|----------|---------|
//! | waiting  | some     | no       | yes |
//! | ready    | some     | yes      | yes |
//! | polled   | none, if it is a future | no, or yes when woken meanwhile | yes |
//! | ended    | none     | yes: its entry in the run queue is still there | no |
//! | free     | none     | no       | no |
//!
//! Contract: a slot's key changes when its task ends, so a stale key names nobody. A run queue holds a slot once if
//! and only if it is `queued`, and the slot of a task that ends in there is not reused before it comes up: the entry
//! would run a stranger in the wrong round. Futures are polled and dropped
//! by the kernel while no borrow of the slab is held.

use std::any::Any;
use std::future::Future;
use std::mem::ManuallyDrop;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::Pin;
use std::slice::Iter;
use std::task::{Context, Poll};

use pin_project::pin_project;

use crate::agent::{AgentId, Status};
use crate::call::CallRef;
use crate::core::Core;
use crate::error::SimError;
use crate::mailbox::Actor;
use crate::period::Run;
use crate::supervise::panic_text;
use crate::waker::{self, TaskKey};

/// What a task is, for error messages: `plan`, `on_start`, ..
pub type Label = &'static str;

pub(crate) type TaskFuture = Pin<Box<dyn Body>>;

/// A task's future, which can be looked at without being polled.
pub(crate) trait Body: Future<Output = ()> {
    /// Reads its ends, so that it lies in the processor's cache when it is polled.
    fn touch(&self) -> u32;
}

/// A future between two words, one in its first cache line and one in its last, where the compiler keeps the state of an
/// async block. `B` is nothing where the future is small and memory counts.
#[pin_project]
#[repr(C)]
struct Touchable<B, F> {
    front: B,
    #[pin]
    future: F,
    back: AgentId,
}

trait Front {
    fn word(&self) -> u32;
}

impl Front for AgentId {
    #[inline]
    fn word(&self) -> u32 {
        self.ordinal()
    }
}

impl Front for () {
    #[inline]
    fn word(&self) -> u32 {
        0
    }
}

impl<B, F: Future<Output = ()>> Future for Touchable<B, F> {
    type Output = ();

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.project().future.poll(cx)
    }
}

impl<B: Front, F: Future<Output = ()>> Body for Touchable<B, F> {
    fn touch(&self) -> u32 {
        self.front.word().wrapping_add(self.back.ordinal())
    }
}

/// The future as a task of the agent has it.
pub(crate) fn body(agent: AgentId, future: impl Future<Output = ()> + 'static) -> TaskFuture {
    Box::pin(Touchable { front: agent, future, back: agent })
}

/// The same for a future that lies in one cache line, or nearly.
pub(crate) fn small_body(agent: AgentId, future: impl Future<Output = ()> + 'static) -> TaskFuture {
    Box::pin(Touchable { front: (), future, back: agent })
}

/// So many tasks that their futures are out of the cache when their turn comes.
const MANY: usize = 1 << 12;
/// As many loads as a processor has under way at once.
const TOGETHER: usize = 16;

/// What a task runs.
pub(crate) enum Work {
    Future(TaskFuture),
    /// An entry in the periodic methods of a class; or nothing.
    Period {
        class: u16,
        number: u32,
    },
}

const _: () = assert!(size_of::<Work>() == 16, "half a slot");

impl Work {
    /// It is being polled, or there is no task.
    const NONE: Work = Work::Period { class: u16::MAX, number: u32::MAX };

    #[inline]
    fn is_none(&self) -> bool {
        matches!(self, Work::Period { number: u32::MAX, .. })
    }

    #[inline]
    fn touch(&self) -> u32 {
        match self {
            Work::Future(future) => future.touch(),
            Work::Period { number, .. } => *number,
        }
    }
}

/// A task whose periodic code is to run now.
#[derive(Clone, Copy)]
pub(crate) struct Turn {
    pub(crate) task: u32,
    pub(crate) agent: AgentId,
    /// its entry in the periodic methods of the class
    pub(crate) number: u32,
}

/// Aligned, so that none lies across two cache lines.
#[repr(align(32))]
pub(crate) struct Slot {
    pub(crate) work: Work,
    /// of this task, or of the next one here
    pub(crate) key: TaskKey,
    pub(crate) agent: AgentId,
    /// index into the labels
    label: u16,
    pub(crate) queued: bool,
    pub(crate) alive: bool,
}

pub(crate) struct Tasks {
    kernel: u16,
    pub(crate) slots: Vec<Slot>,
    /// the call each task answers; apart from the slots, since nobody looks at it while all is well
    serves: Vec<CallRef>,
    labels: Vec<Label>,
    free: Vec<u32>,
    alive: usize,
}

impl Tasks {
    pub(crate) fn new(kernel: u16) -> Self {
        Tasks {
            kernel,
            slots: Vec::new(),
            serves: Vec::new(),
            labels: Vec::new(),
            free: Vec::new(),
            alive: 0,
        }
    }

    /// A new slot, alive and without a future; `None` when 2^28 tasks are alive. So many `agents` are there, and each may
    /// have a task: where room is made, it is for them all.
    pub(crate) fn add(
        &mut self,
        agent: AgentId,
        label: Label,
        serves: CallRef,
        agents: usize,
    ) -> Option<u32> {
        let label = self.number(label);
        let task = match self.free.pop() {
            Some(task) => task,
            None if self.slots.len() < crate::waker::MAX_TASKS => {
                let task = self.slots.len() as u32;
                if self.slots.len() == self.slots.capacity() {
                    // what is aligned beyond words cannot grow in place, and leaves holes
                    self.slots.reserve(agents.saturating_sub(self.slots.len()).max(1));
                }
                let key = TaskKey::new(self.kernel, 0, task);
                self.slots.push(Slot { work: Work::NONE, key, agent, label, queued: false, alive: false });
                self.serves.push(CallRef::NONE);
                task
            }
            None => return None,
        };
        let slot = &mut self.slots[task as usize];
        (slot.agent, slot.label, slot.alive, slot.queued) = (agent, label, true, false);
        self.serves[task as usize] = serves;
        self.alive += 1;
        Some(task)
    }

    /// The number of a label: a program has few of them, and mostly asks for the same one again.
    fn number(&mut self, label: Label) -> u16 {
        let known = self.labels.iter().rposition(|known| std::ptr::eq(*known, label));
        let number = known.unwrap_or_else(|| {
            self.labels.push(label);
            self.labels.len() - 1
        });
        u16::try_from(number).unwrap_or(0)
    }

    pub(crate) fn label(&self, task: u32) -> Label {
        self.labels[usize::from(self.slots[task as usize].label)]
    }

    pub(crate) fn serves(&self, task: u32) -> CallRef {
        self.serves[task as usize]
    }

    /// Ends a task; what it runs, if that is here, is the caller's to drop outside any borrow.
    pub(crate) fn end(&mut self, task: u32) -> Work {
        let slot = &mut self.slots[task as usize];
        if !slot.alive {
            return Work::NONE;
        }
        slot.alive = false;
        slot.key = slot.key.next();
        self.serves[task as usize] = CallRef::NONE;
        if !slot.queued {
            self.free.push(task);
        }
        self.alive -= 1;
        std::mem::replace(&mut slot.work, Work::NONE)
    }

    /// Fetches the tasks with these numbers together, as far as there are such: one by one each would be waited for when its
    /// timer fires.
    pub(crate) fn fetch(&self, near: impl Iterator<Item = u32> + Clone) {
        let slots = || near.clone().filter_map(|waiter| self.slots.get(waiter as usize));
        let sum = slots().fold(0, |sum: u32, slot| sum.wrapping_add(slot.key.task()));
        std::hint::black_box(slots().fold(sum, |sum, slot| sum.wrapping_add(slot.work.touch())));
    }

    pub(crate) fn alive(&self) -> usize {
        self.alive
    }

    /// The agent's tasks that answer calls.
    pub(crate) fn answering(&self, agent: AgentId) -> impl Iterator<Item = u32> {
        let answers = move |(task, slot): &(usize, &Slot)| {
            slot.alive && slot.agent == agent && !self.serves[*task].is_none()
        };
        self.slots.iter().enumerate().filter(answers).map(|(task, _)| task as u32)
    }

    pub(crate) fn of_agent(&self, agent: AgentId) -> Vec<u32> {
        let of_agent = |(_, slot): &(usize, &Slot)| slot.alive && slot.agent == agent;
        self.slots.iter().enumerate().filter(of_agent).map(|(task, _)| task as u32).collect()
    }

    pub(crate) fn all(&self) -> Vec<u32> {
        let alive = |(_, slot): &(usize, &Slot)| slot.alive;
        self.slots.iter().enumerate().filter(alive).map(|(task, _)| task as u32).collect()
    }
}

impl Core {
    /// A task that runs from the next round on.
    pub(crate) fn spawn(&self, agent: AgentId, label: Label, future: TaskFuture) -> Option<TaskKey> {
        let task = self.new_task(agent, label, CallRef::NONE)?;
        let mut tasks = self.tasks.borrow_mut();
        let slot = &mut tasks.slots[task as usize];
        slot.work = Work::Future(future);
        slot.queued = true;
        let key = slot.key;
        drop(tasks);
        self.enqueue(task);
        Some(key)
    }

    pub(crate) fn new_task(&self, agent: AgentId, label: Label, serves: CallRef) -> Option<u32> {
        let agents = self.agents.borrow();
        if agents.meta.get(agent.index()).is_none_or(|meta| meta.status == Status::Stopped) {
            return None;
        }
        let task = self.tasks.borrow_mut().add(agent, label, serves, agents.meta.len());
        drop(agents);
        if task.is_none() {
            self.set_fatal(SimError::Limit("a container holds at most 268,435,456 tasks".into()));
        }
        task
    }

    /// Polls a new task at once, in place of the handler that made it; it stays as a task if it has to wait.
    pub(crate) fn first_poll(&self, task: u32, mut future: TaskFuture) {
        let key = self.tasks.borrow().slots[task as usize].key;
        let outer = self.task.replace(task);
        let waker = waker::waker(key);
        let polled =
            catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(&mut Context::from_waker(&waker))));
        self.task.set(outer);
        self.polled(key, future, polled);
    }

    #[inline(always)]
    pub(crate) fn polled(&self, key: TaskKey, future: TaskFuture, polled: std::thread::Result<Poll<()>>) {
        if matches!(polled, Ok(Poll::Pending)) {
            let slot = &mut self.tasks.borrow_mut().slots[key.task() as usize];
            if slot.alive && key == slot.key {
                slot.work = Work::Future(future);
                return;
            }
        }
        self.ended(key, future, polled);
    }

    /// The task has ended, or its agent was stopped while it ran.
    #[inline(never)]
    fn ended(&self, key: TaskKey, future: TaskFuture, polled: std::thread::Result<Poll<()>>) {
        let task = key.task();
        let running = {
            let tasks = self.tasks.borrow();
            let slot = &tasks.slots[task as usize];
            let alive = slot.alive && key == slot.key;
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

    /// Ends a task and drops what it runs.
    pub(crate) fn end_task(&self, task: u32) {
        let (agent, label, work) = {
            let mut tasks = self.tasks.borrow_mut();
            let agent = tasks.slots[task as usize].agent;
            (agent, tasks.label(task), tasks.end(task))
        };
        match work {
            Work::Future(future) => self.drop_as(agent, label, future),
            Work::Period { class, number } => {
                if let Some(class) = self.class(class) {
                    class.end_period(self, number);
                }
            }
        }
    }

    /// Ends a task of somebody's choice, if it is still that one.
    pub(crate) fn cancel_task(&self, key: TaskKey) {
        let ours = self
            .tasks
            .borrow()
            .slots
            .get(key.task() as usize)
            .is_some_and(|slot| slot.alive && key == slot.key && !slot.work.is_none());
        if ours {
            self.end_task(key.task());
        }
    }

    /// Polls the tasks of a round, in this order. A future that is out of the cache takes longer to come than to run, so
    /// of many some are fetched at once.
    pub(crate) fn poll_tasks(&self, ready: &[u32]) {
        if ready.len() < 2 || self.tasks.borrow().slots.len() < MANY {
            return self.poll_each(ready);
        }
        for together in ready.chunks(TOGETHER) {
            let tasks = self.tasks.borrow();
            let touched = together.iter().map(|task| tasks.slots[*task as usize].work.touch());
            std::hint::black_box(touched.fold(0, u32::wrapping_add));
            drop(tasks);
            self.poll_each(together);
        }
    }

    fn poll_each(&self, ready: &[u32]) {
        let mut ready = ready.iter();
        while let Some(task) = ready.next() {
            self.poll_task(*task, &mut ready);
        }
    }

    /// Polls a task. Periodic code takes with it what follows of its class: one way to the class and back for all.
    #[inline(always)]
    fn poll_task(&self, task: u32, following: &mut Iter<'_, u32>) {
        let (mut future, key, agent) = {
            let mut tasks = self.tasks.borrow_mut();
            let slot = &mut tasks.slots[task as usize];
            slot.queued = false;
            if !slot.alive {
                // it has ended meanwhile, and its slot was kept for this
                tasks.free.push(task);
                return;
            }
            if !self.locks.borrow().is_empty() && self.is_kept_waiting(slot.agent, task) {
                self.parked.borrow_mut().entry(slot.agent).or_default().push(task);
                return;
            }
            let (key, agent) = (slot.key, slot.agent);
            match &slot.work {
                Work::Period { class, number } => {
                    let (class, number) = (*class, *number);
                    drop(tasks);
                    return self.run_periods(class, Turn { task, agent, number }, following);
                }
                Work::Future(_) => {}
            }
            let Work::Future(future) = std::mem::replace(&mut slot.work, Work::NONE) else { return };
            (future, key, agent)
        };
        self.begin(agent, task, "");
        self.activations.set(self.activations.get() + 1);
        // a waker of ours needs not be dropped
        let waker = ManuallyDrop::new(waker::waker(key));
        let polled =
            catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(&mut Context::from_waker(&waker))));
        self.polled(key, future, polled);
        self.finish();
    }

    /// Runs periodic code in place.
    #[inline(never)]
    fn run_periods(&self, class: u16, first: Turn, following: &mut Iter<'_, u32>) {
        if let Some(class) = self.class(class) {
            class.run_periods(self, first, following);
        }
    }

    /// The next task, if it runs periodic code of this class and nothing speaks against it.
    #[inline]
    pub(crate) fn next_turn(&self, class: u16, ready: &mut Iter<'_, u32>) -> Option<Turn> {
        let task = *ready.as_slice().first()?;
        if !self.locks.borrow().is_empty() {
            return None;
        }
        let slot = &mut self.tasks.borrow_mut().slots[task as usize];
        match slot.work {
            Work::Period { class: own, number } if own == class && slot.alive => {
                slot.queued = false;
                ready.next();
                Some(Turn { task, agent: slot.agent, number })
            }
            _ => None,
        }
    }

    /// Periodic code has panicked.
    #[cold]
    pub(crate) fn panicked(&self, turn: Turn, panic: Box<dyn Any + Send>) {
        if self.running() == AgentId::OUTSIDE {
            // no agent's code: an observer's
            resume_unwind(panic);
        }
        let label = self.task_of(turn.task).1;
        self.fail(turn.agent, label, panic_text(&*panic));
        self.end_task(turn.task);
        self.finish();
    }

    /// Starts periodic code of an agent, from now on.
    pub(crate) fn start_period<A: Actor>(&self, agent: AgentId, label: Label, period: u64, run: Run<A>) {
        let Some(task) = self.new_task(agent, label, CallRef::NONE) else { return };
        let (class, index) = {
            let agents = self.agents.borrow();
            let meta = &agents.meta[agent.index()];
            (meta.class, meta.index)
        };
        let entry =
            self.inbox::<A>(class).and_then(|inbox| inbox.add_period(self, (index, task), period, run));
        match entry {
            Some(number) => {
                self.tasks.borrow_mut().slots[task as usize].work = Work::Period { class, number }
            }
            None => self.end_task(task),
        }
    }

    /// Whether an exclusive method of the agent keeps this task from running.
    pub(crate) fn is_kept_waiting(&self, agent: AgentId, task: u32) -> bool {
        self.locks.borrow().get(&agent).is_some_and(|holder| *holder != task)
    }
}
