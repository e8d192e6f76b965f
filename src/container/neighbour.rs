//! Containers of the same process, without a socket and without encoding.
//!
//! Why: a call within a process costs a twentieth of one over a socket, and several containers in one process are how a program
//! uses its cores. What is passed are the same values that would be encoded, so nothing else differs. No future runs for such
//! a call: it goes straight into the queue of the other's driver, and the answer into that of the caller's.
//!
//! Contract: a container finds another one by the address it announces, if both allow it ([`SameProcess`]). Calls enter by
//! the other's door, as all others. Its allow-list knows us as `process:` and our name.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use isochrone_sim::ExternalId;
use tokio::sync::oneshot;

use super::conn::{AGENTS, Own, each, translate};
use super::node::Shared;
use super::root::of_agent;
use super::slot::Slot;
use super::{AllowList, SameProcess};
use crate::agent::far::{Answer, Method, Work};
use crate::channel::Endpoint;
use crate::clock::{Back, Input, Live, Look, Reply, Request, Route};
use crate::codec::Value;
use crate::rpc::{Args, CallError};

/// What a container is for others of its process, and for its agents that call them.
#[derive(Debug)]
pub(super) struct Site {
    pub(super) own: Arc<Own>,
    /// Where it is, as others name it.
    pub(super) told: Arc<str>,
    /// Of the container.
    pub(super) name: String,
    pub(super) live: Live,
    pub(super) allow: Option<AllowList>,
    pub(super) same_process: SameProcess,
    /// Whether others are to find it no longer.
    pub(super) withdrawn: AtomicBool,
}

impl Site {
    pub(super) fn is_direct(&self) -> bool {
        self.same_process == SameProcess::Direct
    }

    pub(super) fn is_here(&self) -> bool {
        !self.withdrawn.load(Ordering::Acquire)
    }

    /// A value as others understand it.
    fn outward(&self, value: Value) -> Answer {
        translate(value, &|reference| self.own.outward(reference))
    }
}

static BOUND: Mutex<BTreeMap<Endpoint, Weak<Shared>>> = Mutex::new(BTreeMap::new());

fn bound() -> MutexGuard<'static, BTreeMap<Endpoint, Weak<Shared>>> {
    BOUND.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Lets others of this process find a container.
pub(super) fn announce(shared: &Arc<Shared>) {
    bound().insert(shared.site.own.announced.clone(), Arc::downgrade(shared));
}

/// It is to be found no longer.
pub(super) fn withdraw(shared: &Shared) {
    shared.site.withdrawn.store(true, Ordering::Release);
    let mut bound = bound();
    // another one may have its address by now
    if bound.get(&shared.site.own.announced).is_some_and(|known| std::ptr::eq(known.as_ptr(), shared)) {
        bound.remove(&shared.site.own.announced);
    }
}

/// The container of this process that announces this address.
pub(super) fn find(endpoint: &Endpoint) -> Option<Arc<Shared>> {
    let found = bound().get(endpoint)?.upgrade()?;
    (found.site.same_process != SameProcess::Socket).then_some(found)
}

/// Calls an agent of another container.
pub(super) fn ask(
    from: &Site,
    to: &Arc<Site>,
    route: &Arc<Route>,
    method: Method,
    args: Args,
) -> Work<Answer> {
    let (reply, answer) = oneshot::channel();
    call(from, to, method, args, Reply::new(route.clone(), move |answer| drop(reply.send(answer))));
    let answering = to.clone();
    Box::pin(async move { answering.outward(answer.await.unwrap_or_else(|_| Err(over()))?) })
}

/// The same; the answer is as the other container understands it.
pub(super) fn call(from: &Site, to: &Site, method: Method, args: Args, reply: Reply) {
    match admissible(from, to, &reply.route().agent, &method, args) {
        Ok(args) => {
            to.live.send(Input::Call(Request { method, args, reply }));
        }
        Err(error) => reply.send(Err(error)),
    }
}

/// The way back to us from an agent of another container.
pub(super) struct Home {
    pub(super) site: Arc<Site>,
    /// of the other container
    pub(super) slot: Arc<Slot>,
}

impl Back for Home {
    fn answer(&self, operation: ExternalId, answer: Answer) {
        let answer = match self.slot.near.get() {
            Some(next) => answer.and_then(|value| next.outward(value)),
            None => answer,
        };
        self.site.live.finish(operation, answer);
    }
}

/// Sends it a one-way message.
pub(super) fn post(
    from: &Site,
    to: &Site,
    route: &Arc<Route>,
    method: Method,
    args: Args,
) -> Result<(), CallError> {
    let args = admissible(from, to, &route.agent, &method, args)?;
    to.live.send(Input::Call(Request { method, args, reply: Reply::nobody(route.clone()) }));
    Ok(())
}

/// The arguments as the other container understands them, if we may call this there.
fn admissible(from: &Site, to: &Site, agent: &str, method: &str, args: Args) -> Result<Args, CallError> {
    let args = each(args, |value| from.outward(value))?;
    if let Some(allow) = &to.allow {
        let who = [format!("process:{}", from.name)];
        let path = format!("{AGENTS}{agent}/{method}");
        if !allow.allows(&who, &path) {
            return Err(CallError::new("PermissionError", format!("{} may not call {path}", who[0])));
        }
    }
    Ok(args)
}

/// The type of an agent of another container.
pub(super) async fn kind_of(to: &Site, agent: &str) -> Answer {
    let (reply, answer) = oneshot::channel();
    let agent = agent.to_string();
    to.live.send(Input::Look(Look::new(move |kernel| drop(reply.send(of_agent(kernel, &agent))))));
    answer.await.map_err(|_| over())
}

fn over() -> CallError {
    CallError::stopped("the run is over")
}
