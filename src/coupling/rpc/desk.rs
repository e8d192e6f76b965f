//! Who may ask what, and what is answered while a step is under way.
//!
//! Why: a run has one master, or its time would not be a function of anything; but others may look at it, write to it and
//! hold its clock, and a step may take long.
//!
//! | request | whose | while a step is under way |
//! |---------|-------|---------------------------|
//! | `sim/describe`, `clock/time` | anybody's | answered |
//! | `clock/hold`, `clock/release` | anybody's | `hold` is answered when the step has ended; no further step begins then |
//! | `sim/unanswered` | anybody's | answered |
//! | `clock/next_event`, `sim/inject` | anybody's | refused (`Busy`) |
//! | `sim/create`, `connect`, `step`, `get`, `rest`, `stop`, `clock/advance` | the owner's; who asks first becomes the owner | refused (`Busy`) |
//!
//! Contract: requests reach the session one after the other, in the order in which they came. What is under way when its
//! owner is lost ends all the same; that is reported, and `sim/unanswered` gives the reply nobody got, until the next step.
//!
//! Failure modes: a second master is refused with the name of the first (`NotOwner`). A step that waits for a held clock says
//! so in `describe()["under_way"]` and in the log, and goes on when the holder releases it or is gone.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt;
use std::rc::Rc;
use std::str::FromStr;

use isochrone_sim::Time;
use tokio::sync::{Notify, mpsc, oneshot};

use super::catalog::Catalog;
use super::times;
use crate::codec::Value;
use crate::rpc::{Args, CallError, Request};

/// What can be called.
pub(crate) const METHODS: [&str; 14] = [
    "clock/advance",
    "clock/hold",
    "clock/next_event",
    "clock/release",
    "clock/time",
    "sim/connect",
    "sim/create",
    "sim/describe",
    "sim/get",
    "sim/inject",
    "sim/rest",
    "sim/step",
    "sim/stop",
    "sim/unanswered",
];

/// Requests that may wait for the session.
const QUEUE: usize = 1_024;

/// What happens when the owner is gone without having said `stop`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum OwnerLoss {
    /// The run ends, as a failure.
    #[default]
    Stop,
    /// The run waits for the next owner, who goes on from there.
    Wait,
}

impl FromStr for OwnerLoss {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "stop" => Ok(OwnerLoss::Stop),
            "wait" => Ok(OwnerLoss::Wait),
            _ => Err(format!("{text:?} is not what can be done when the owner is lost: write stop or wait")),
        }
    }
}

/// Whoever is at the other end of a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Caller {
    /// Distinguishes connections.
    pub(crate) id: u64,
    /// As others are told: its address.
    pub(crate) name: Rc<str>,
}

/// Why a run ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// The owner said `stop`.
    Stopped,
    /// The owner is gone.
    Lost(String),
}

/// A request on its way to the session.
#[derive(Debug)]
pub(crate) struct Job {
    pub(crate) request: Request,
    pub(crate) ticket: Ticket,
}

/// Whose request it is, and where its answer goes.
#[derive(Debug)]
pub(crate) struct Ticket {
    from: Caller,
    /// what it is, if it moves time
    moves: Option<String>,
    /// whether it ends the run
    stops: bool,
    reply: oneshot::Sender<Answer>,
}

impl Ticket {
    /// Whether it moves time: then the clock must be free.
    pub(crate) fn moves(&self) -> bool {
        self.moves.is_some()
    }
}

type Answer = Result<Value, CallError>;

#[derive(Debug)]
struct UnderWay {
    from: Caller,
    what: String,
    /// who holds the clock it waits for
    waits_for: Option<String>,
}

impl fmt::Display for UnderWay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)?;
        match &self.waits_for {
            Some(holders) => write!(f, " (which waits: the clock is held by {holders})"),
            None => Ok(()),
        }
    }
}

#[derive(Debug, Default)]
struct State {
    owner: Option<Caller>,
    /// the name of the owner that was lost last
    lost: Option<Rc<str>>,
    holders: BTreeMap<u64, Caller>,
    under_way: Option<UnderWay>,
    unanswered: Value,
    failed: Option<String>,
    end: Option<End>,
}

/// What stands between the connections and the session.
#[derive(Debug)]
pub(crate) struct Desk {
    catalog: RefCell<Rc<Catalog>>,
    policy: OwnerLoss,
    state: RefCell<State>,
    changed: Notify,
    jobs: mpsc::Sender<Job>,
}

impl Desk {
    pub(crate) fn new(catalog: Rc<Catalog>, policy: OwnerLoss) -> (Rc<Self>, mpsc::Receiver<Job>) {
        let (jobs, queue) = mpsc::channel(QUEUE);
        let catalog = RefCell::new(catalog);
        (Rc::new(Desk { catalog, policy, state: RefCell::default(), changed: Notify::new(), jobs }), queue)
    }

    /// Begins the next run, or goes on with one, without an owner. Connections and holds stay; `unanswered` is what the last
    /// owner may not have heard.
    pub(crate) fn begin(&self, catalog: Rc<Catalog>, unanswered: Value) {
        let mut state = self.state.borrow_mut();
        *state = State { holders: std::mem::take(&mut state.holders), unanswered, ..State::default() };
        drop(state);
        self.catalog.replace(catalog);
        self.changed.notify_waiters();
    }

    fn now(&self) -> Time {
        self.catalog.borrow().now()
    }

    /// Answers a request. Requests take effect in the order in which they are polled first; to drop one then loses its answer
    /// only.
    pub(crate) async fn answer(&self, from: &Caller, request: Request) -> Answer {
        match request.path.as_str() {
            "sim/describe" => none(&request.args, "describe").map(|()| self.describe()),
            "sim/unanswered" => {
                none(&request.args, "unanswered").map(|()| self.state.borrow().unanswered.clone())
            }
            "clock/time" => none(&request.args, "time").map(|()| times::write(self.now())),
            "clock/hold" => {
                none(&request.args, "hold")?;
                self.hold(from).await
            }
            "clock/release" => none(&request.args, "release").map(|()| self.release(from.id).into()),
            "clock/next_event" | "sim/inject" => self.submit(from, request, false).await,
            // what is the owner's; the session refuses what is nobody's
            _ => self.submit(from, request, true).await,
        }
    }

    fn describe(&self) -> Value {
        let state = self.state.borrow();
        let name = |peer: &Caller| Value::from(&*peer.name);
        let mut entries = self.catalog.borrow().describe();
        let under_way = state.under_way.as_ref().map(UnderWay::to_string);
        entries.extend([
            ("owner".into(), state.owner.as_ref().map(name).into()),
            ("holders".into(), Value::List(state.holders.values().map(name).collect())),
            ("under_way".into(), under_way.into()),
            ("failed".into(), state.failed.clone().into()),
        ]);
        Value::Map(entries)
    }

    async fn hold(&self, from: &Caller) -> Result<Value, CallError> {
        self.state.borrow_mut().holders.insert(from.id, from.clone());
        loop {
            let changed = self.changed.notified();
            match &self.state.borrow().under_way {
                Some(UnderWay { waits_for: None, .. }) => {}
                _ => return Ok(times::write(self.now())),
            }
            changed.await;
        }
    }

    fn release(&self, peer: u64) -> bool {
        let held = self.state.borrow_mut().holders.remove(&peer).is_some();
        self.changed.notify_waiters();
        held
    }

    fn check_idle(&self, state: &State) -> Result<(), CallError> {
        let Some(under_way) = &state.under_way else { return Ok(()) };
        let (at, name) = (self.now(), &under_way.from.name);
        let text = format!("{under_way} of {name} is under way, at {at}: ask again when it has ended");
        Err(CallError::busy(text))
    }

    /// Hands a request to the session.
    async fn submit(&self, from: &Caller, request: Request, owned: bool) -> Result<Value, CallError> {
        // a request that comes between two runs is of the next one
        while self.state.borrow().end.is_some() {
            self.changed.notified().await;
        }
        let answer = self.queue(from, request, owned)?;
        answer.await.unwrap_or_else(|_| Err(CallError::new("Stopped", "the run is over")))
    }

    fn queue(
        &self,
        from: &Caller,
        request: Request,
        owned: bool,
    ) -> Result<oneshot::Receiver<Answer>, CallError> {
        let mut state = self.state.borrow_mut();
        if let (true, Some(owner)) = (owned, &state.owner)
            && owner.id != from.id
        {
            let text = format!(
                "{} is the master of this simulation, there is no second one: look on (describe, time), inject, or wait \
                 until it is gone",
                owner.name
            );
            return Err(CallError::new("NotOwner", text));
        }
        self.check_idle(&state)?;
        let moves = moving(&request);
        if moves.is_some() && state.holders.contains_key(&from.id) {
            let text = "you hold the clock yourself: release it first";
            return Err(CallError::new("ValueError", text));
        }
        let (reply, answer) = oneshot::channel();
        let stops = request.path == "sim/stop";
        let ticket = Ticket { from: from.clone(), moves: moves.clone(), stops, reply };
        let refused = |_| CallError::busy("too many requests wait already, or the run is over");
        self.jobs.try_send(Job { request, ticket }).map_err(refused)?;
        if owned && state.owner.is_none() {
            state.owner = Some(from.clone());
            if let Some(lost) = state.lost.take() {
                tracing::warn!("{} goes on from {} in the place of {lost}", from.name, self.now());
            }
        }
        if let Some(what) = moves {
            state.under_way = Some(UnderWay { from: from.clone(), what, waits_for: None });
        }
        Ok(answer)
    }

    /// Says that a connection has ended.
    pub(crate) fn gone(&self, peer: &Caller) {
        self.release(peer.id);
        let mut state = self.state.borrow_mut();
        if state.owner.as_ref().is_none_or(|owner| owner.id != peer.id) {
            return;
        }
        state.owner = None;
        state.lost = Some(peer.name.clone());
        // what is under way ends first
        if state.under_way.is_none() {
            let text = format!("the owner {} was lost at {}", peer.name, self.now());
            self.lose(&mut state, text);
        }
        drop(state);
        self.changed.notify_waiters();
    }

    fn lose(&self, state: &mut State, text: String) {
        match (&state.failed, self.policy) {
            (None, OwnerLoss::Wait) => tracing::warn!("{text}; waiting for the next owner"),
            (Some(_), _) | (None, OwnerLoss::Stop) => {
                state.end.get_or_insert(End::Lost(text));
            }
        }
    }

    /// Waits until nobody holds the clock; false when the owner who wants to move it is gone meanwhile.
    pub(crate) async fn free(&self, ticket: &Ticket) -> bool {
        loop {
            let changed = self.changed.notified();
            {
                let mut state = self.state.borrow_mut();
                if state.owner.as_ref().is_none_or(|owner| owner.id != ticket.from.id) {
                    return false;
                }
                let holders = state.holders.values().map(|peer| &*peer.name).collect::<Vec<_>>().join(", ");
                let holders = Some(holders).filter(|holders| !holders.is_empty());
                let held = holders.is_some();
                if let Some(under_way) = &mut state.under_way
                    && under_way.waits_for != holders
                {
                    under_way.waits_for = holders;
                    if held {
                        tracing::warn!("{under_way}");
                    }
                    // whoever wants to hold the clock too need not wait for a step that does
                    self.changed.notify_waiters();
                }
                if !held {
                    return true;
                }
            }
            changed.await;
        }
    }

    /// Says what has become of the run by something that nobody here has asked for.
    pub(crate) fn note(&self, failed: Option<&str>) {
        self.state.borrow_mut().failed = failed.map(str::to_string);
    }

    /// Gives a request of the session's its answer, and says what else that means.
    pub(crate) fn done(&self, ticket: Ticket, answer: Option<Answer>, failed: Option<&str>) {
        let mut state = self.state.borrow_mut();
        state.failed = failed.map(str::to_string);
        let Ticket { from, moves, stops, reply } = ticket;
        let lost = moves.is_some() && state.owner.as_ref().is_none_or(|owner| owner.id != from.id);
        if let Some(what) = &moves {
            state.under_way = None;
            if matches!(answer, Some(Ok(_))) {
                state.unanswered = Value::Null;
            }
            if lost {
                let at = self.now();
                let text = match &answer {
                    Some(Ok(reply)) => {
                        state.unanswered = unanswered(&from.name, what, reply.clone());
                        format!(
                            "the owner {} was lost in the middle of {what}, which has ended at {at}",
                            from.name
                        )
                    }
                    Some(Err(error)) => {
                        format!(
                            "the owner {} was lost in the middle of {what}, which has failed at {at}: {error}",
                            from.name
                        )
                    }
                    None => format!("the owner {} was lost before {what} began, at {at}", from.name),
                };
                self.lose(&mut state, text);
            }
        }
        if stops && matches!(answer, Some(Ok(_))) {
            state.end.get_or_insert(End::Stopped);
        }
        drop(state);
        if let Some(answer) = answer {
            // nobody listens any more if its owner is lost
            let _ = reply.send(answer);
        }
        self.changed.notify_waiters();
    }

    /// Waits for the end of the run.
    pub(crate) async fn ended(&self) -> End {
        loop {
            let changed = self.changed.notified();
            if let Some(end) = &self.state.borrow().end {
                return end.clone();
            }
            changed.await;
        }
    }
}

/// What a request is called that moves time.
pub(super) fn moving(request: &Request) -> Option<String> {
    matches!(request.path.as_str(), "sim/step" | "clock/advance").then(|| name_of(request))
}

/// The reply that an owner did not get.
pub(super) fn unanswered(owner: &str, request: &str, reply: Value) -> Value {
    Value::map([("owner", Value::from(owner)), ("request", request.into()), ("reply", reply)])
}

/// `sim/step(15min)`: what it is, and to which time; the inputs of a thousand agents are left out.
fn name_of(request: &Request) -> String {
    let Request { path, args } = request;
    let to = args.positional.first().or_else(|| args.keyword.first().map(|(_, value)| value));
    match to {
        Some(Value::Int(nanos)) => format!("{path}({})", Time::from_nanos(*nanos)),
        Some(other) => format!("{path}({})", other.describe().trim_start_matches("str ")),
        None => format!("{path}()"),
    }
}

/// Refuses arguments.
fn none(args: &Args, name: &'static str) -> Result<(), CallError> {
    args.clone().bind(&crate::rpc::Signature { name, params: &[] }).map(drop)
}
