//! How calls of agents elsewhere get there.
//!
//! Contract: an agent with an address is reached by its container's [`Slot`], over whichever connection is open then, or as a
//! [neighbour](super::neighbour); what belongs to one connection is reached over that alone, for as long as it is open.

use std::rc::Rc;
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

use isochrone_sim::ExternalId;
use isochrone_sim::random::purpose_of;

use super::conn::{AGENTS, Conn, VIA};
use super::neighbour::{self, Site};
use super::node::Shared;
use super::slot::Slot;
#[cfg(feature = "app")]
use crate::agent::far::PATIENCE;
use crate::agent::far::{Answer, Asked, Far, Gateway, Method, Outside, Reach, Work};
use crate::channel::{Address, Endpoint};
use crate::clock::{Reply, Route, Sender};
use crate::codec::Value;
use crate::rpc::{Args, CallError};

/// An agent with an address.
struct ByAddress {
    text: Box<str>,
    hash: u64,
    /// from us to it
    route: Arc<Route>,
    slot: Arc<Slot>,
    /// who we are
    site: Arc<Site>,
    /// the table holds the slots, so they do not hold the table
    shared: Weak<Shared>,
}

impl ByAddress {
    fn shared(&self) -> Result<Arc<Shared>, CallError> {
        self.shared.upgrade().ok_or_else(|| {
            CallError::disconnected(format!("{}: this container has left the network", self.text))
        })
    }

    /// The agent's container, if it is in this process and both go without encoding. It is remembered: no table is locked for
    /// each call.
    fn near(&self) -> Option<&Arc<Site>> {
        let near = self.slot.near.get().or_else(|| {
            let found = self.shared.upgrade()?.neighbour(&self.slot.endpoint)?;
            Some(self.slot.near.get_or_init(|| found))
        });
        near.filter(|near| near.is_here() && self.site.is_here())
    }

    fn path(&self, method: &str) -> String {
        format!("{AGENTS}{}/{method}", self.route.agent)
    }
}

impl Reach for ByAddress {
    fn text(&self) -> &str {
        &self.text
    }

    fn hash(&self) -> u64 {
        self.hash
    }

    fn ask(&self, method: Method, args: Args) -> Work<Answer> {
        let shared = match self.shared() {
            Ok(shared) => shared,
            Err(error) => return Box::pin(std::future::ready(Err(error))),
        };
        if let Some(next) = shared.neighbour(&self.slot.endpoint) {
            return neighbour::ask(&self.site, &next, &self.route, method, args);
        }
        let (slot, path) = (self.slot.clone(), self.path(&method));
        Box::pin(async move { slot.conn(&shared).await?.call(path, args).await })
    }

    fn hand_over(&self, call: &Asked, operation: ExternalId, way: &Sender) -> bool {
        let Some(next) = self.near().filter(|_| self.site.live.leads_to(way)) else { return false };
        let reply = Reply::back(self.route.clone(), operation);
        neighbour::call(&self.site, next, call.method().clone(), call.take_args(), reply);
        true
    }

    fn post(&self, method: Method, args: Args) -> Work<Result<(), CallError>> {
        let shared = match self.shared() {
            Ok(shared) => shared,
            Err(error) => return Box::pin(std::future::ready(Err(error))),
        };
        if let Some(next) = shared.neighbour(&self.slot.endpoint) {
            let posted = neighbour::post(&self.site, &next, &self.route, method, args);
            return Box::pin(std::future::ready(posted));
        }
        let (slot, path) = (self.slot.clone(), self.path(&method));
        Box::pin(async move { slot.conn(&shared).await?.post(path, args).await })
    }
}

/// What a connection's peer has at a path.
struct ByConn {
    text: Box<str>,
    path: Box<str>,
    conn: Option<Arc<Conn>>,
}

impl ByConn {
    fn conn(&self) -> Result<Arc<Conn>, CallError> {
        let closed = || CallError::disconnected(format!("{}: its connection is closed", self.text));
        self.conn.clone().ok_or_else(closed)
    }

    fn method(&self, method: &str) -> String {
        if self.path.is_empty() { method.into() } else { format!("{}/{method}", self.path) }
    }
}

impl Reach for ByConn {
    fn text(&self) -> &str {
        &self.text
    }

    fn hash(&self) -> u64 {
        purpose_of(&self.text)
    }

    fn ask(&self, method: Method, args: Args) -> Work<Answer> {
        let (conn, path) = (self.conn(), self.method(&method));
        Box::pin(async move { conn?.call(path, args).await })
    }

    fn post(&self, method: Method, args: Args) -> Work<Result<(), CallError>> {
        let (conn, path) = (self.conn(), self.method(&method));
        Box::pin(async move { conn?.post(path, args).await })
    }
}

/// What a kernel sees of its container's connections.
pub(super) struct Connections(pub(super) Arc<Shared>);

impl Gateway for Connections {
    fn announced(&self) -> &Endpoint {
        &self.0.site.own.announced
    }

    fn numbers(&self) -> bool {
        self.0.numbers
    }

    fn patience(&self) -> Duration {
        self.0.patience
    }

    fn far(&self, text: &str) -> Result<Far, String> {
        if let Some(rest) = text.strip_prefix(VIA) {
            let (number, path) = rest.split_once('/').unwrap_or((rest, ""));
            let conn = number.parse().ok().and_then(|number| self.0.conn(number));
            return Ok(Far(Arc::new(ByConn { text: text.into(), path: path.into(), conn })));
        }
        let address: Address = text.parse().map_err(|error| format!("{error}"))?;
        let agent = address.agent().ok_or_else(|| format!("{text:?} names no agent"))?;
        let slot = self.0.slot(address.endpoint())?;
        let (site, shared) = (self.0.site.clone(), Arc::downgrade(&self.0));
        let back = neighbour::Home { site: site.clone(), slot: slot.clone() };
        let (route, hash) = (Route::both_ways(site.told.clone(), agent, back), purpose_of(text));
        Ok(Far(Arc::new(ByAddress { text: text.into(), hash, route, slot, site, shared })))
    }

    fn connect(&self, address: Address, patience: Duration) -> Work<Result<String, CallError>> {
        let shared = self.0.clone();
        Box::pin(async move { connect(&shared, &address, patience).await.map(|()| address.to_string()) })
    }
}

/// What a kernel sees when a recording stands for its connections: where it was, and nobody to talk to, unless the run goes
/// on and gets connections of its own.
#[cfg(feature = "app")]
pub(crate) struct Recorded {
    announced: Endpoint,
    numbers: bool,
    later: Rc<Later>,
}

#[cfg(feature = "app")]
impl Recorded {
    /// To be provided to a kernel before anything happens there.
    pub(crate) fn outside(announced: Endpoint, numbers: bool, later: Rc<Later>) -> Rc<Outside> {
        Rc::new(Outside(Rc::new(Recorded { announced, numbers, later })))
    }
}

/// The connections of a run that goes on after a recording: whoever has to do with a peer from before finds it by them.
///
/// To be provided to the kernel beside [`Recorded`]; [`Binding::serve`](super::Binding::serve) fulfils it.
#[derive(Debug, Default)]
#[cfg_attr(not(feature = "app"), allow(dead_code, reason = "the command line goes on after recordings"))]
pub(crate) struct Later {
    /// where the recorded run was, and how many connections it had
    pub(crate) bound: Option<Endpoint>,
    pub(crate) connections: u64,
    now: Arc<OnceLock<Weak<Shared>>>,
}

impl Later {
    #[cfg(feature = "app")]
    pub(crate) fn new(bound: Option<Endpoint>, connections: u64) -> Self {
        Later { bound, connections, now: Arc::default() }
    }

    /// The connections are there.
    pub(super) fn fulfil(&self, shared: &Arc<Shared>) {
        let _ = self.now.set(Arc::downgrade(shared));
    }
}

/// An agent elsewhere that was known before a recording came to its end.
#[cfg(feature = "app")]
struct ByRecording {
    text: Box<str>,
    now: Arc<OnceLock<Weak<Shared>>>,
}

#[cfg(feature = "app")]
impl ByRecording {
    fn far(&self) -> Result<Far, CallError> {
        let shared = self.now.get().and_then(Weak::upgrade);
        let shared = shared.ok_or_else(|| {
            let text = "it belongs to the recorded run, whose connections are not there any more";
            CallError::disconnected(format!("{}: {text}", self.text))
        })?;
        Connections(shared).far(&self.text).map_err(CallError::disconnected)
    }
}

#[cfg(feature = "app")]
impl Reach for ByRecording {
    fn text(&self) -> &str {
        &self.text
    }

    fn hash(&self) -> u64 {
        purpose_of(&self.text)
    }

    fn ask(&self, method: Method, args: Args) -> Work<Answer> {
        match self.far() {
            Ok(far) => far.0.ask(method, args),
            Err(error) => Box::pin(std::future::ready(Err(error))),
        }
    }

    fn post(&self, method: Method, args: Args) -> Work<Result<(), CallError>> {
        match self.far() {
            Ok(far) => far.0.post(method, args),
            Err(error) => Box::pin(std::future::ready(Err(error))),
        }
    }
}

#[cfg(feature = "app")]
impl Gateway for Recorded {
    fn announced(&self) -> &Endpoint {
        &self.announced
    }

    fn numbers(&self) -> bool {
        self.numbers
    }

    fn patience(&self) -> Duration {
        PATIENCE
    }

    fn moved(&self, announced: &Endpoint) -> Option<Outside> {
        let (announced, numbers, later) = (announced.clone(), self.numbers, self.later.clone());
        Some(Outside(Rc::new(Recorded { announced, numbers, later })))
    }

    fn far(&self, text: &str) -> Result<Far, String> {
        Ok(Far(Arc::new(ByRecording { text: text.into(), now: self.later.now.clone() })))
    }

    fn connect(&self, address: Address, _: Duration) -> Work<Result<String, CallError>> {
        let never = format!("{address}: a replay connects to nobody");
        Box::pin(std::future::ready(Err(CallError::disconnected(never))))
    }
}

impl Connections {
    pub(super) fn into_outside(self) -> Rc<Outside> {
        Rc::new(Outside(Rc::new(self)))
    }
}

/// Connects to the agent's container and asks whether it is there.
async fn connect(shared: &Arc<Shared>, address: &Address, patience: Duration) -> Result<(), CallError> {
    let agent = address.agent().unwrap_or_default();
    if *address.endpoint() == shared.site.own.announced {
        // one of our own: whoever reads its address finds it, or not
        return Ok(());
    }
    let known = match shared.neighbour(address.endpoint()) {
        Some(next) => neighbour::kind_of(&next, agent).await?,
        None => {
            let slot = shared.slot(address.endpoint()).map_err(CallError::disconnected)?;
            let conn = slot.connect(shared, patience).await?;
            conn.call("validate_aid".into(), Args::default().arg(agent)).await?
        }
    };
    match known {
        Value::Null => {
            Err(CallError::lookup_error(format!("no agent {agent:?} is at {}", address.endpoint())))
        }
        _ => Ok(()),
    }
}
