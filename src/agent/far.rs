//! Agents elsewhere: in another process, on another machine, in a program of aiomas.
//!
//! Why calls to them are external operations: when an answer comes, and what it is, is no function of the seed. So the
//! order in which agents resume, the waiting of the clock, the recording and the replay are those of
//! [`external`](isochrone_sim::Ctx::external), and a caller cannot see whether its callee was near or far.
//!
//! Contract: this file knows no connections. Whoever has some provides the kernel with an [`Outside`], and every [`Far`]
//! leads to a [`Reach`] that does the calling. A far call begins when it is first polled, with latency 0 unless it is
//! detached. In simulated time it fails when its answer takes more wall time than the container's patience (30 s).
//!
//! Failure modes: a [`CallError`] that names peer, agent and method.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use isochrone_sim::External;

use super::{Externals as _, local};
use crate::channel::{Address, Endpoint};
use crate::codec::Value;
use crate::rpc::{Args, CallError};

/// How long a simulated clock waits for an answer, in wall time, if nobody says otherwise.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// What a call ends with.
pub(crate) type Answer = Result<Value, CallError>;

/// Something that takes wall time, on the driver's runtime.
pub(crate) type Work<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// The way to one agent elsewhere.
pub(crate) trait Reach: Send + Sync {
    /// The agent's address, or what stands for it within this program if it has none.
    fn text(&self) -> &str;

    /// Calls a method.
    fn ask(&self, method: String, args: Args) -> Work<Answer>;

    /// Sends a one-way message; done when the connection has taken it.
    fn post(&self, method: String, args: Args) -> Work<Result<(), CallError>>;
}

/// What connects a kernel to the rest of the world; to be [provided](isochrone_sim::Kernel::provide).
#[derive(Clone)]
pub(crate) struct Outside(pub(crate) Rc<dyn Gateway>);

/// The connections of a container.
pub(crate) trait Gateway {
    /// Where agents of this container are for others.
    fn announced(&self) -> &Endpoint;

    /// Whether agents are announced by their numbers, instead of their names.
    fn numbers(&self) -> bool;

    /// How long a simulated clock waits for an answer, in wall time.
    fn patience(&self) -> Duration;

    /// The way to an agent that `text` stands for: an address, or what a [`Reach`] said.
    fn far(&self, text: &str) -> Result<Far, String>;

    /// Connects, makes sure that the agent is there, and gives what [`far`](Gateway::far) knows it by.
    fn connect(&self, address: Address, patience: Duration) -> Work<Result<String, CallError>>;
}

impl Outside {
    pub(crate) fn here() -> Option<Rc<dyn Gateway>> {
        local::shared::<Outside>().map(|outside| outside.0.clone())
    }
}

/// The address of an agent elsewhere. Clones are the same address.
#[derive(Clone)]
pub struct Far(pub(crate) Arc<dyn Reach>);

impl fmt::Debug for Far {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Far({})", self.text())
    }
}

impl PartialEq for Far {
    fn eq(&self, other: &Self) -> bool {
        self.text() == other.text()
    }
}

impl Eq for Far {}

impl Far {
    /// Where it is: `tcp://host:port/agent`, or what stands for an agent that has no address.
    pub fn text(&self) -> &str {
        self.0.text()
    }

    /// An agent that no connection leads to from here.
    pub(crate) fn unreachable(text: &str) -> Far {
        Far(Arc::new(Unreachable(text.into())))
    }

    /// Sends a one-way message.
    pub(crate) fn post(&self, method: &str, args: Args) {
        let (far, method) = (self.clone(), method.to_string());
        let what = format!("`{method}` to {}", self.text());
        let start = move || far.0.post(method, args);
        if local::kernel().is_none() {
            if let Ok(runtime) = tokio::runtime::Handle::try_current() {
                runtime.spawn(start());
            }
            return;
        }
        let Some(cx) = local::ctx() else {
            return local::dead_letter(|| format!("{what}: only agents send to others elsewhere"));
        };
        let operation = cx.external(&format!("send {what}"), Duration::ZERO, start);
        cx.start("send", async move {
            if let Err(error) = operation.await {
                local::dead_letter(|| format!("{what}: {error}"));
            }
        });
    }
}

/// A container that is not bound knows addresses and can call none of them.
struct Unreachable(Box<str>);

impl Unreachable {
    fn error(&self) -> CallError {
        let text = "this container is not connected to others: bind it to an address first";
        CallError::disconnected(format!("{}: {text}", self.0))
    }
}

impl Reach for Unreachable {
    fn text(&self) -> &str {
        &self.0
    }

    fn ask(&self, _: String, _: Args) -> Work<Answer> {
        Box::pin(std::future::ready(Err(self.error())))
    }

    fn post(&self, _: String, _: Args) -> Work<Result<(), CallError>> {
        Box::pin(std::future::ready(Err(self.error())))
    }
}

/// A call of an agent elsewhere.
pub(crate) struct FarCall {
    far: Far,
    method: String,
    args: Args,
    latency: Duration,
    state: State,
}

enum State {
    New,
    /// by an agent
    External(External<Answer>),
    /// by code that no kernel runs
    Direct(Work<Answer>),
    Done,
}

impl fmt::Debug for FarCall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FarCall({:?} of {})", self.method, self.far.text())
    }
}

impl FarCall {
    pub(crate) fn new(far: &Far, method: &str, args: Args) -> Self {
        FarCall { far: far.clone(), method: method.into(), args, latency: Duration::ZERO, state: State::New }
    }

    pub(crate) fn method(&self) -> &str {
        &self.method
    }

    pub(crate) fn detach(&mut self, latency: Duration) {
        self.latency = latency;
    }

    pub(crate) fn send(self) {
        self.far.post(&self.method, self.args);
    }

    fn start(&mut self) -> State {
        let (far, method, args) = (self.far.clone(), self.method.clone(), std::mem::take(&mut self.args));
        let name = ["call `", &method, "` of ", far.text()].concat();
        if local::kernel().is_none() {
            return State::Direct(far.0.ask(method, args));
        }
        let patience = match local::realtime() {
            true => None,
            false => Some((Outside::here().map_or(PATIENCE, |outside| outside.patience()), name.clone())),
        };
        let patient = move || async move {
            let work = far.0.ask(method, args);
            let Some((patience, told)) = patience else { return work.await };
            tokio::time::timeout(patience, work).await.unwrap_or_else(|_| {
                let waited = isochrone_sim::display_span(patience);
                Err(CallError::timeout(format!("{told}: no answer within {waited} of wall time")))
            })
        };
        match local::ctx() {
            Some(cx) => State::External(cx.external(&name, self.latency, patient)),
            None => State::Direct(Box::pin(std::future::ready(Err(CallError::new(
                "RuntimeError",
                format!("{name}: only agents call others elsewhere; wait for it outside of the kernel"),
            ))))),
        }
    }
}

impl Future for FarCall {
    type Output = Answer;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Answer> {
        let me = &mut *self;
        if let State::New = me.state {
            me.state = me.start();
        }
        let answer = match &mut me.state {
            State::External(operation) => Pin::new(operation).poll(cx),
            State::Direct(work) => work.as_mut().poll(cx),
            State::New | State::Done => {
                Poll::Ready(Err(CallError::new("RuntimeError", "it was polled again")))
            }
        };
        if answer.is_ready() {
            me.state = State::Done;
        }
        answer
    }
}
