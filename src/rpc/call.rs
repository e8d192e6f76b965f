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
use std::task::{Context, Poll};
use std::time::Duration;

use pin_project::pin_project;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{Args, CallError, Remote, Request, context};
use crate::channel::{ChannelError, Waiting};
use crate::codec::{Value, from_value, to_value};

/// What a call can carry: [`Args`], or a typed proxy's [`Positional`].
pub trait Arguments {
    /// The arguments as values.
    ///
    /// # Errors
    /// One cannot be serialized.
    fn into_args(self) -> Result<Args, CallError>;
}

impl Arguments for Args {
    fn into_args(self) -> Result<Args, CallError> {
        Ok(self)
    }
}

/// Typed arguments by position: a tuple, or `[(); 0]` for none.
#[derive(Debug, Clone, Copy)]
pub struct Positional<T>(pub T);

impl<T: Serialize> Arguments for Positional<T> {
    fn into_args(self) -> Result<Args, CallError> {
        match to_value(&self.0) {
            Ok(Value::List(positional)) => Ok(Args::new(positional, Vec::new())),
            Ok(other) => Err(CallError::type_error(format!("arguments are a list, not {other}"))),
            Err(error) => Err(CallError::type_error(format!("argument {error}"))),
        }
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
    to: Remote,
    method: Cow<'static, str>,
    state: State<A>,
    result: PhantomData<fn() -> R>,
}

enum State<A> {
    New(A),
    Sent(Waiting),
    Done,
}

impl<R, A> fmt::Debug for Call<R, A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Call({:?} of {:?})", self.method, self.to)
    }
}

impl<R, A> Call<R, A> {
    /// A call of a method of `to`; what typed proxies are made of.
    pub fn new(to: &Remote, method: impl Into<Cow<'static, str>>, args: A) -> Self {
        Call { to: to.clone(), method: method.into(), state: State::New(args), result: PhantomData }
    }

    /// Waits at most `span` of wall time from the first poll on, then gives the call up.
    pub fn timeout(self, span: Duration) -> Timed<Self> {
        Timed { call: self, span, sleep: None }
    }

    /// Expects a result of this type.
    pub fn returning<T>(self) -> Call<T, A> {
        let Call { to, method, state, .. } = self;
        Call { to, method, state, result: PhantomData }
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

    fn with(mut self, add: impl FnOnce(Args) -> Args) -> Self {
        if let State::New(args) = &mut self.state {
            *args = context::within(&self.to.peer().clone(), || add(std::mem::take(args)));
        }
        self
    }
}

impl<R, A: Arguments> Call<R, A> {
    /// Sends it one-way: nobody waits, and whatever comes back is dropped.
    ///
    /// # Errors
    /// It cannot be sent.
    pub fn send(self) -> Result<(), CallError> {
        let Call { to, method, state, .. } = self;
        if let State::New(args) = state {
            transmit(&to, &method, args)?.detach();
        }
        Ok(())
    }
}

fn transmit(to: &Remote, method: &str, args: impl Arguments) -> Result<Waiting, CallError> {
    let args = context::within(to.peer(), || args.into_args())?;
    let content = Request::new(to.join(method), args).into_content()?;
    to.peer().link().send(&content).map_err(|error| match error {
        ChannelError::Closed { .. } => CallError::disconnected(error.to_string()),
        ChannelError::TooManyRequests { .. } => CallError::busy(error.to_string()),
        other => CallError::type_error(format!("{method}() {other}")),
    })
}

impl<R: DeserializeOwned, A: Arguments + Unpin> Future for Call<R, A> {
    type Output = Result<R, CallError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let me = self.get_mut();
        if let State::New(_) = me.state
            && let State::New(args) = std::mem::replace(&mut me.state, State::Done)
        {
            me.state = State::Sent(transmit(&me.to, &me.method, args)?);
        }
        let State::Sent(waiting) = &mut me.state else {
            return Poll::Ready(Err(CallError::new("Internal", "a call was awaited again after its end")));
        };
        Pin::new(waiting).poll(cx).map(|answer| {
            me.state = State::Done;
            let value = answer.map_err(CallError::from_failure)?;
            context::within(me.to.peer(), || from_value(value)).map_err(|error| {
                CallError::type_error(format!("{}() returned something else: {error}", me.method))
            })
        })
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
