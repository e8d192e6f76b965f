//! Addresses of agents that code can hold, clone, send and store.
//!
//! Why two: a typed proxy (`HouseProxy`, made by `#[agent]`) knows the methods and moves arguments without encoding; a
//! [`Proxy`] calls anything by name. Both are the same address, near (an agent of this container) or [far](Far), and both
//! serialize as its text, so that one can be an argument or a part of a message: `local://grid/house_3` for an agent of the
//! container `grid` itself, whatever network that is on (so a fingerprint does not know the port), and `tcp://host:port/house_3`
//! for one elsewhere. Connections translate the former.
//!
//! Failure modes: text that stands for no agent of the wanted type is an error when it is read. An agent elsewhere is
//! not asked for then: a call finds out.

use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::str::FromStr;
use std::task::{Context, Poll};
use std::time::Duration;

use isochrone_sim::{AgentId, External, Kernel, Ref, This};
use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::call::{Call, Invocation, Running, Take};
use super::far::{Answer, Errand, Far, FarCall, Outside, Work};
use super::vtable::Vtable;
use super::{Agent, local};
use crate::channel::{Address, Endpoint};
use crate::codec::{Reference, Value, from_value};
use crate::rpc::{Args, CallError};

/// The address of an agent of any type.
#[derive(Clone, PartialEq, Eq)]
pub struct Proxy(Place);

#[derive(Clone, PartialEq, Eq)]
enum Place {
    Near { kernel: u16, agent: AgentId },
    Far(Far),
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Place::Near { agent, .. } => write!(f, "Proxy({agent:?})"),
            Place::Far(far) => write!(f, "Proxy({})", far.text()),
        }
    }
}

impl Proxy {
    /// The agent's number in its container; [`AgentId::OUTSIDE`] for one elsewhere.
    pub fn id(&self) -> AgentId {
        match &self.0 {
            Place::Near { agent, .. } => *agent,
            Place::Far(_) => AgentId::OUTSIDE,
        }
    }

    /// Where it is, if it is elsewhere.
    pub fn far(&self) -> Option<&Far> {
        match &self.0 {
            Place::Near { .. } => None,
            Place::Far(far) => Some(far),
        }
    }

    /// Where it is, as others find it: what to tell a program of aiomas, which knows proxies of its own connections only.
    /// `None` for an agent that has no address, or is in another container of this program; and outside of the kernel.
    pub fn address(&self) -> Option<String> {
        match &self.0 {
            Place::Near { kernel, agent } if local::kernel() == Some(*kernel) => {
                Some(announced_address(*agent).to_string())
            }
            Place::Near { .. } => None,
            Place::Far(far) => Some(far.text().to_owned()).filter(|text| text.parse::<Address>().is_ok()),
        }
    }

    /// Asks for a method by name.
    pub fn call(&self, method: &str) -> Invocation {
        Invocation::new(self.clone(), method)
    }

    pub(crate) fn ask(&self, method: &str, args: Args, latency: Duration) -> Running {
        let (kernel, agent) = match &self.0 {
            Place::Near { kernel, agent } => (*kernel, *agent),
            Place::Far(far) => {
                let call = FarCall::new(far, method.to_string(), args);
                call.detach(latency);
                return Box::pin(call);
            }
        };
        match vtable(kernel, agent) {
            Ok(vtable) => (vtable.ask)(agent, method, args),
            Err(error) => Box::pin(std::future::ready(Err(error))),
        }
    }

    pub(crate) fn post(&self, method: &str, args: Args) {
        let (kernel, agent) = match &self.0 {
            Place::Near { kernel, agent } => (*kernel, *agent),
            Place::Far(far) => return far.post(method, args),
        };
        let sent = vtable(kernel, agent).and_then(|vtable| (vtable.post)(agent, method, args));
        if let Err(error) = sent {
            local::dead_letter(|| match local::kernel() == Some(kernel) {
                true => format!("`{method}` to {}: {error}", local::path(agent)),
                false => format!("`{method}` to agent {} of another container", agent.ordinal()),
            });
        }
    }
}

fn vtable(kernel: u16, agent: AgentId) -> Result<&'static Vtable, CallError> {
    let here = local::kernel() == Some(kernel);
    let facet = here.then(|| local::facet(agent)).flatten();
    let unknown = || {
        let whose = if here { "" } else { " of another container" };
        CallError::new("LookupError", format!("no agent {}{whose} is here", agent.ordinal()))
    };
    facet.and_then(|facet| facet.downcast_ref::<Vtable>()).ok_or_else(unknown)
}

/// What a typed proxy is made of.
#[doc(hidden)]
pub enum Target<A> {
    /// An agent of this container.
    Near(Ref<A>),
    /// One elsewhere.
    Far(Far),
}

impl<A> Clone for Target<A> {
    #[inline]
    fn clone(&self) -> Self {
        match self {
            Target::Near(agent) => Target::Near(*agent),
            Target::Far(far) => Target::Far(far.clone()),
        }
    }
}

impl<A> PartialEq for Target<A> {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Target::Near(one), Target::Near(other)) => one == other,
            (Target::Far(one), Target::Far(other)) => one == other,
            _ => false,
        }
    }
}

impl<A> Eq for Target<A> {}

impl<A> fmt::Debug for Target<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Target::Near(agent) => agent.fmt(f),
            Target::Far(far) => f.write_str(far.text()),
        }
    }
}

impl<A: Agent> Target<A> {
    /// The agent, if it is one of this container; else one that is nowhere.
    #[inline]
    pub fn agent(&self) -> Ref<A> {
        match self {
            Target::Near(agent) => *agent,
            Target::Far(_) => Ref::nowhere(),
        }
    }

    /// A request to it.
    #[inline(always)]
    pub fn call<R>(&self, message: A::Msg, take: Take<R, A>) -> Call<R, A> {
        match self {
            Target::Near(agent) => Call::near(agent.call(message), take),
            Target::Far(far) => Call::far(far, message, take),
        }
    }

    /// The same address, untyped.
    pub fn untyped(&self) -> Proxy {
        match self {
            Target::Near(agent) => Proxy::from(*agent),
            Target::Far(far) => Proxy(Place::Far(far.clone())),
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

/// How an agent gets to know another one elsewhere: by its address.
///
/// ```no_run
/// use isochrone::prelude::*;
///
/// struct Asker { peer: String }
///
/// #[agent]
/// impl Asker {
///     #[every(minutes = 1)]
///     async fn ask(this: This<Self>) -> Result<(), CallError> {
///         let peer = Proxy::connect(&this.with(|me| me.peer.clone()), secs(5)).await?;
///         let kw: f64 = peer.call("power").returning().await?;
///         println!("{kw} kW");
///         Ok(())
///     }
/// }
/// ```
pub trait Connect: DeserializeOwned {
    /// Connects to the agent at an address, `tcp://host:port/agent`, and makes sure that it is there. While nobody listens
    /// there, it is tried again for as long as `patience` lasts: zero is one attempt. Works in the code of agents; for
    /// set-up code there is [`Container::connect`](super::Container::connect).
    ///
    /// It is an [external operation](super::Externals::external) of latency zero, so simulated time stands meanwhile.
    fn connect(url: &str, patience: Duration) -> Connecting<Self> {
        Connecting { url: url.into(), patience, running: None, kind: PhantomData }
    }
}

impl Connect for Proxy {}

/// See [`Connect::connect`].
#[must_use = "it does nothing until it is awaited"]
pub struct Connecting<P> {
    url: String,
    patience: Duration,
    running: Option<External<Answer>>,
    kind: PhantomData<fn() -> P>,
}

impl<P> fmt::Debug for Connecting<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Connecting({})", self.url)
    }
}

impl<P> Connecting<P> {
    fn start(&self) -> Result<External<Answer>, CallError> {
        let work = connecting(&self.url, self.patience)?;
        let cx = local::ctx().ok_or_else(|| {
            CallError::new("RuntimeError", "only agents connect inside a kernel: use Container::connect")
        })?;
        Ok(cx.external_of(Errand::new(format!("connect {}", self.url), move || work), Duration::ZERO))
    }
}

impl<P: DeserializeOwned> Future for Connecting<P> {
    type Output = Result<P, CallError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if self.running.is_none() {
            match self.start() {
                Ok(running) => self.running = Some(running),
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
        let Some(running) = &mut self.running else { return Poll::Pending };
        let answer = std::task::ready!(Pin::new(running).poll(cx));
        Poll::Ready(answer.and_then(met))
    }
}

/// Connects; what comes out is the text of the agent's proxy.
pub(crate) fn connecting(url: &str, patience: Duration) -> Result<Work<Answer>, CallError> {
    let address: Address = url.parse().map_err(|error| CallError::new("ValueError", format!("{error}")))?;
    if address.agent().is_none() {
        return Err(CallError::new("ValueError", format!("{url} names no agent: write {url}/agent")));
    }
    let outside = Outside::here().ok_or_else(|| {
        let text = "this container is not connected to others: bind it to an address first";
        CallError::disconnected(format!("{url}: {text}"))
    })?;
    let connecting = outside.connect(address, patience);
    Ok(Box::pin(async move { Ok(Value::Proxy(Reference::from_text(connecting.await?))) }))
}

/// The proxy of an agent that was connected to; inside the kernel.
pub(crate) fn met<P: DeserializeOwned>(proxy: Value) -> Result<P, CallError> {
    from_value(proxy).map_err(|error| CallError::lookup_error(error.to_string()))
}

impl<A> From<Ref<A>> for Proxy {
    fn from(agent: Ref<A>) -> Self {
        Proxy(Place::Near { kernel: agent.kernel(), agent: agent.id() })
    }
}

impl From<Far> for Proxy {
    fn from(far: Far) -> Self {
        Proxy(Place::Far(far))
    }
}

/// Where an agent of the running container is, as others find it.
fn announced_address(agent: AgentId) -> Address {
    match Outside::here() {
        Some(outside) if outside.numbers() => outside.announced().agent(&agent.ordinal().to_string()),
        Some(outside) => outside.announced().agent(&local::path(agent)),
        None => own_address(agent),
    }
}

/// What an agent is called within its container.
fn own_address(agent: AgentId) -> Address {
    Endpoint::Local { name: local::container() }.agent(&local::path(agent))
}

impl Serialize for Proxy {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match &self.0 {
            Place::Far(far) => Reference::from_text(far.text()).serialize(serializer),
            Place::Near { kernel, agent } if local::kernel() == Some(*kernel) => {
                Reference::from_text(own_address(*agent).to_string()).serialize(serializer)
            }
            Place::Near { .. } => {
                Err(serde::ser::Error::custom("an address can be written only in its own container"))
            }
        }
    }
}

impl<A: Agent> Serialize for Target<A> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.untyped().serialize(serializer)
    }
}

fn resolve(text: &str) -> Result<Place, String> {
    let outside = Outside::here();
    let address = text.parse::<Address>();
    if let Ok(address) = &address {
        let here = match &outside {
            Some(outside) => address.endpoint() == outside.announced(),
            None => false,
        };
        let own_name = matches!(address.endpoint(), Endpoint::Local { name } if *name == local::container());
        if let Some(kernel) = local::kernel().filter(|_| here || own_name) {
            let path = address.agent().ok_or_else(|| format!("{text:?} names no agent"))?;
            let agent = find(path)
                .ok_or_else(|| format!("no agent {path:?} is in container {:?}", local::container()))?;
            return Ok(Place::Near { kernel, agent });
        }
        if address.agent().is_none() {
            return Err(format!("{text:?} names no agent"));
        }
    }
    match (outside, address) {
        (Some(outside), _) => outside.far(text).map(Place::Far),
        (None, Ok(address)) => match address.endpoint() {
            Endpoint::Local { name } => Err(format!("container {name:?} is not here")),
            _ => Ok(Place::Far(Far::unreachable(text))),
        },
        (None, Err(error)) => Err(error.to_string()),
    }
}

/// The agent of the running container that a peer means: by its path, or by its number as aiomas counts.
pub(crate) fn find(path: &str) -> Option<AgentId> {
    local::find(path).or_else(|| {
        // one spelling of each number only
        let number: u32 = path.parse().ok().filter(|number: &u32| number.to_string() == path)?;
        let agent = AgentId::new(number);
        local::facet(agent).map(|_| agent)
    })
}

/// As [`find`], from outside of the kernel.
pub(crate) fn find_in(kernel: &Kernel, path: &str) -> Option<AgentId> {
    kernel.enter(|| find(path))
}

impl<'de> Deserialize<'de> for Proxy {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let reference = Reference::deserialize(deserializer)?;
        resolve(reference.as_text()).map(Proxy).map_err(D::Error::custom)
    }
}

/// Reads an address, and checks that an agent of this container is of type `A`.
impl<'de, A: Agent> Deserialize<'de> for Target<A> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let reference = Reference::deserialize(deserializer)?;
        match resolve(reference.as_text()).map_err(D::Error::custom)? {
            Place::Far(far) => Ok(Target::Far(far)),
            Place::Near { agent, .. } => match local::reference(agent) {
                Some(agent) => Ok(Target::Near(agent)),
                None => Err(D::Error::custom(format!("{:?} is no {}", reference.as_text(), A::TYPE))),
            },
        }
    }
}

impl FromStr for Proxy {
    type Err = CallError;

    /// Reads the address of an agent; works in code that a container runs.
    fn from_str(text: &str) -> Result<Self, CallError> {
        resolve(text).map(Proxy).map_err(|message| CallError::new("LookupError", message))
    }
}
