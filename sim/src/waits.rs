//! Who waits for whom: cycles of waiting calls, and calls that are still open.
//!
//! Why: law 6, no hang without a name. Only an exclusive method can make a call wait for itself: a call that queues
//! behind it can be one that it needs. So the graph is searched when a call queues behind a lock, backwards from the
//! caller, along these edges:
//!
//! | task T waits for | because |
//! |------------------|---------|
//! | the task that answers its call | it awaits the reply |
//! | the exclusive task of an agent | its call queues behind that agent's lock |
//! | the exclusive task of its own agent | it is not polled before that ends |
//!
//! If the search meets the very task that holds the lock, the call would wait for itself. It is refused with the names
//! of the cycle, before it can hang. A call with a timeout of its own inside the cycle would have ended by itself; it is
//! refused all the same: waiting for oneself is a mistake at any length.

use std::collections::{BTreeSet, VecDeque};

use crate::agent::AgentId;
use crate::call::CallRef;
use crate::core::Core;
use crate::error::Involved;
use crate::time::Time;
use crate::waiter::NO_TASK;

impl Core {
    /// The cycle that the call closes by queueing behind the locked agent `to`, as text, or `None`.
    #[cold]
    pub(crate) fn wait_cycle(&self, call: CallRef, to: AgentId) -> Option<Vec<String>> {
        let holder = *self.locks.borrow().get(&to)?;
        let (first, label) = self.calls.borrow_mut().get(call).map(|head| (head.task, head.label))?;
        // tasks that wait, directly or not, for the caller's task; each with the one it was reached from
        let mut reached: Vec<(u32, Option<usize>)> = vec![(first, None)];
        let mut next = VecDeque::from([0]);
        while let Some(at) = next.pop_front() {
            let task = reached[at].0;
            if task == holder {
                return Some(self.name_cycle(&reached, at, to, label));
            }
            for waiting in self.waiting_for(task) {
                if waiting != NO_TASK && !reached.iter().any(|(known, _)| *known == waiting) {
                    reached.push((waiting, Some(at)));
                    next.push_back(reached.len() - 1);
                }
            }
        }
        None
    }

    fn waiting_for(&self, task: u32) -> Vec<u32> {
        let (serves, agent) = {
            let tasks = self.tasks.borrow();
            match tasks.slots.get(task as usize) {
                Some(slot) if slot.alive => (tasks.serves(task), slot.agent),
                _ => return Vec::new(),
            }
        };
        let caller = self.calls.borrow_mut().get(serves).map(|head| head.task);
        let mut waiting: Vec<u32> = caller.into_iter().collect();
        if self.locks.borrow().get(&agent) == Some(&task)
            && let Some((class, index)) = self.class_of(agent)
        {
            waiting.extend(class.queued_callers(self, index));
            // nobody waits for those that answer no call
            waiting.extend(self.tasks.borrow().answering(agent).filter(|other| *other != task));
        }
        waiting
    }

    /// `a.bid -> b.flexibility -> a.set`: from the holder of the lock to the call that would wait for it.
    fn name_cycle(
        &self,
        reached: &[(u32, Option<usize>)],
        end: usize,
        to: AgentId,
        label: &str,
    ) -> Vec<String> {
        let mut names = Vec::new();
        let mut at = Some(end);
        while let Some(index) = at {
            let (task, from) = reached[index];
            if task != NO_TASK {
                let (agent, label) = self.task_of(task);
                names.push(format!("{}.{label}", self.path(agent)));
            }
            at = from;
        }
        names.push(format!("{}.{label}", self.path(to)));
        names
    }

    /// Tasks that wait for nothing the kernel knows of.
    pub(crate) fn stray_tasks(&self) -> Vec<Involved> {
        let mut awaited: BTreeSet<u32> = BTreeSet::new();
        let waiters = |waiters: &[u32], awaited: &mut BTreeSet<u32>| {
            awaited.extend(waiters.iter().filter_map(|waiter| self.task_behind(*waiter)));
        };
        let timers: Vec<u32> = self.timers.borrow().live_payloads().map(|(_, payload)| payload).collect();
        waiters(&timers, &mut awaited);
        let deadlines: Vec<u32> =
            self.deadlines.borrow().live_payloads().map(|(_, payload)| payload).collect();
        waiters(&deadlines, &mut awaited);
        awaited.extend(self.beats.borrow().waiting());
        let calls: Vec<u32> = self.calls.borrow().unanswered().iter().map(|head| head.waiter).collect();
        waiters(&calls, &mut awaited);
        let externals = self.externals.borrow().waiters();
        waiters(&externals, &mut awaited);
        waiters(self.settled.borrow().waiters(), &mut awaited);
        waiters(self.soon.borrow().waiters(), &mut awaited);
        let parked: Vec<u32> = self.parked.borrow().values().flatten().copied().collect();
        waiters(&parked, &mut awaited);
        let ready: Vec<u32> = self.ready.borrow().clone();
        waiters(&ready, &mut awaited);
        let tasks = self.tasks.borrow().all();
        let strays = tasks.into_iter().filter(|task| !awaited.contains(task)).map(|task| {
            let (agent, label) = self.task_of(task);
            let what = format!(
                "has task `{label}` waiting for no message, timer or external operation: if it waits for something \
                 outside the simulation, it needs `cx.external(..)`"
            );
            Involved { agent: self.path(agent), what }
        });
        strays.collect()
    }

    /// Calls without a reply: the caller, and what it waits for since when.
    pub(crate) fn open_calls(&self) -> Vec<Involved> {
        self.calls_since(Time::MAX)
    }

    /// The calls that were open at `since` already.
    pub(crate) fn calls_since(&self, since: Time) -> Vec<Involved> {
        let calls = self.calls.borrow();
        let open = calls.unanswered().into_iter().filter(|head| head.since <= since);
        open.map(|head| Involved {
            agent: if head.caller == AgentId::OUTSIDE {
                "a caller outside".into()
            } else {
                self.path(head.caller)
            },
            what: format!("waits for `{}` of {} since {}", head.label, self.path(head.callee), head.since),
        })
        .collect()
    }
}
