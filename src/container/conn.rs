//! One connection to another container: who is there, and what proxies mean on it.
//!
//! Why proxies are translated here: aiomas sends paths that mean something on one connection only, our peers send addresses.
//! Within a kernel there are only texts that mean the same everywhere in it, and in its repetition:
//!
//! | text | stands for | may be sent to |
//! |------|------------|----------------|
//! | `local://grid/agent` | an agent of the container `grid` itself | ours, as its address; aiomas, as its path |
//! | `tcp://host:port/agent` | an agent elsewhere | ours |
//! | `via://7/agents/0` | what the peer of our connection 7 has at that path | nobody |
//!
//! Contract: a connection is counted from 1 in its container, never twice. A proxy of a peer whose address is known (we
//! connected to it, or it said hello) gets that address.
//!
//! Failure modes: a proxy that means nothing to the peer fails the one call, before anything is sent.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, watch};

use crate::agent::far::Answer;
use crate::channel::{Address, Endpoint};
use crate::codec::{Reference, Value};
use crate::rpc::{self, Args, CallError, Peer};

/// What stands for what a connection's peer has.
pub(super) const VIA: &str = "via://";

/// Where agents are below the root that is served to peers.
pub(super) const AGENTS: &str = "agents/";

/// Where agents of ours are.
#[derive(Debug)]
pub(super) struct Own {
    /// For others.
    pub(super) announced: Endpoint,
    /// Within the container.
    pub(super) local: Endpoint,
}

impl Own {
    /// A proxy of our kernel, as others understand it.
    pub(super) fn outward(&self, reference: Reference) -> Result<Reference, CallError> {
        let Reference::Address(text) = &reference else { return Ok(reference) };
        if text.starts_with(VIA) {
            return Err(CallError::type_error(format!(
                "a proxy from a connection ({text}) cannot be passed on: its agent has no address that we know"
            )));
        }
        Ok(match text.parse::<Address>() {
            Ok(address) if *address.endpoint() == self.local => moved(&address, &self.announced),
            _ => reference,
        })
    }

    /// A proxy of others', as our kernel understands it.
    fn inward(&self, reference: Reference) -> Reference {
        match reference.as_text().parse::<Address>() {
            Ok(address) if *address.endpoint() == self.announced => moved(&address, &self.local),
            _ => reference,
        }
    }
}

/// The agent of this name at another place.
fn moved(address: &Address, to: &Endpoint) -> Reference {
    Reference::Address(to.agent(address.agent().unwrap_or_default()).to_string())
}

/// One connection, either way.
#[derive(Debug)]
pub(super) struct Conn {
    pub(super) number: u64,
    own: Arc<Own>,
    identities: Vec<String>,
    known: Mutex<Known>,
    /// Whether our hello has been answered, or never will be, or nobody said one.
    introduced: watch::Sender<bool>,
    /// Told when something has been answered that was asked after our hello.
    later: Notify,
}

#[derive(Debug)]
struct Known {
    name: Arc<str>,
    /// Whether it is one of ours: it has said hello, or answered it.
    ours: bool,
    /// Where its agents are.
    endpoint: Option<Endpoint>,
    /// The way there; `None` before it is open and when it is closed.
    peer: Option<Peer>,
}

impl Conn {
    /// A connection to whom `name` tells; `endpoint` is where we have connected to.
    pub(super) fn new(
        number: u64,
        own: Arc<Own>,
        name: &str,
        identities: Vec<String>,
        endpoint: Option<Endpoint>,
    ) -> Self {
        // who connects to us says hello first, or never
        let introduced = watch::Sender::new(endpoint.is_none());
        let known = Known { name: name.into(), ours: false, endpoint, peer: None };
        Conn { number, own, identities, known: Mutex::new(known), introduced, later: Notify::new() }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        // every critical section is one look or store
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn name(&self) -> Arc<str> {
        self.known().name.clone()
    }

    pub(super) fn identities(&self) -> &[String] {
        &self.identities
    }

    pub(super) fn open(&self, peer: Peer) {
        self.known().peer = Some(peer);
    }

    /// Lets the connection go: whoever still has proxies of its peer gets errors.
    pub(super) fn close(&self) {
        let peer = self.known().peer.take();
        drop(peer);
    }

    /// The way there, as long as it is open.
    pub(super) fn peer(&self) -> Option<Peer> {
        self.known().peer.clone().filter(|peer| peer.ended().is_none())
    }

    /// The peer has said hello, or answered ours, and is there.
    pub(super) fn heard(&self, endpoint: Option<Endpoint>) {
        let mut known = self.known();
        known.ours = true;
        // a peer that we have connected to is where we have found it
        if let (None, Some(endpoint)) = (&known.endpoint, endpoint) {
            known.name = endpoint.to_string().into();
            known.endpoint = Some(endpoint);
        }
    }

    /// Our hello has been answered, one way or the other.
    pub(super) fn introduce(&self) {
        self.introduced.send_replace(true);
    }

    /// Waits until something has been answered that was asked after our hello: peers of ours answer that first, so a hello
    /// without an answer will get none.
    pub(super) async fn passed_over(&self) {
        self.later.notified().await;
    }

    /// Whether the peer has answered our hello: there is somebody, not only an open port.
    pub(super) fn has_answered(&self) -> bool {
        *self.introduced.borrow()
    }

    /// Calls what the peer has at `path`.
    pub(super) async fn call(&self, path: String, args: Args) -> Answer {
        self.know_enough(&args).await;
        let answer = self.start(path, args)?.await;
        if !*self.introduced.borrow() {
            self.later.notify_one();
        }
        self.import(answer?)
    }

    /// Sends a one-way message.
    pub(super) async fn post(&self, path: String, args: Args) -> Result<(), CallError> {
        self.know_enough(&args).await;
        self.start(path, args)?.send()
    }

    /// Waits until it is known who is there, but only where all depends on it: with a third party's address, which a program
    /// of aiomas cannot be sent. Not for the answer to our hello, which may never come, but for that to a question that
    /// both kinds answer.
    async fn know_enough(&self, args: &Args) {
        let foreign = |value: &Value| is_foreign(value, &self.own);
        if *self.introduced.borrow()
            || !(args.positional.iter().any(foreign) || args.keyword.iter().any(|(_, value)| foreign(value)))
        {
            return;
        }
        let Some(peer) = self.peer() else { return };
        let mut introduced = self.introduced.subscribe();
        let asking = async {
            let _ = peer.call("validate_aid").arg("0").await;
            self.later.notify_one();
            std::future::pending::<()>().await;
        };
        tokio::select! {
            biased;
            _ = introduced.wait_for(|known| *known) => {}
            // then the call says why
            _ = peer.closed() => {}
            () = asking => {}
        }
    }

    fn start(&self, path: String, args: Args) -> Result<rpc::Call<Value, Args>, CallError> {
        let peer = self
            .peer()
            .ok_or_else(|| CallError::disconnected(format!("the connection to {} is closed", self.name())))?;
        let args = each(args, |value| self.export(value))?;
        Ok(rpc::Call::new(&peer.remote(), path, args))
    }

    /// Arguments of the peer, as our kernel understands them.
    pub(super) fn import_args(&self, args: Args) -> Result<Args, CallError> {
        each(args, |value| self.import(value))
    }

    /// What the peer sent, as our kernel understands it.
    pub(super) fn import(&self, value: Value) -> Result<Value, CallError> {
        translate(value, &|reference| match reference {
            Reference::Path(path) => {
                let known = self.known();
                Ok(match (&known.endpoint, path.strip_prefix(AGENTS)) {
                    (Some(endpoint), Some(agent)) => Reference::Address(endpoint.agent(agent).to_string()),
                    _ => Reference::Address(format!("{VIA}{}/{path}", self.number)),
                })
            }
            address => Ok(self.own.inward(address)),
        })
    }

    /// What our kernel sends, as the peer understands it.
    pub(super) fn export(&self, value: Value) -> Result<Value, CallError> {
        translate(value, &|reference| {
            let reference = self.own.outward(reference)?;
            let Reference::Address(text) = &reference else { return Ok(reference) };
            if self.known().ours {
                return Ok(reference);
            }
            match text.parse::<Address>() {
                Ok(address) if *address.endpoint() == self.own.announced => {
                    Ok(Reference::Path(format!("{AGENTS}{}", address.agent().unwrap_or_default())))
                }
                _ => Err(CallError::type_error(format!(
                    "the proxy of {text} cannot be passed on to {}, which knows proxies of its own connections only (it is an \
                     aiomas program): pass the address as text, and let it connect",
                    self.name()
                ))),
            }
        })
    }
}

/// Arguments, each translated.
pub(super) fn each(
    args: Args,
    translate: impl Fn(Value) -> Result<Value, CallError>,
) -> Result<Args, CallError> {
    args.check()?;
    if !args.positional.iter().any(holds_proxy) && !args.keyword.iter().any(|(_, value)| holds_proxy(value)) {
        return Ok(args);
    }
    let positional: Result<_, _> = args.positional.into_iter().map(&translate).collect();
    let keyword: Result<_, CallError> =
        args.keyword.into_iter().map(|(name, value)| Ok((name, translate(value)?))).collect();
    Ok(Args::new(positional?, keyword?))
}

/// Whether a proxy within is of an agent that is not ours.
fn is_foreign(value: &Value, own: &Own) -> bool {
    match value {
        Value::Proxy(reference) => {
            let own = |address: Address| [&own.local, &own.announced].contains(&address.endpoint());
            !reference.as_text().parse().is_ok_and(own)
        }
        Value::List(items) => items.iter().any(|item| is_foreign(item, own)),
        Value::Map(entries) => entries.iter().any(|(_, value)| is_foreign(value, own)),
        Value::Object(object) => is_foreign(&object.data, own),
        _ => false,
    }
}

/// Whether there is anything to translate.
fn holds_proxy(value: &Value) -> bool {
    match value {
        Value::Proxy(_) => true,
        Value::List(items) => items.iter().any(holds_proxy),
        Value::Map(entries) => entries.iter().any(|(_, value)| holds_proxy(value)),
        Value::Object(object) => holds_proxy(&object.data),
        _ => false,
    }
}

/// Replaces the proxies within a value.
pub(super) fn translate(
    value: Value,
    each: &dyn Fn(Reference) -> Result<Reference, CallError>,
) -> Result<Value, CallError> {
    if holds_proxy(&value) { replace(value, each) } else { Ok(value) }
}

fn replace(
    value: Value,
    each: &dyn Fn(Reference) -> Result<Reference, CallError>,
) -> Result<Value, CallError> {
    Ok(match value {
        Value::Proxy(reference) => Value::Proxy(each(reference)?),
        Value::List(items) => {
            Value::List(items.into_iter().map(|item| replace(item, each)).collect::<Result<_, _>>()?)
        }
        Value::Map(entries) => {
            let entry = |(key, value)| Ok((key, replace(value, each)?));
            Value::Map(entries.into_iter().map(entry).collect::<Result<_, CallError>>()?)
        }
        Value::Object(mut object) => {
            object.data = replace(object.data, each)?;
            Value::Object(object)
        }
        plain => plain,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn conn(endpoint: Option<&str>) -> Conn {
        let endpoint = endpoint.map(|text| text.parse().unwrap());
        let own = Own { announced: "tcp://me:1".parse().unwrap(), local: "local://grid".parse().unwrap() };
        Conn::new(7, own.into(), "tcp://them:9", Vec::new(), endpoint)
    }

    fn proxy(text: &str) -> Value {
        Value::Proxy(Reference::from_text(text))
    }

    #[test]
    fn a_path_becomes_an_address_where_the_peer_has_one_and_else_belongs_to_its_connection() {
        let nested = |text: &str| Value::list([Value::map([("p", proxy(text))])]);
        assert_eq!(conn(None).import(nested("agents/0")).unwrap(), nested("via://7/agents/0"));
        assert_eq!(conn(Some("tcp://them:5")).import(nested("agents/0")).unwrap(), nested("tcp://them:5/0"));
        assert_eq!(conn(Some("tcp://them:5")).import(nested("sub")).unwrap(), nested("via://7/sub"));
        let met = conn(None);
        met.heard(Some("tcp://them:6".parse().unwrap()));
        assert_eq!(met.import(nested("agents/h/1")).unwrap(), nested("tcp://them:6/h/1"));
        assert_eq!(met.import(nested("tcp://third:6/0")).unwrap(), nested("tcp://third:6/0"));
        assert_eq!(met.import(nested("tcp://me:1/h")).unwrap(), nested("local://grid/h"), "it is our own");
    }

    #[test]
    fn aiomas_gets_paths_of_our_own_agents_and_nothing_else() {
        let aiomas = conn(Some("tcp://them:5"));
        assert_eq!(aiomas.export(proxy("local://grid/house")).unwrap(), proxy("agents/house"));
        let refused = aiomas.export(proxy("tcp://third:6/0")).unwrap_err();
        assert!(refused.message().contains("pass the address as text"), "{refused}");
        let ours = conn(None);
        ours.heard(None);
        assert_eq!(ours.export(proxy("local://grid/house")).unwrap(), proxy("tcp://me:1/house"));
        assert_eq!(ours.export(proxy("tcp://third:6/0")).unwrap(), proxy("tcp://third:6/0"));
        for conn in [aiomas, ours] {
            let refused = conn.export(proxy("via://3/agents/0")).unwrap_err();
            assert!(refused.message().contains("cannot be passed on"), "{refused}");
        }
    }
}
