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
//! the call cannot be made or the run is over: which agent has ended it, if one has. A turn costs nothing for calls that are
//! still open.
//!
//! Failure modes: with 65,536 inputs waiting the next one is refused (`Busy`).

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll};

use isochrone_sim::{AgentId, ExternalId, Kernel, SimError, local};

use super::queue::{CAPACITY, Near, Queue, Sender, Sent, Waiting};
use crate::agent::{Vtable, find};
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
    /// The method.
    pub method: Cow<'static, str>,
    /// Its arguments.
    pub args: Args,
    /// Who calls whom, and where the answer goes.
    pub reply: Reply,
}

/// Who calls whom: the same for all calls from one place to one agent.
pub struct Route {
    /// The peer, as journals and reports name it.
    pub from: Arc<str>,
    /// Path of the agent below its container, or its number, as aiomas counts.
    pub agent: Box<str>,
    back: Option<Box<dyn Back>>,
}

impl fmt::Debug for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Route({} to {})", self.from, self.agent)
    }
}

impl Route {
    /// A route from a peer to an agent.
    pub fn new(from: impl Into<Arc<str>>, agent: impl Into<Box<str>>) -> Arc<Self> {
        Arc::new(Route { from: from.into(), agent: agent.into(), back: None })
    }

    /// A route on which answers go back to a driver of this process.
    pub(crate) fn both_ways(
        from: impl Into<Arc<str>>,
        agent: impl Into<Box<str>>,
        back: impl Back + 'static,
    ) -> Arc<Self> {
        Arc::new(Route { from: from.into(), agent: agent.into(), back: Some(Box::new(back)) })
    }
}

/// The way back to a driver of this process.
pub(crate) trait Back: Send + Sync {
    /// A call has ended, which is an operation of that driver.
    fn answer(&self, operation: ExternalId, answer: Answer);
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
pub struct Reply {
    route: Arc<Route>,
    to: To,
}

enum To {
    Nobody,
    Told(Box<dyn FnOnce(Answer) + Send>),
    /// back on the route
    Operation(ExternalId),
}

impl fmt::Debug for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let to = if self.is_nobody() { "nobody" } else { "who asked" };
        write!(f, "Reply({:?}, to {to})", self.route)
    }
}

impl Reply {
    /// Calls `answer`, once, on the driver's thread and outside the kernel; it must not wait.
    pub fn new(route: Arc<Route>, answer: impl FnOnce(Answer) + Send + 'static) -> Self {
        Reply { route, to: To::Told(Box::new(answer)) }
    }

    /// Nobody waits: the call is a one-way message.
    pub fn nobody(route: Arc<Route>) -> Self {
        Reply { route, to: To::Nobody }
    }

    /// Ends an operation of the driver from which the route comes.
    pub(crate) fn back(route: Arc<Route>, operation: ExternalId) -> Self {
        Reply { route, to: To::Operation(operation) }
    }

    /// Who calls whom.
    pub fn route(&self) -> &Route {
        &self.route
    }

    fn is_nobody(&self) -> bool {
        matches!(self.to, To::Nobody)
    }

    /// Gives the answer.
    pub fn send(mut self, answer: Answer) {
        self.give(|| answer);
    }

    fn give(&mut self, answer: impl FnOnce() -> Answer) {
        match std::mem::replace(&mut self.to, To::Nobody) {
            To::Nobody => {}
            To::Told(told) => told(answer()),
            To::Operation(operation) => {
                if let Some(back) = &self.route.back {
                    back.answer(operation, answer());
                }
            }
        }
    }
}

impl Drop for Reply {
    fn drop(&mut self) {
        self.give(|| Err(CallError::new("Stopped", "the run is over")));
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

    /// Whether it leads to whoever takes things from there.
    pub(crate) fn leads_to(&self, way: &Sender) -> bool {
        self.queue.key() == way.key()
    }

    /// An operation of the run's agents has ended.
    pub(crate) fn finish(&self, operation: ExternalId, answer: Answer) {
        self.queue.finish(operation, answer);
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
#[derive(Debug)]
struct Open {
    number: u64,
    agent: AgentId,
    vtable: &'static Vtable,
    reply: Reply,
}

/// The calls without an answer.
#[derive(Debug, Default)]
struct Calls {
    /// by their places
    open: Vec<Option<Open>>,
    free: Vec<u32>,
    /// those that could not be made
    failed: Vec<Answered>,
    /// of the first call since answers were looked for
    fresh: Option<u64>,
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
    /// what has woken the driver, and happens at its next turn
    came: Waiting,
    calls: Calls,
}

impl Door {
    pub(crate) fn live(&self) -> Live {
        Live { queue: self.queue.sender().clone() }
    }

    /// Where results go.
    pub(crate) fn results(&self) -> &Sender {
        self.queue.sender()
    }

    /// Where other drivers of its thread leave things.
    pub(super) fn near(&self) -> &Near {
        self.queue.near()
    }

    /// The next input.
    pub(crate) fn poll_input(&mut self, cx: &Context<'_>) -> Poll<Input> {
        match self.came.inputs.pop_front() {
            Some(input) => Poll::Ready(input),
            None => self.queue.poll_input(cx),
        }
    }

    /// An input that has come already.
    pub(crate) fn try_input(&mut self) -> Option<Input> {
        self.came.inputs.pop_front().or_else(|| self.queue.try_input())
    }

    /// Something has come: it is kept.
    pub(crate) fn poll_came(&mut self, cx: &Context<'_>) -> Poll<()> {
        if self.came.is_empty() { self.queue.poll_all(cx, &mut self.came) } else { Poll::Ready(()) }
    }

    /// Keeps what has come already; whether there is something.
    pub(crate) fn keep(&mut self) -> bool {
        if self.came.is_empty() {
            self.queue.take(&mut self.came);
        }
        !self.came.is_empty()
    }

    /// The next input that is kept.
    pub(crate) fn kept_input(&mut self) -> Option<Input> {
        self.came.inputs.pop_front()
    }

    /// The next result that is kept.
    pub(crate) fn kept_result(&mut self) -> Option<(ExternalId, Answer)> {
        self.came.results.pop_front()
    }

    /// The next result, or one that is kept.
    pub(crate) fn poll_result(&mut self, cx: &Context<'_>) -> Poll<(ExternalId, Answer)> {
        match self.came.results.pop_front() {
            Some(result) => Poll::Ready(result),
            None => self.queue.poll_result(cx),
        }
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
            Input::Call(request) => kernel.admit(|| self.calls.make(request, number)),
        }
    }

    /// The answers that have come since the last call, behind those that `answers` holds: of this turn's calls as these came,
    /// then those of earlier ones as they came themselves.
    pub(crate) fn answers(&mut self, kernel: &Kernel, answers: &mut Vec<Answered>) {
        let Calls { open, free, failed, fresh } = &mut self.calls;
        if failed.is_empty() && open.len() == free.len() {
            return;
        }
        answers.append(failed);
        kernel.enter(|| {
            while let Some((place, ticket)) = local::answered() {
                free.push(place);
                // it may have heard that the run had failed
                let call = open.get_mut(place as usize).and_then(Option::take);
                let Some(Open { number, agent, vtable, reply }) = call else { continue };
                answers.push(Answered { number, reply, answer: (vtable.answer)(agent, ticket) });
            }
        });
        if let Some(fresh) = fresh.take()
            && answers.len() > 1
        {
            answers.sort_by_key(|answered| match answered.number {
                number if number >= fresh => number,
                _ => u64::MAX,
            });
        }
    }

    /// Ends all calls of a run that has failed, in the order in which they came: with their answers, if there are any, or
    /// with `error`. Those that wait for their turn hear it at once.
    #[cold]
    pub(crate) fn fail(&mut self, kernel: &Kernel, error: &CallError, ended: &mut Vec<Answered>) {
        self.answers(kernel, ended);
        for answered in &mut *ended {
            // that its agent gave it up says less than why
            if answered.answer.as_ref().is_err_and(|error| error.kind() == "Abandoned") {
                answered.answer = Err(error.clone());
            }
        }
        let open = self.calls.open.iter_mut().filter_map(Option::take);
        ended.extend(open.map(|Open { number, reply, .. }| Answered {
            number,
            reply,
            answer: Err(error.clone()),
        }));
        ended.sort_by_key(|answered| answered.number);
        while let Some(input) = self.try_input() {
            if let Input::Call(request) = input {
                request.reply.send(Err(error.clone()));
            }
        }
    }
}

impl Calls {
    /// Makes a call, inside the kernel.
    fn make(&mut self, request: Request, number: u64) {
        let Request { method, args, reply } = request;
        let agent = &*reply.route.agent;
        self.fresh.get_or_insert(number);
        let found =
            find(agent).and_then(|id| Some((id, local::facet(id)?.downcast_ref::<Vtable>()?))).ok_or_else(
                || CallError::new("LookupError", format!("no agent {agent:?} is in {}", local::container())),
            );
        let place = self.free.pop().unwrap_or_else(|| {
            self.open.push(None);
            self.open.len() as u32 - 1
        });
        let made =
            found.and_then(|(id, vtable)| (vtable.enter)(id, &method, args, place).map(|()| (id, vtable)));
        match made {
            Ok((agent, vtable)) => self.open[place as usize] = Some(Open { number, agent, vtable, reply }),
            Err(error) => {
                if reply.is_nobody() {
                    local::dead_letter(|| format!("`{method}` to {agent}: {error}"));
                }
                self.free.push(place);
                self.failed.push(Answered { number, reply, answer: Err(error) });
            }
        }
    }
}
