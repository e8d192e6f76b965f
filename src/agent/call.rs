//! Requests: typed and untyped, awaited, one-way, with a deadline.
//!
//! Contract: a call is a named, `'static` future that does nothing until it is polled or [sent](Call::send). Dropping it
//! later abandons it: the handler runs on, and its reply is counted as late. A caller cannot see whether its callee is in
//! its container or elsewhere.

use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use isochrone_sim::{Fault, Timeout};
use pin_project::pin_project;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::far::{Far, FarCall};
use super::{Agent, Proxy};
use crate::codec::{Value, from_value};
use crate::rpc::{Args, CallError};

/// How a typed reply is taken out of the agent's replies.
pub type Take<R, A> = fn(<A as isochrone_sim::Actor>::Reply) -> Result<R, CallError>;

/// A request to an agent of type `A` that ends with an `R`, or with a [`CallError`].
#[must_use = "a call does nothing until it is awaited: add `.await`, or `.send()` for one-way"]
pub struct Call<R, A: Agent> {
    way: Way<A>,
    take: Take<R, A>,
}

enum Way<A: Agent> {
    Near(isochrone_sim::Call<A>),
    Far(FarCall),
}

impl<R, A: Agent> fmt::Debug for Call<R, A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.way {
            Way::Near(call) => call.fmt(f),
            Way::Far(call) => call.fmt(f),
        }
    }
}

impl<R, A: Agent> Call<R, A> {
    #[inline(always)]
    pub(crate) fn near(call: isochrone_sim::Call<A>, take: Take<R, A>) -> Self {
        Call { way: Way::Near(call), take }
    }

    #[cold]
    pub(crate) fn far(far: &Far, message: A::Msg, take: Take<R, A>) -> Self {
        let (method, args) = A::request(message);
        Call { way: Way::Far(FarCall::new(far, method, args)), take }
    }

    /// Sends it one-way: nobody waits, and whatever the handler returns is dropped.
    #[inline(always)]
    pub fn send(self) {
        match self.way {
            Way::Near(call) => call.send(),
            Way::Far(call) => send_far(call),
        }
    }

    /// Waits at most `span` from now on. A reply of the very instant of the deadline still counts.
    pub fn timeout(self, span: Duration) -> Deadline<Self> {
        Deadline::new(self, span)
    }

    /// Resumes `latency` later than now if the callee is outside of the simulated world, and lets time go on meanwhile; else
    /// the clock stands until the answer is there. It changes nothing about calls within the world.
    pub fn detached(self, latency: Duration) -> Self {
        if let Way::Far(call) = &self.way {
            call.detach(latency);
        }
        self
    }
}

impl<R, A: Agent> Future for Call<R, A> {
    type Output = Result<R, CallError>;

    #[inline]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let me = &mut *self;
        match &mut me.way {
            Way::Near(call) => match Pin::new(call).poll(cx) {
                Poll::Pending => Poll::Pending,
                Poll::Ready(Ok(reply)) => Poll::Ready((me.take)(reply)),
                Poll::Ready(Err(fault)) => Poll::Ready(Err(from_fault(&fault))),
            },
            Way::Far(call) => poll_far::<R, A>(call, me.take, cx),
        }
    }
}

#[cold]
#[inline(never)]
fn poll_far<R, A: Agent>(
    call: &mut FarCall,
    take: Take<R, A>,
    cx: &mut Context<'_>,
) -> Poll<Result<R, CallError>> {
    Pin::new(&mut *call).poll(cx).map(|answer| take(A::respond(call.method(), answer)))
}

/// Apart, so that the message of a near call goes straight to its mailbox.
#[cold]
#[inline(never)]
fn send_far(call: FarCall) {
    call.send();
}

/// How a call looks to its caller that did not end with the callee's answer.
pub(crate) fn from_fault(fault: &Fault) -> CallError {
    CallError::new(fault.kind(), fault.to_string())
}

/// A call with a deadline.
#[pin_project]
#[derive(Debug)]
#[must_use = "a call does nothing until it is awaited"]
pub struct Deadline<F> {
    #[pin]
    inner: Timeout<F>,
    span: Duration,
}

impl<F: Future> Deadline<F> {
    fn new(call: F, span: Duration) -> Self {
        Deadline { inner: isochrone_sim::timeout(span, call), span }
    }
}

impl<R, F: Future<Output = Result<R, CallError>>> Future for Deadline<F> {
    type Output = Result<R, CallError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let me = self.project();
        me.inner.poll(cx).map(|result| {
            result.unwrap_or_else(|_| {
                let span = isochrone_sim::display_span(*me.span);
                Err(CallError::new("Timeout", format!("no answer within {span}")))
            })
        })
    }
}

/// An untyped request: `proxy.call("negotiate").arg(1.5).kwarg("rounds", 3).await?`.
///
/// Awaiting it gives a [`Value`]; [`returning`](Invocation::returning) gives a type.
#[must_use = "a call does nothing until it is awaited: add `.await`, or `.send()` for one-way"]
pub struct Invocation<R = Value> {
    to: Proxy,
    method: String,
    args: Args,
    latency: Duration,
    running: Option<Running>,
    result: PhantomData<fn() -> R>,
}

pub(crate) type Running = Pin<Box<dyn Future<Output = Result<Value, CallError>>>>;

impl<R> fmt::Debug for Invocation<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Invocation({:?} of {:?})", self.method, self.to)
    }
}

impl Invocation {
    pub(crate) fn new(to: Proxy, method: &str) -> Self {
        let (method, args, latency) = (method.into(), Args::default(), Duration::ZERO);
        Invocation { to, method, args, latency, running: None, result: PhantomData }
    }
}

impl<R> Invocation<R> {
    /// Adds a positional argument.
    pub fn arg(mut self, value: impl Serialize) -> Self {
        self.args = self.args.arg(value);
        self
    }

    /// Adds an argument by name.
    pub fn kwarg(mut self, name: &str, value: impl Serialize) -> Self {
        self.args = self.args.kwarg(name, value);
        self
    }

    /// Adds arguments that are values already.
    pub fn args(mut self, more: Args) -> Self {
        self.args = self.args.and(more);
        self
    }

    /// Expects a result of this type.
    pub fn returning<T: DeserializeOwned>(self) -> Invocation<T> {
        let Invocation { to, method, args, latency, running, .. } = self;
        Invocation { to, method, args, latency, running, result: PhantomData }
    }

    /// As [`Call::detached`].
    pub fn detached(mut self, latency: Duration) -> Self {
        self.latency = latency;
        self
    }

    /// Sends it one-way.
    pub fn send(self) {
        self.to.post(&self.method, self.args);
    }

    /// Waits at most `span` from now on.
    pub fn timeout(self, span: Duration) -> Deadline<Self>
    where
        R: DeserializeOwned,
    {
        Deadline::new(self, span)
    }
}

impl<R: DeserializeOwned> Future for Invocation<R> {
    type Output = Result<R, CallError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let me = &mut *self;
        let running = match &mut me.running {
            Some(running) => running,
            None => me.running.insert(me.to.ask(&me.method, std::mem::take(&mut me.args), me.latency)),
        };
        running.as_mut().poll(cx).map(|result| {
            let value = result?;
            from_value(value).map_err(|error| {
                CallError::new("TypeError", format!("{}() returned something else: {error}", me.method))
            })
        })
    }
}
