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

use std::any::Any;
use std::borrow::Cow;
use std::cell::{Cell, RefCell};
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use isochrone_sim::fingerprint::{fold, payload_hash};
use isochrone_sim::random::purpose_of;
use isochrone_sim::{External, ExternalId, ExternalOutcome, Form, Kernel, Order, Sending};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::external::form;
use super::local;
use crate::channel::{Address, Endpoint};
use crate::clock::Sender;
use crate::codec::Value;
use crate::rpc::{Args, CallError};

/// How long a simulated clock waits for an answer, in wall time, if nobody says otherwise.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// What a call ends with.
pub(crate) type Answer = Result<Value, CallError>;

/// Something that takes wall time, on the driver's runtime.
pub(crate) type Work<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// The name of a method.
pub(crate) type Method = Cow<'static, str>;

/// The way to one agent elsewhere.
pub(crate) trait Reach: Send + Sync {
    /// The agent's address, or what stands for it within this program if it has none.
    fn text(&self) -> &str;

    /// What the text adds to fingerprints.
    fn hash(&self) -> u64;

    /// Calls a method.
    fn ask(&self, method: Method, args: Args) -> Work<Answer>;

    /// Calls it without a future, if the agent is in this process; else false, and nothing has been done. The answer ends the
    /// operation of the driver to which `way` leads.
    fn hand_over(&self, call: &Asked, operation: ExternalId, way: &Sender) -> bool {
        let _ = (call, operation, way);
        false
    }

    /// Sends a one-way message; done when the connection has taken it.
    fn post(&self, method: Method, args: Args) -> Work<Result<(), CallError>>;
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

    /// The same, if the container has got another address and all that there is of it is a recording.
    fn moved(&self, announced: &Endpoint) -> Option<Outside> {
        let _ = announced;
        None
    }

    /// Connects, makes sure that the agent is there, and gives what [`far`](Gateway::far) knows it by.
    fn connect(&self, address: Address, patience: Duration) -> Work<Result<String, CallError>>;
}

impl Outside {
    pub(crate) fn here() -> Option<Rc<dyn Gateway>> {
        local::shared::<Outside>().map(|outside| outside.0.clone())
    }

    /// A recorded run has got this address: so its agents say from now on.
    pub(crate) fn moves(kernel: &Kernel, address: &str) {
        let Ok(announced) = address.parse::<Endpoint>() else { return };
        let moved = kernel.enter(Outside::here).and_then(|outside| outside.moved(&announced));
        if let Some(moved) = moved {
            kernel.provide(Rc::new(moved));
        }
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
        let method = Method::from(method.to_string());
        let what = format!("`{method}` to {}", self.text());
        if local::kernel().is_none() {
            if let Ok(runtime) = tokio::runtime::Handle::try_current() {
                runtime.spawn(self.0.post(method, args));
            }
            return;
        }
        let Some(cx) = local::ctx() else {
            return local::dead_letter(|| format!("{what}: only agents send to others elsewhere"));
        };
        let posted = Posted { far: self.clone(), method, args: Cell::new(Some(args)) };
        let operation = cx.external_of(Rc::new(posted), Duration::ZERO);
        cx.start("send", async move {
            if let Err(error) = operation.await {
                local::dead_letter(|| format!("{what}: {error}"));
            }
        });
    }
}

/// Work on connections, as an operation whose failure is an error.
pub(crate) struct Errand<T> {
    name: String,
    begin: Cell<Option<Begin<T>>>,
}

type Begin<T> = Box<dyn FnOnce() -> Work<Result<T, CallError>>>;

impl<T> Errand<T> {
    pub(crate) fn new(
        name: String,
        begin: impl FnOnce() -> Work<Result<T, CallError>> + 'static,
    ) -> Rc<Self> {
        Rc::new(Errand { name, begin: Cell::new(Some(Box::new(begin))) })
    }
}

impl<T: Serialize + DeserializeOwned + 'static> Order for Errand<T> {
    type Output = Result<T, CallError>;

    fn name(&self) -> String {
        self.name.clone()
    }

    fn refused(&self, why: &str) -> Option<Self::Output> {
        Some(Err(CallError::not_recorded(why)))
    }

    fn form(&self) -> Form<Self::Output> {
        form()
    }

    async fn run(&self) -> Self::Output {
        match self.begin.take() {
            Some(begin) => begin().await,
            None => std::future::pending().await,
        }
    }
}

/// A one-way message to an agent elsewhere, as an operation.
struct Posted {
    far: Far,
    method: Method,
    args: Cell<Option<Args>>,
}

impl Order for Posted {
    type Output = Result<(), CallError>;

    fn name(&self) -> String {
        format!("send `{}` to {}", self.method, self.far.text())
    }

    fn sends(&self, with_content: bool) -> Option<Sending> {
        Some(sending(&self.far, &self.method, &self.args, with_content))
    }

    fn refused(&self, why: &str) -> Option<Self::Output> {
        Some(Err(CallError::not_recorded(why)))
    }

    fn form(&self) -> Form<Self::Output> {
        form()
    }

    async fn run(&self) -> Self::Output {
        match self.args.take() {
            Some(args) => self.far.0.post(self.method.clone(), args).await,
            None => std::future::pending().await,
        }
    }
}

/// A request that is about to leave.
fn sending(far: &Far, method: &Method, args: &Cell<Option<Args>>, with_content: bool) -> Sending {
    let taken = args.take();
    let parts = taken.as_ref().map(|args| (&args.positional, &args.keyword));
    let hash = fold(purpose_of(method), payload_hash(&parts));
    let content = parts.filter(|_| with_content).map(|(positional, keyword)| -> Rc<dyn Any> {
        let keyword = keyword.iter().map(|(name, value)| (Value::from(name.as_str()), value.clone()));
        Rc::new(Value::List(vec![
            Value::from(&**method),
            Value::List(positional.clone()),
            Value::Map(keyword.collect()),
        ]))
    });
    args.set(taken);
    Sending { to: far.text().to_owned(), hash, content }
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

    fn hash(&self) -> u64 {
        purpose_of(&self.0)
    }

    fn ask(&self, _: Method, _: Args) -> Work<Answer> {
        Box::pin(std::future::ready(Err(self.error())))
    }

    fn post(&self, _: Method, _: Args) -> Work<Result<(), CallError>> {
        Box::pin(std::future::ready(Err(self.error())))
    }
}

/// What is asked of an agent elsewhere: an operation that drivers know.
pub(crate) struct Asked {
    far: Far,
    method: Method,
    args: Cell<Option<Args>>,
    /// how long the answer may take, in wall time, and in simulated time only
    patience: Cell<Option<Duration>>,
    latency: Cell<Duration>,
    /// of the call, which ends with it
    state: RefCell<State>,
}

impl Asked {
    pub(crate) fn method(&self) -> &Method {
        &self.method
    }

    pub(crate) fn take_args(&self) -> Args {
        self.args.take().unwrap_or_default()
    }

    /// Calls the agent without a future, if it is in this process; else false.
    pub(crate) fn hand_over(&self, operation: ExternalId, way: &Sender) -> bool {
        // only a future can run out of patience
        self.patience.get().is_none() && self.far.0.hand_over(self, operation, way)
    }
}

/// The outcome of a call.
pub(crate) fn outcome(answer: Answer) -> ExternalOutcome {
    ExternalOutcome::new(answer, form())
}

impl Order for Asked {
    type Output = Answer;

    fn name(&self) -> String {
        ["call `", &self.method, "` of ", self.far.text()].concat()
    }

    fn purpose(&self) -> u64 {
        fold(self.far.0.hash(), purpose_of(&self.method))
    }

    fn question(&self) -> u64 {
        let args = self.args.take();
        let asked = args.as_ref().map_or(0, |args| payload_hash(&(&args.positional, &args.keyword)));
        self.args.set(args);
        fold(self.purpose(), asked)
    }

    fn sends(&self, with_content: bool) -> Option<Sending> {
        Some(sending(&self.far, &self.method, &self.args, with_content))
    }

    fn refused(&self, why: &str) -> Option<Answer> {
        Some(Err(CallError::not_recorded(why)))
    }

    fn form(&self) -> Form<Answer> {
        form()
    }

    async fn run(&self) -> Answer {
        let work = self.far.0.ask(self.method.clone(), self.take_args());
        let Some(patience) = self.patience.get() else { return work.await };
        tokio::time::timeout(patience, work).await.unwrap_or_else(|_| {
            let (name, waited) = (self.name(), isochrone_sim::display_span(patience));
            Err(CallError::timeout(format!("{name}: no answer within {waited} of wall time")))
        })
    }
}

/// A call of an agent elsewhere: one allocation with what is asked.
pub(crate) struct FarCall(Rc<Asked>);

impl Drop for FarCall {
    fn drop(&mut self) {
        // which dropping it ends; what is asked may live on with a driver
        let state = self.0.state.replace(State::Done);
        drop(state);
    }
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
        write!(f, "FarCall({:?} of {})", self.0.method, self.0.far.text())
    }
}

impl FarCall {
    pub(crate) fn new(far: &Far, method: impl Into<Method>, args: Args) -> Self {
        let (far, method, args) = (far.clone(), method.into(), Cell::new(Some(args)));
        let (patience, latency) = (Cell::new(None), Cell::new(Duration::ZERO));
        FarCall(Rc::new(Asked { far, method, args, patience, latency, state: RefCell::new(State::New) }))
    }

    pub(crate) fn method(&self) -> &str {
        &self.0.method
    }

    pub(crate) fn detach(&self, latency: Duration) {
        self.0.latency.set(latency);
    }

    pub(crate) fn send(self) {
        self.0.far.post(&self.0.method, self.0.take_args());
    }

    fn start(&self) -> State {
        let asked = &self.0;
        if local::kernel().is_none() {
            return State::Direct(asked.far.0.ask(asked.method.clone(), asked.take_args()));
        }
        if !local::realtime() {
            asked.patience.set(Some(Outside::here().map_or(PATIENCE, |outside| outside.patience())));
        }
        match local::ctx() {
            Some(cx) => State::External(cx.external_of(asked.clone(), asked.latency.get())),
            None => State::Direct(Box::pin(std::future::ready(Err(CallError::new(
                "RuntimeError",
                format!(
                    "{}: only agents call others elsewhere; wait for it outside of the kernel",
                    asked.name()
                ),
            ))))),
        }
    }
}

impl Future for FarCall {
    type Output = Answer;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Answer> {
        let state = &mut *self.0.state.borrow_mut();
        if let State::New = state {
            *state = self.start();
        }
        let answer = match state {
            State::External(operation) => Pin::new(operation).poll(cx),
            State::Direct(work) => work.as_mut().poll(cx),
            State::New | State::Done => {
                Poll::Ready(Err(CallError::new("RuntimeError", "it was polled again")))
            }
        };
        if answer.is_ready() {
            *state = State::Done;
        }
        answer
    }
}
