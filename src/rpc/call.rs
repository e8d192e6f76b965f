//! One call over a connection.
//!
//! Contract: a named future that does nothing until it is polled or [sent](Call::send). Dropping it later gives the call
//! up: the callee runs on, and its reply is ignored and counted. (An aiomas caller does not survive a reply to a request
//! that it gave up; ours does.)

use std::borrow::Cow;
use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use pin_project::pin_project;
use serde::de::DeserializeOwned;
use serde::{Serialize, Serializer};

use super::{Args, CallError, Peer, Remote, context};
use crate::channel::{Answer, ChannelError, Failure, Ticket};
use crate::codec::Value;

/// What a call can carry: [`Args`], or a typed proxy's [`Positional`].
pub trait Arguments {
    /// The arguments by position: serializes as a list.
    type List: Serialize + ?Sized;

    /// Whether they can be sent.
    ///
    /// # Errors
    /// One could not be serialized when it was added.
    fn check(&self) -> Result<(), CallError>;

    /// Those by position.
    fn list(&self) -> &Self::List;

    /// Those by name.
    fn keyword(&self) -> &[(String, Value)];
}

impl Arguments for Args {
    type List = [Value];

    fn check(&self) -> Result<(), CallError> {
        Args::check(self)
    }

    fn list(&self) -> &[Value] {
        &self.positional
    }

    fn keyword(&self) -> &[(String, Value)] {
        &self.keyword
    }
}

/// Typed arguments by position: a tuple, or `[(); 0]` for none.
#[derive(Debug, Clone, Copy)]
pub struct Positional<T>(pub T);

impl<T: Serialize> Arguments for Positional<T> {
    type List = T;

    fn check(&self) -> Result<(), CallError> {
        Ok(())
    }

    fn list(&self) -> &T {
        &self.0
    }

    fn keyword(&self) -> &[(String, Value)] {
        &[]
    }
}

/// Serializes as a dict.
struct Keyword<'a>(&'a [(String, Value)]);

impl Serialize for Keyword<'_> {
    #[inline]
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, value)| (name, value)))
    }
}

/// A request to a peer that ends with an `R`, or with a [`CallError`].
///
/// ```no_run
/// # async fn example(client: isochrone::rpc::Client) -> Result<(), isochrone::rpc::CallError> {
/// let sum: i64 = client.call("add").arg(1).kwarg("b", 2).returning().await?;
/// # Ok(())
/// # }
/// ```
#[must_use = "a call does nothing until it is awaited: add `.await`, or `.send()` for one-way"]
pub struct Call<R = Value, A = Args> {
    flight: Flight,
    method: Cow<'static, str>,
    /// Until it is sent.
    args: Option<A>,
    result: PhantomData<fn() -> R>,
}

/// A request that is given up when this is dropped.
struct Flight {
    to: Remote,
    ticket: Option<Ticket>,
}

impl Drop for Flight {
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket.take() {
            self.to.peer().link().forget(ticket);
        }
    }
}

impl<R, A> fmt::Debug for Call<R, A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Call({:?} of {:?})", self.method, self.flight.to)
    }
}

impl<R, A> Call<R, A> {
    /// A call of a method of `to`; what typed proxies are made of.
    #[inline]
    pub fn new(to: &Remote, method: impl Into<Cow<'static, str>>, args: A) -> Self {
        let flight = Flight { to: to.clone(), ticket: None };
        Call { flight, method: method.into(), args: Some(args), result: PhantomData }
    }

    /// Waits at most `span` of wall time from the first poll on, then gives the call up.
    pub fn timeout(self, span: Duration) -> Timed<Self> {
        Timed { call: self, span, sleep: None }
    }

    /// Expects a result of this type.
    pub fn returning<T>(self) -> Call<T, A> {
        let Call { flight, method, args, .. } = self;
        Call { flight, method, args, result: PhantomData }
    }
}

impl<R> Call<R, Args> {
    /// Adds an argument by position.
    pub fn arg(self, value: impl Serialize) -> Self {
        self.with(|args| args.arg(value))
    }

    /// Adds an argument by name.
    pub fn kwarg(self, name: &str, value: impl Serialize) -> Self {
        self.with(|args| args.kwarg(name, value))
    }

    /// Adds arguments that are values already.
    pub fn args(self, more: Args) -> Self {
        self.with(|args| args.and(more))
    }

    fn with(mut self, add: impl FnOnce(Args) -> Args) -> Self {
        if let Some(args) = &mut self.args {
            *args = context::within(self.flight.to.peer(), || add(std::mem::take(args)));
        }
        self
    }
}

impl<R, A: Arguments> Call<R, A> {
    /// Sends it one-way: nobody waits, and whatever comes back is dropped.
    ///
    /// # Errors
    /// It cannot be sent.
    pub fn send(mut self) -> Result<(), CallError> {
        match self.args.take() {
            Some(args) => self.transmit(&args, None),
            None => Ok(()),
        }
    }

    #[inline]
    fn transmit(&mut self, args: &A, waker: Option<&Waker>) -> Result<(), CallError> {
        args.check()?;
        let Flight { to, ticket } = &mut self.flight;
        let path = to.join(&self.method);
        let content = (&*path, args.list(), Keyword(args.keyword()));
        match context::within(to.peer(), || to.peer().link().request(&content, waker)) {
            Ok(sent) => {
                *ticket = Some(sent);
                Ok(())
            }
            Err(error) => Err(not_sent(&path, &error)),
        }
    }
}

#[cold]
fn not_sent(path: &str, error: &ChannelError) -> CallError {
    match error {
        ChannelError::Closed { .. } => CallError::disconnected(error.to_string()),
        ChannelError::TooManyRequests { .. } => CallError::busy(error.to_string()),
        other => CallError::type_error(format!("{path}() {other}")),
    }
}

impl<R: DeserializeOwned, A: Arguments + Unpin> Future for Call<R, A> {
    type Output = Result<R, CallError>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let me = self.get_mut();
        if let Some(args) = me.args.take() {
            me.transmit(&args, Some(cx.waker()))?;
            return Poll::Pending;
        }
        let Flight { to, ticket } = &mut me.flight;
        let Some(waiting) = ticket else {
            return Poll::Ready(Err(CallError::new("Internal", "a call was awaited again after its end")));
        };
        let answer = ready!(to.peer().link().poll(waiting, cx));
        *ticket = None;
        Poll::Ready(result(to.peer(), &me.method, &answer))
    }
}

#[inline]
fn result<R: DeserializeOwned>(peer: &Peer, method: &str, answer: &Answer) -> Result<R, CallError> {
    let config = peer.link().core().config();
    match answer {
        Answer::Reply(content) => context::within(peer, || content.raw(config).read())
            .map_err(|error| CallError::type_error(format!("{method}() returned something else: {error}"))),
        Answer::Failure(content) => {
            Err(CallError::from_failure(Failure::Remote(content.raw(config).value())))
        }
        Answer::Closed(reason) => Err(CallError::disconnected(&**reason)),
    }
}

/// A call that is given up after some wall time, with a `Timeout`.
#[pin_project]
#[derive(Debug)]
#[must_use = "a call does nothing until it is awaited"]
pub struct Timed<C> {
    #[pin]
    call: C,
    span: Duration,
    sleep: Option<Pin<Box<tokio::time::Sleep>>>,
}

impl<R, C: Future<Output = Result<R, CallError>>> Future for Timed<C> {
    type Output = Result<R, CallError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let me = self.project();
        if let Poll::Ready(result) = me.call.poll(cx) {
            return Poll::Ready(result);
        }
        let span = *me.span;
        let sleep = me.sleep.get_or_insert_with(|| Box::pin(tokio::time::sleep(span)));
        sleep.as_mut().poll(cx).map(|()| Err(CallError::timeout(format!("no answer within {span:?}"))))
    }
}
