//! Containers of the same process, without a socket and without encoding.
//!
//! Why: a call within a process costs microseconds where one over a socket costs tens, and several containers in one process
//! are how a program uses its cores. What is passed are the same values that would be encoded, so nothing else differs.
//!
//! Contract: a container finds another one by the address it announces, if both allow it ([`SameProcess`]). Calls enter by
//! the other's door, as all others. Its allow-list knows us as `process:` and our name.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use tokio::sync::oneshot;

use super::SameProcess;
use super::conn::{AGENTS, VIA};
use super::node::Shared;
use super::root::of_agent;
use crate::agent::far::{Answer, Work};
use crate::channel::Endpoint;
use crate::clock::{Input, Look, Reply, Request};
use crate::codec::{Reference, Value};
use crate::rpc::{Args, CallError};

static BOUND: Mutex<BTreeMap<Endpoint, Weak<Shared>>> = Mutex::new(BTreeMap::new());

fn bound() -> MutexGuard<'static, BTreeMap<Endpoint, Weak<Shared>>> {
    BOUND.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Lets others of this process find a container.
pub(super) fn announce(shared: &Arc<Shared>) {
    bound().insert(shared.announced.clone(), Arc::downgrade(shared));
}

/// It is to be found no longer.
pub(super) fn withdraw(shared: &Shared) {
    let mut bound = bound();
    // another one may have its address by now
    if bound.get(&shared.announced).is_some_and(|known| std::ptr::eq(known.as_ptr(), shared)) {
        bound.remove(&shared.announced);
    }
}

/// The container of this process that announces this address.
pub(super) fn find(endpoint: &Endpoint) -> Option<Arc<Shared>> {
    let found = bound().get(endpoint)?.upgrade()?;
    (found.same_process != SameProcess::Socket).then_some(found)
}

/// Calls an agent of another container.
pub(super) fn ask(from: &Shared, to: &Shared, agent: &str, method: String, args: Args) -> Work<Answer> {
    let (reply, answer) = oneshot::channel();
    match enter(from, to, agent, method, args, Reply::new(move |answer| drop(reply.send(answer)))) {
        Ok(()) => Box::pin(async move { answer.await.unwrap_or_else(|_| Err(over())) }),
        Err(error) => Box::pin(std::future::ready(Err(error))),
    }
}

/// Sends it a one-way message.
pub(super) fn post(
    from: &Shared,
    to: &Shared,
    agent: &str,
    method: String,
    args: Args,
) -> Result<(), CallError> {
    enter(from, to, agent, method, args, Reply::nobody())
}

fn enter(
    from: &Shared,
    to: &Shared,
    agent: &str,
    method: String,
    args: Args,
    reply: Reply,
) -> Result<(), CallError> {
    args.check()?;
    for value in args.positional.iter().chain(args.keyword.iter().map(|(_, value)| value)) {
        passable(value)?;
    }
    if let Some(allow) = &to.allow {
        let who = [format!("process:{}", from.name)];
        let path = format!("{AGENTS}{agent}/{method}");
        if !allow.allows(&who, &path) {
            return Err(CallError::new("PermissionError", format!("{} may not call {path}", who[0])));
        }
    }
    let call = Request { from: from.told.clone(), agent: agent.into(), method, args, reply };
    to.live.send(Input::Call(call));
    Ok(())
}

/// A proxy that belongs to one of our connections means nothing to anybody else.
fn passable(value: &Value) -> Result<(), CallError> {
    match value {
        Value::Proxy(Reference::Address(text)) if text.starts_with(VIA) => {
            Err(CallError::type_error(format!(
                "a proxy from a connection ({text}) cannot be passed on: its agent has no address that we know"
            )))
        }
        Value::List(items) => items.iter().try_for_each(passable),
        Value::Map(entries) => entries.iter().try_for_each(|(_, value)| passable(value)),
        Value::Object(object) => passable(&object.data),
        _ => Ok(()),
    }
}

/// The type of an agent of another container.
pub(super) async fn kind_of(to: &Shared, agent: &str) -> Answer {
    let (reply, answer) = oneshot::channel();
    let agent = agent.to_string();
    to.live.send(Input::Look(Look::new(move |kernel| drop(reply.send(of_agent(kernel, &agent))))));
    answer.await.map_err(|_| over())
}

fn over() -> CallError {
    CallError::stopped("the run is over")
}
