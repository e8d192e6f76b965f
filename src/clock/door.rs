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
//! the call cannot be made or the run is over. A turn costs nothing for calls that are still open.
//!
//! Failure modes: with 65,536 inputs waiting the next one is refused (`Busy`).

use std::borrow::Cow;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};

use futures::Stream;
use futures::stream::FuturesUnordered;
use isochrone_sim::{Kernel, SimError, local};

use super::queue::{CAPACITY, Queue, Sender, Sent};
use crate::agent::{Running, Vtable, find};
use crate::codec::Value;
use crate::rpc::{Args, CallError};

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
    pub agent: Arc<str>,
    /// The method.
    pub method: Cow<'static, str>,
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

/// Where the answer to a call goes. One that is dropped says that the run is over.
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
    queue: Sender,
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
        match self.queue.send(input) {
            Sent::Waits => true,
            Sent::Refused(input) => {
                if let Input::Call(request) = input {
                    let text = format!("{CAPACITY} inputs wait for the next turn already");
                    request.reply.send(Err(CallError::new("Busy", text)));
                }
                false
            }
            // whose reply says so, being dropped
            Sent::Dropped => false,
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

impl Future for Open {
    type Output = Answered;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Answered> {
        let me = &mut *self;
        let answer = match me.first.take() {
            Some(answer) => answer,
            None => ready!(me.running.as_mut().poll(cx)),
        };
        let reply = std::mem::replace(&mut me.reply, Reply::nobody());
        Poll::Ready(Answered { number: me.number, reply, answer })
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
#[derive(Debug, Default)]
pub(crate) struct Door {
    queue: Queue,
    calls: Calls,
}

impl Door {
    pub(crate) fn live(&self) -> Live {
        Live { queue: self.queue.sender().clone() }
    }

    /// What has come and is not admitted yet.
    pub(crate) fn queue(&self) -> &Queue {
        &self.queue
    }

    /// Lets input `number` happen now, behind those that were admitted before.
    pub(crate) fn admit(&mut self, kernel: &Kernel, number: u64, input: Input) -> Result<(), SimError> {
        match input {
            Input::Enter(Enter(enter)) => kernel.admit(enter),
            Input::Look(Look(look)) => {
                look(kernel);
                Ok(())
            }
            Input::Notice(notice) => kernel.admit(|| {
                if let Some(notices) = local::shared::<Notices>() {
                    (notices.0)(&notice);
                }
            }),
            Input::Call(request) => kernel.admit(|| self.calls.fresh.push(call(request, number))),
        }
    }

    /// The answers that have come since the last call: of this turn's calls as these came, then those of earlier ones as
    /// they came themselves.
    pub(crate) fn answers(&mut self, kernel: &Kernel, answers: &mut Vec<Answered>) {
        let Calls { fresh, open } = &mut self.calls;
        if fresh.is_empty() && open.is_empty() {
            return;
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
    }
}

/// Makes a call, inside the kernel.
fn call(request: Request, number: u64) -> Open {
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
    Open { number, running, first, reply }
}
