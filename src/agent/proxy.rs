//! Addresses of agents that code can hold, clone, send and store.
//!
//! Why two: a typed proxy (`HouseProxy`, made by `#[agent]`) knows the methods and moves arguments without encoding; a
//! [`Proxy`] calls anything by name. Both are the same address, and both serialize as the agent's name in its container,
//! `local://grid/house_3`, so that one can be an argument or a part of a message.

use std::fmt;
use std::str::FromStr;

use isochrone_sim::{AgentId, Ref, This};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::call::{Invocation, Running};
use super::vtable::Vtable;
use super::{Agent, local};
use crate::rpc::{Args, CallError};

const SCHEME: &str = "local://";

/// The address of an agent of any type.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Proxy {
    kernel: u16,
    agent: AgentId,
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Proxy({:?})", self.agent)
    }
}

impl Proxy {
    /// The agent's number in its container.
    pub fn id(&self) -> AgentId {
        self.agent
    }

    /// Asks for a method by name.
    pub fn call(&self, method: &str) -> Invocation {
        Invocation::new(*self, method)
    }

    fn vtable(&self) -> Result<&'static Vtable, CallError> {
        let here = local::kernel() == Some(self.kernel);
        let facet = here.then(|| local::facet(self.agent)).flatten();
        let unknown = || {
            let whose = if here { "" } else { " of another container" };
            CallError::new("LookupError", format!("no agent {}{whose} is here", self.agent.ordinal()))
        };
        facet.and_then(|facet| facet.downcast_ref::<Vtable>()).ok_or_else(unknown)
    }

    pub(crate) fn ask(&self, method: &str, args: Args) -> Running {
        match self.vtable() {
            Ok(vtable) => (vtable.ask)(self.agent, method, args),
            Err(error) => Box::pin(std::future::ready(Err(error))),
        }
    }

    pub(crate) fn post(&self, method: &str, args: Args) {
        let sent = self.vtable().and_then(|vtable| (vtable.post)(self.agent, method, args));
        if let Err(error) = sent {
            let here = local::kernel() == Some(self.kernel);
            local::dead_letter(|| match here {
                true => format!("`{method}` to {}: {error}", local::path(self.agent)),
                false => format!("`{method}` to agent {} of another container", self.agent.ordinal()),
            });
        }
    }
}

/// An agent's own typed proxy: `this.proxy()`, to hand out to others.
pub trait OwnProxy {
    /// Its type.
    type Proxy;

    /// The address of the agent itself.
    fn proxy(&self) -> Self::Proxy;
}

impl<A: Agent> OwnProxy for This<A> {
    type Proxy = A::Proxy;

    fn proxy(&self) -> A::Proxy {
        A::Proxy::from(self.me())
    }
}

impl<A> From<Ref<A>> for Proxy {
    fn from(agent: Ref<A>) -> Self {
        Proxy { kernel: agent.kernel(), agent: agent.id() }
    }
}

/// Writes an address as text.
#[doc(hidden)]
pub fn serialize<S: Serializer>(kernel: u16, agent: AgentId, serializer: S) -> Result<S::Ok, S::Error> {
    if local::kernel() != Some(kernel) {
        return Err(serde::ser::Error::custom("an address can be written only in its own container"));
    }
    serializer.serialize_str(&format!("{SCHEME}{}/{}", local::container(), local::path(agent)))
}

fn resolve(text: &str) -> Result<AgentId, String> {
    let rest = text
        .strip_prefix(SCHEME)
        .ok_or_else(|| format!("{text:?} is no address of the form {SCHEME}container/agent"))?;
    let (container, path) = rest.split_once('/').ok_or_else(|| format!("{text:?} names no agent"))?;
    if local::kernel().is_none() || container != local::container() {
        return Err(format!("container {container:?} is not here"));
    }
    local::find(path).ok_or_else(|| format!("no agent {path:?} is in container {container:?}"))
}

/// Reads an address, and checks that the agent is of type `A`.
#[doc(hidden)]
pub fn deserialize<'de, A: Agent, D: Deserializer<'de>>(deserializer: D) -> Result<Ref<A>, D::Error> {
    let text = String::deserialize(deserializer)?;
    let agent = resolve(&text).map_err(D::Error::custom)?;
    local::reference(agent).ok_or_else(|| D::Error::custom(format!("{text:?} is no {}", A::TYPE)))
}

impl Serialize for Proxy {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serialize(self.kernel, self.agent, serializer)
    }
}

impl<'de> Deserialize<'de> for Proxy {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

impl FromStr for Proxy {
    type Err = CallError;

    /// Reads `local://container/agent`; works in code that the container runs.
    fn from_str(text: &str) -> Result<Self, CallError> {
        let agent = resolve(text).map_err(|message| CallError::new("LookupError", message))?;
        Ok(Proxy { kernel: local::kernel().unwrap_or_default(), agent })
    }
}
