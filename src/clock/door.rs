//! The door: how the outside enters a kernel, and how answers leave it.
//!
//! Why one: whatever enters decides what the agents do, so it must be written down once, in the order in which it enters,
//! for a run to be repeated. Requests of peers and notices about their connections are therefore data; a closure is the
//! way in for set-up and tests, and a recording says that it cannot be replayed from there on.
//!
//! | driver | an [`Input`] happens |
//! |--------|----------------------|
//! | [`Wall`](super::Wall) | at (W, round 0) of the next turn, in the order in which it came |
//! | [`Coupled`](super::Coupled) | at once, at (now, next round): the clock stands while the outside speaks |
//! | any, while an agent waits for an external operation | at once, so that a peer may call back before it answers |
//!
//! Contract: a [`Live`] is used from any thread, inside the kernel too; nothing it is given runs before the driver's turn.
//! Every [`Reply`] is used exactly once: with the callee's answer after the turn in which it came, or with an error when
//! the call cannot be made or the run is over: which agent has ended it, if one has. A turn costs nothing for calls that are still open.
//!
//! Failure modes: with 65,536 inputs waiting the next one is refused (`Busy`).

use std::cell::RefCell;
use std::fmt;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};

use futures::Stream;
use futures::stream::FuturesUnordered;
use isochrone_sim::{Kernel, SimError, Time, local};
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;

use crate::agent::{Running, Vtable, find};
use crate::codec::Value;
use crate::rpc::{Args, CallError};

/// Inputs that wait for the next turn.
const CAPACITY: usize = 65_536;

/// Something from outside.
#[derive(Debug)]
#[non_exhaustive]
pub enum Input {
    /// A peer calls an agent.
    Call(Request),
    /// A connection came or went.
    Notice(Notice),
    /// Code that runs inside the kernel, where it may send to agents.
    Enter(Enter),
    /// A question about the kernel whose answer changes nothing in it: no recording needs it.
    Look(Look),
}

/// Code that looks at a kernel, outside of it, and leaves it as it is.
pub struct Look(Box<dyn FnOnce(&Kernel) + Send>);

impl fmt::Debug for Look {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Look(..)")
    }
}

impl Look {
    /// A question that `look` answers.
    pub fn new(look: impl FnOnce(&Kernel) + Send + 'static) -> Self {
        Look(Box::new(look))
    }
}

/// Code that enters; see [`Live::inject`].
pub struct Enter(Box<dyn FnOnce() + Send>);

impl fmt::Debug for Enter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Enter(..)")
    }
}

/// A peer's call of an agent's method.
#[derive(Debug)]
pub struct Request {
    /// The peer, as journals and reports name it.
    pub from: Arc<str>,
    /// Path of the agent below its container, or its number, as aiomas counts.
    pub agent: String,
    /// The method.
    pub method: String,
    /// Its arguments.
    pub args: Args,
    /// Where the answer goes.
    pub reply: Reply,
}

/// What became of a connection.
#[derive(Clone, Debug, PartialEq)]
pub struct Notice {
    /// The peer, or the address that was listened on.
    pub from: Arc<str>,
    /// What happened: `connected`, `closed`, `bound`.
    pub what: String,
    /// More about it.
    pub detail: Value,
}

/// Hears of notices, inside the kernel and at their time: to be [provided](Kernel::provide) by whoever owns connections.
pub struct Notices(Box<dyn Fn(&Notice)>);

impl fmt::Debug for Notices {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Notices(..)")
    }
}

impl Notices {
    /// Calls `hear` for each notice.
    pub fn new(hear: impl Fn(&Notice) + 'static) -> Self {
        Notices(Box::new(hear))
    }
}

type Answer = Result<Value, CallError>;

/// Where the answer to a call goes. One that is dropped says that the run is over; when a run fails, all hear why.
pub struct Reply(Option<Box<dyn FnOnce(Answer) + Send>>);

impl fmt::Debug for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "Reply(..)" } else { "Reply(nobody)" })
    }
}

impl Reply {
    /// Calls `answer`, once, on the driver's thread and outside the kernel; it must not wait.
    pub fn new(answer: impl FnOnce(Answer) + Send + 'static) -> Self {
        Reply(Some(Box::new(answer)))
    }

    /// Nobody waits: the call is a one-way message.
    pub fn nobody() -> Self {
        Reply(None)
    }

    /// Gives the answer.
    pub fn send(mut self, answer: Answer) {
        if let Some(reply) = self.0.take() {
            reply(answer);
        }
    }
}

impl Drop for Reply {
    fn drop(&mut self) {
        if let Some(reply) = self.0.take() {
            reply(Err(CallError::new("Stopped", "the run is over")));
        }
    }
}

/// The way into a run from connections, other threads, and agents' code: it may be cloned and sent.
#[derive(Clone, Debug)]
pub struct Live {
    inputs: mpsc::Sender<Input>,
}

impl Live {
    /// Runs `enter` inside the kernel at its next turn; there it may send to agents. False when the run is over, or too
    /// much waits already.
    ///
    /// A recording of the run cannot be replayed from there on: a [`Request`] can.
    pub fn inject(&self, enter: impl FnOnce() + Send + 'static) -> bool {
        self.send(Input::Enter(Enter(Box::new(enter))))
    }

    /// Lets `input` happen at the next turn. False when it will not: then a call has had its error.
    pub fn send(&self, input: Input) -> bool {
        match self.inputs.try_send(input) {
            Ok(()) => true,
            Err(TrySendError::Full(input)) => {
                if let Input::Call(request) = input {
                    let text = format!("{CAPACITY} inputs wait for the next turn already");
                    request.reply.send(Err(CallError::new("Busy", text)));
                }
                false
            }
            // whose reply says so, being dropped
            Err(TrySendError::Closed(_)) => false,
        }
    }
}

/// A call that waits for its agent.
struct Open {
    number: u64,
    running: Running,
    /// what it ended with already, when it was made
    first: Option<Answer>,
    /// taken when it ends
    reply: Reply,
}

impl Open {
    fn answered(&mut self, answer: Answer) -> Answered {
        let reply = std::mem::replace(&mut self.reply, Reply::nobody());
        Answered { number: self.number, reply, answer }
    }
}

impl Future for Open {
    type Output = Answered;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Answered> {
        let me = &mut *self;
        let answer = match me.first.take() {
            Some(answer) => answer,
            None => ready!(me.running.as_mut().poll(cx)),
        };
        Poll::Ready(me.answered(answer))
    }
}

/// The calls without an answer.
#[derive(Default)]
struct Calls {
    /// those of this turn, most of which end with it
    fresh: Vec<Open>,
    /// those that the kernel wakes later
    open: FuturesUnordered<Open>,
}

impl fmt::Debug for Calls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Calls({} and {})", self.fresh.len(), self.open.len())
    }
}

/// An answer on its way out.
#[derive(Debug)]
pub(crate) struct Answered {
    /// The number of the input that it answers.
    pub(crate) number: u64,
    pub(crate) reply: Reply,
    pub(crate) answer: Answer,
}

/// The driver's side.
#[derive(Debug)]
pub(crate) struct Door {
    live: Live,
    inputs: mpsc::Receiver<Input>,
    /// one that has woken the driver, and happens at its next turn
    kept: Option<Input>,
    calls: Rc<RefCell<Calls>>,
}

impl Default for Door {
    fn default() -> Self {
        let (sender, inputs) = mpsc::channel(CAPACITY);
        Door { live: Live { inputs: sender }, inputs, kept: None, calls: Rc::default() }
    }
}

impl Door {
    pub(crate) fn live(&self) -> &Live {
        &self.live
    }

    /// The next input; waits for one.
    pub(crate) async fn recv(&mut self) -> Input {
        if let Some(kept) = self.kept.take() {
            return kept;
        }
        match self.inputs.recv().await {
            Some(input) => input,
            None => std::future::pending().await,
        }
    }

    /// An input that has come already.
    pub(crate) fn try_recv(&mut self) -> Option<Input> {
        self.kept.take().or_else(|| self.inputs.try_recv().ok())
    }

    /// Puts back the input that was received last.
    pub(crate) fn keep(&mut self, input: Input) {
        self.kept = Some(input);
    }

    /// Lets input `number` happen at `at`, behind those that were admitted for this time before.
    pub(crate) fn admit(
        &mut self,
        kernel: &Kernel,
        at: Time,
        number: u64,
        input: Input,
    ) -> Result<(), SimError> {
        match input {
            Input::Enter(Enter(enter)) => kernel.inject_with(at, enter),
            Input::Look(Look(look)) => {
                look(kernel);
                Ok(())
            }
            Input::Notice(notice) => kernel.inject_with(at, move || {
                if let Some(notices) = local::shared::<Notices>() {
                    (notices.0)(&notice);
                }
            }),
            Input::Call(request) => {
                let calls = self.calls.clone();
                kernel.inject_with(at, move || call(request, number, &calls))
            }
        }
    }

    /// The answers that have come since the last call: of this turn's calls as these came, then those of earlier ones as
    /// they came themselves.
    pub(crate) fn answers(&mut self, kernel: &Kernel) -> Vec<Answered> {
        let mut answers = Vec::new();
        let Calls { fresh, open } = &mut *self.calls.borrow_mut();
        if fresh.is_empty() && open.is_empty() {
            return answers;
        }
        // nobody is to be woken: the driver looks here after each turn
        let cx = &mut Context::from_waker(Waker::noop());
        kernel.enter(|| {
            for mut call in fresh.drain(..) {
                match Pin::new(&mut call).poll(cx) {
                    Poll::Ready(answered) => answers.push(answered),
                    Poll::Pending => open.push(call),
                }
            }
            // only those are polled that are new here, or that the kernel has woken
            while let Poll::Ready(Some(answered)) = Pin::new(&mut *open).poll_next(cx) {
                answers.push(answered);
            }
        });
        answers
    }

    /// Ends all calls of a run that has failed, in the order in which they came: with their answers, if there are any, or
    /// with `error`. Those that wait for their turn hear it at once.
    #[cold]
    pub(crate) fn fail(&mut self, kernel: &Kernel, error: &CallError) -> Vec<Answered> {
        let mut ended = self.answers(kernel);
        for answered in &mut ended {
            // that its agent gave it up says less than why
            if answered.answer.as_ref().is_err_and(|error| error.kind() == "Abandoned") {
                answered.answer = Err(error.clone());
            }
        }
        let open = std::mem::take(&mut self.calls.borrow_mut().open);
        kernel.enter(|| ended.extend(open.into_iter().map(|mut call| call.answered(Err(error.clone())))));
        ended.sort_by_key(|answered| answered.number);
        while let Some(input) = self.try_recv() {
            if let Input::Call(request) = input {
                request.reply.send(Err(error.clone()));
            }
        }
        ended
    }
}

/// Makes a call, inside the kernel.
fn call(request: Request, number: u64, calls: &RefCell<Calls>) {
    let Request { agent, method, args, reply, .. } = request;
    let found =
        find(&agent).and_then(|id| Some((id, local::facet(id)?.downcast_ref::<Vtable>()?))).ok_or_else(
            || CallError::new("LookupError", format!("no agent {agent:?} is in {}", local::container())),
        );
    let running = found.map(|(id, vtable)| (vtable.ask)(id, &method, args));
    // sent at its first poll, which must be now: whatever else is ready is found after the turn
    let mut running = match running {
        Ok(running) => running,
        Err(error) => {
            if reply.0.is_none() {
                local::dead_letter(|| format!("`{method}` to {agent}: {error}"));
            }
            Box::pin(std::future::ready(Err(error)))
        }
    };
    let first = match running.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(answer) => Some(answer),
        Poll::Pending => None,
    };
    calls.borrow_mut().fresh.push(Open { number, running, first, reply });
}
