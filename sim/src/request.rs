//! Requests to agents: sent one-way, awaited, or asked from outside.
//!
//! Why a named future and no async function: a call can leave the closure that made it, be joined, be given a deadline, or be
//! sent without waiting. It holds its message until it is first polled, then the number of its entry in the table of calls.
//!
//! | message | call | meaning |
//! |---------|------|---------|
//! | some | none | not sent; dropping it does nothing |
//! | none | some | on its way, or answered; dropping it abandons the call, and the reply is counted as late |
//! | none | none | over |

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use crate::agent::AgentId;
use crate::call::{CallRef, CallState, Fault};
use crate::core::Core;
use crate::current;
use crate::fingerprint::{Tag, content};
use crate::mailbox::{Actor, Mail, Ref};
use crate::observe::What;

/// A request to an agent of the same kernel: a named, `'static` future that does nothing until it is polled or sent.
///
/// Dropping it after it was sent abandons the call: the handler runs on, and its reply is counted as late.
#[must_use = "a call does nothing until it is awaited or sent"]
pub struct Call<A: Actor> {
    to: Ref<A>,
    call: CallRef,
    message: Option<A::Msg>,
}

impl<A: Actor> fmt::Debug for Call<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Call({:?})", self.to)
    }
}

impl<A: Actor> Unpin for Call<A> {}

impl<A: Actor> Call<A> {
    #[inline(always)]
    pub(crate) fn new(to: Ref<A>, message: A::Msg) -> Self {
        Call { to, call: CallRef::NONE, message: Some(message) }
    }

    /// Sends it one-way: whatever the handler returns is dropped.
    #[inline(always)]
    pub fn send(mut self) {
        if let Some(message) = self.message.take() {
            let sent = current::try_with(|core| drop(post(core, self.to, message, None)));
            if sent.is_none() {
                crate::core::count_homeless();
            }
        }
    }

    /// Whom it asks.
    pub fn to(&self) -> Ref<A> {
        self.to
    }

    #[inline]
    fn ask(&mut self, message: A::Msg, cx: &mut Context<'_>) -> Poll<Result<A::Reply, Box<Fault>>> {
        let sent = current::try_with(|core| {
            let waiter = core.waiter(cx.waker());
            post(core, self.to, message, Some(waiter)).inspect_err(|_| core.release_waiter(waiter))
        });
        match sent {
            Some(Ok(call)) => {
                self.call = call;
                Poll::Pending
            }
            Some(Err(fault)) => Poll::Ready(Err(fault)),
            None => no_kernel(),
        }
    }

    /// The call is on its way.
    #[cold]
    fn abandon(&mut self) {
        // the value is user code's to drop: not under the thread-local's borrow
        let ours = |core: &Core| (core.id() == self.to.kernel).then(|| drop_call(core, self.to, self.call));
        let value = current::try_with(ours);
        drop(value);
    }
}

impl<A: Actor> Drop for Call<A> {
    #[inline(always)]
    fn drop(&mut self) {
        if !self.call.is_none() {
            self.abandon();
        }
    }
}

impl<A: Actor> Future for Call<A> {
    type Output = Result<A::Reply, Box<Fault>>;

    #[inline]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let me = &mut *self;
        if me.call.is_none() {
            return match me.message.take() {
                Some(message) => me.ask(message, cx),
                None => no_kernel(),
            };
        }
        let ours = |core: &Core| (core.id() == me.to.kernel).then(|| take(core, me.to, me.call, cx));
        let taken = current::try_with(ours).flatten().unwrap_or_else(no_kernel);
        if taken.is_ready() {
            me.call = CallRef::NONE;
        }
        taken
    }
}

#[cold]
fn no_kernel<R>() -> Poll<Result<R, Box<Fault>>> {
    Poll::Ready(Err(Box::new(Fault::NoKernel)))
}

#[cold]
fn busy<A: Actor>(core: &Core, to: AgentId, limit: u32, message: &A::Msg) -> Box<Fault> {
    core.count_dead_letter(|| format!("`{}` to {}: busy", A::label(message), core.path(to)));
    Box::new(Fault::Busy { agent: core.path(to), limit })
}

#[cold]
fn stranger<A: Actor>(core: &Core, to: AgentId, message: &A::Msg) -> Box<Fault> {
    core.count_dead_letter(|| {
        format!("`{}` to agent {} of another container", A::label(message), to.ordinal())
    });
    Box::new(Fault::Unknown(format!("{} of another container", to.ordinal())))
}

/// Sends a message; with a waiter it is a call.
#[inline(always)]
pub(crate) fn post<A: Actor>(
    core: &Core,
    to: Ref<A>,
    message: A::Msg,
    waiter: Option<u32>,
) -> Result<CallRef, Box<Fault>> {
    if to.kernel != core.id() {
        return Err(stranger::<A>(core, to.agent, &message));
    }
    let payload = A::message_hash(&message);
    let from = core.running();
    let sequence = {
        let mut agents = core.agents.borrow_mut();
        let target = &mut agents.meta[to.agent.index()];
        let limit = core.config.mailbox;
        if target.queued >= limit {
            drop(agents);
            return Err(busy::<A>(core, to.agent, limit, &message));
        }
        target.queued += 1;
        if from == AgentId::OUTSIDE {
            core.next_injection()
        } else {
            let me = &mut agents.meta[from.index()];
            let sequence = me.sequence;
            me.sequence += 1;
            let peer = core.key(to.agent).raw();
            me.fingerprint.mix_at(core.instant.get(), Tag::Send, peer, content(payload, sequence));
            sequence
        }
    };
    let hash = content(payload, sequence);
    if core.is_observed() {
        let label = A::label(&message);
        let what = What::Send { to: to.agent, sequence, label, hash };
        core.tell_with(from, what, || A::message_value(&message));
    }
    let call = match waiter {
        None => CallRef::NONE,
        Some(waiter) => {
            let label = A::label(&message);
            let caller = (from, core.running_task());
            core.calls.borrow_mut().open(caller, waiter, (to.agent, label), core.now())
        }
    };
    if let Some(inbox) = core.inbox::<A>(to.class) {
        inbox.push(core, Mail { to: to.agent, from, sequence, hash, call, message });
    }
    Ok(call)
}

/// Takes the reply of a call, or notes who waits for it now.
#[inline]
fn take<A: Actor>(
    core: &Core,
    to: Ref<A>,
    call: CallRef,
    cx: &mut Context<'_>,
) -> Poll<Result<A::Reply, Box<Fault>>> {
    let mut calls = core.calls.borrow_mut();
    match calls.take_answer(call) {
        Some(Ok(value)) => {
            drop(calls);
            match core.inbox::<A>(to.class).and_then(|inbox| inbox.take_value(value)) {
                Some(value) => Poll::Ready(value),
                None => no_kernel(),
            }
        }
        Some(Err(old)) => {
            drop(calls);
            let new = core.renew_waiter(old, cx.waker());
            if new != old {
                let task = core.running_task();
                if let Some(head) = core.calls.borrow_mut().get(call) {
                    (head.waiter, head.task) = (new, task);
                }
            }
            Poll::Pending
        }
        None => no_kernel(),
    }
}

/// The caller lost interest.
#[cold]
fn drop_call<A: Actor>(core: &Core, to: Ref<A>, call: CallRef) -> Option<Result<A::Reply, Box<Fault>>> {
    let mut calls = core.calls.borrow_mut();
    let head = calls.get(call)?;
    let (state, waiter) = (head.state, head.waiter);
    calls.close(call);
    drop(calls);
    match state {
        CallState::Open => {
            core.release_waiter(waiter);
            None
        }
        CallState::Answered(value) => {
            core.with_class::<A, _>(to.class, |inbox| inbox.take_value(value)).flatten()
        }
    }
}

/// A call from outside the container, whose answer the driver fetches by [`Kernel::answer`](crate::Kernel::answer).
pub struct Asked<A: Actor> {
    pub(crate) to: Ref<A>,
    pub(crate) call: Result<CallRef, Box<Fault>>,
}

impl<A: Actor> fmt::Debug for Asked<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Asked({:?})", self.to)
    }
}

/// An answer to a call of a driver, which may take it: see [`local::ask`](crate::local::ask).
#[derive(Debug)]
pub struct Ticket(pub(crate) CallRef);

/// Takes the answer of a call that has one.
pub(crate) fn collect<A: Actor>(
    core: &Core,
    to: Ref<A>,
    Ticket(call): Ticket,
) -> Option<Result<A::Reply, Box<Fault>>> {
    let value = core.calls.borrow_mut().take_answer(call)?.ok()?;
    core.inbox::<A>(to.class)?.take_value(value)
}

/// The answer of a call from outside, once it is there.
pub(crate) fn answer<A: Actor>(core: &Core, asked: &mut Asked<A>) -> Option<Result<A::Reply, Box<Fault>>> {
    let call = match &asked.call {
        Ok(call) => *call,
        Err(fault) => return Some(Err(fault.clone())),
    };
    let mut calls = core.calls.borrow_mut();
    let CallState::Answered(value) = calls.get(call)?.state else { return None };
    calls.close(call);
    drop(calls);
    core.with_class::<A, _>(asked.to.class, |inbox| inbox.take_value(value)).flatten()
}
