//! What a peer may call, as aiomas has it: `validate_aid`, `agents/<name>/<method>`, and services of the program's own.
//!
//! Contract: of an agent only exposed methods can be reached, by its name or its number; nothing that hangs on it can
//! (`agents/0/container/..` is a LookupError). Every call is asked of the allow-list first. A call enters the kernel by
//! its door and is answered after the turn.
//!
//! Failure modes: a LookupError in aiomas's words, a PermissionError that names who may not call what.

use std::sync::Arc;

use isochrone_sim::{AgentId, Kernel, Status};
use tokio::sync::oneshot;

use super::conn::Conn;
use super::hello;
use super::node::Shared;
use crate::agent::{Model, Vtable, find_in};
use crate::clock::{Input, Look, Reply, Request, Route};
use crate::codec::Value;
use crate::rpc::{Args, CallError, Handler, Outcome, Param, Peer, Signature};

/// Agents that are told of at once.
const LISTED: i64 = 1_000;

const VALIDATE: Signature =
    Signature { name: "validate_aid", params: &[Param { name: "aid", optional: false, ty: "str" }] };

const LIST: Signature = Signature {
    name: "list",
    params: &[
        Param { name: "agent", optional: true, ty: "str" },
        Param { name: "first", optional: true, ty: "int" },
    ],
};

/// The root of one connection.
pub(super) struct Root {
    pub(super) shared: Arc<Shared>,
    pub(super) conn: Arc<Conn>,
}

impl Handler for Root {
    fn call(&self, path: &str, args: Args, peer: &Peer) -> Outcome {
        if let Some(allow) = &self.shared.site.allow {
            let who = self.conn.identities();
            // what asks for nothing of anybody's is for everybody who may do something
            let harmless = matches!(path, "validate_aid" | hello::HELLO | hello::LIST) && allow.knows(who);
            if !harmless && !allow.allows(who, path) {
                return Outcome::Done(Err(self.denied(path)));
            }
        }
        match path.split_once('/') {
            None if path == "validate_aid" => self.validate(args),
            Some(("agents", rest)) => self.agent(path, rest, args),
            _ if path == "agents" => Outcome::Done(Err(not_exposed(path))),
            _ if path == hello::HELLO => Outcome::Done(Ok(self.hello(&args))),
            _ if path == hello::LIST => self.list(args),
            _ => self.shared.services.call(path, args, peer),
        }
    }

    fn contains(&self, path: &str) -> bool {
        path.is_empty() || path.starts_with("agents/") || self.shared.services.contains(path)
    }

    fn paths(&self) -> Vec<String> {
        self.shared.services.paths()
    }
}

fn not_exposed(path: &str) -> CallError {
    CallError::lookup_error(format!("\"{path}\" is not exposed"))
}

impl Root {
    #[cold]
    fn denied(&self, path: &str) -> CallError {
        let who =
            self.conn.identities().first().cloned().unwrap_or_else(|| "a peer without an identity".into());
        tracing::warn!(peer = %self.conn.name(), path, "a call was refused by the allow-list");
        CallError::new("PermissionError", format!("{who} may not call {path}"))
    }

    /// A call of an agent's method.
    fn agent(&self, path: &str, rest: &str, args: Args) -> Outcome {
        let Some((agent, method)) = rest.rsplit_once('/') else {
            return Outcome::Done(Err(not_exposed(path)));
        };
        let args = match self.conn.import_args(args) {
            Ok(args) => args,
            Err(error) => return Outcome::Done(Err(error)),
        };
        let (reply, answer) = oneshot::channel();
        let route = Route::new(self.conn.name(), agent);
        let call = Request {
            method: method.to_string().into(),
            args,
            // one that has lost interest is no error
            reply: Reply::new(route, move |answer| drop(reply.send(answer))),
        };
        // what cannot enter has its error in the reply
        self.shared.site.live.send(Input::Call(call));
        let conn = self.conn.clone();
        Outcome::Later(Box::pin(async move { conn.export(answer.await.unwrap_or_else(|_| Err(over()))?) }))
    }

    /// The name of an agent's type, or nothing.
    fn validate(&self, args: Args) -> Outcome {
        let name = args.bind(&VALIDATE).and_then(|mut bound| bound.take::<String>(0));
        match name {
            Ok(name) => self.look(move |kernel| Ok(of_agent(kernel, &name.unwrap_or_default()))),
            Err(error) => Outcome::Done(Err(error)),
        }
    }

    fn hello(&self, args: &Args) -> Value {
        if let Some(endpoint) = hello::heard(&args.positional) {
            self.conn.heard(endpoint);
        }
        Value::List(hello::told(Some(&self.shared.site.own.announced), &self.shared.site.name).positional)
    }

    fn list(&self, args: Args) -> Outcome {
        let asked =
            args.bind(&LIST).and_then(|mut bound| Ok((bound.take::<String>(0)?, bound.take::<u32>(1)?)));
        match asked {
            Ok((agent, first)) => self.look(move |kernel| list(kernel, agent.as_deref(), first.unwrap_or(0))),
            Err(error) => Outcome::Done(Err(error)),
        }
    }

    /// Asks the kernel something that changes nothing in it.
    fn look(&self, look: impl FnOnce(&Kernel) -> Result<Value, CallError> + Send + 'static) -> Outcome {
        let (reply, answer) = oneshot::channel();
        let look = Look::new(move |kernel| drop(reply.send(look(kernel))));
        self.shared.site.live.send(Input::Look(look));
        Outcome::Later(Box::pin(async move { answer.await.unwrap_or_else(|_| Err(over())) }))
    }
}

fn over() -> CallError {
    CallError::stopped("the run is over")
}

pub(super) fn of_agent(kernel: &Kernel, name: &str) -> Value {
    let known = find_in(kernel, name).and_then(|agent| model(kernel, agent));
    known.map_or(Value::Null, |model| Value::from(model.name))
}

/// What an agent that is not stopped looks like.
fn model(kernel: &Kernel, agent: AgentId) -> Option<&'static Model> {
    if kernel.status(agent)? == Status::Stopped {
        return None;
    }
    Some(kernel.facet(agent)?.downcast_ref::<Vtable>()?.model)
}

/// Agents by name and type from the first number on, what their types have, and how many agents there have been; or one
/// agent alone.
fn list(kernel: &Kernel, agent: Option<&str>, first: u32) -> Result<Value, CallError> {
    let all: Vec<AgentId> =
        match agent {
            Some(name) => {
                let found = find_in(kernel, name).filter(|agent| model(kernel, *agent).is_some());
                vec![found.ok_or_else(|| {
                    CallError::lookup_error(format!("Name \"{name}\" not found in \"agents\""))
                })?]
            }
            None => (first..kernel.population()).map(AgentId::new).collect(),
        };
    let mut types: Vec<&'static Model> = Vec::new();
    let mut agents = Vec::new();
    let mut next = Value::Null;
    for agent in all {
        let Some(model) = model(kernel, agent) else { continue };
        if agents.len() as i64 == LISTED {
            next = Value::from(agent.ordinal());
            break;
        }
        if !types.iter().any(|known| std::ptr::eq(*known, model)) {
            types.push(model);
        }
        let number = Value::from(agent.ordinal());
        agents.push(Value::list([number, Value::from(kernel.path(agent)), Value::from(model.name)]));
    }
    let types = types.into_iter().map(|model| (Value::from(model.name), described(model))).collect();
    Ok(Value::map([("agents", Value::List(agents)), ("types", Value::Map(types)), ("next", next)]))
}

fn described(model: &Model) -> Value {
    let methods = model.methods.iter().map(|method| {
        Value::map([
            ("name", Value::from(method.signature.name)),
            ("signature", Value::from(method.signature.to_string())),
            ("result", Value::from(method.result)),
            ("doc", Value::from(method.doc)),
        ])
    });
    Value::map([("doc", Value::from(model.doc)), ("methods", Value::list(methods))])
}
