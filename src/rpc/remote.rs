//! Proxies: what the peer has, and references to what we have.
//!
//! Why two: the wire carries a path relative to the *sender's* root. What is sent is an [`Own`] service;
//! what arrives is a [`Remote`], bound to the connection over which it came.
//!
//! Contract: a `Remote` can be sent nowhere, neither to a third party (it would look for the path in *our* services) nor back
//! (there is no way to name the receiver's own). Pass the address of an agent instead, and let the receiver connect.
//!
//! Failure modes: all of that fails the one call, before anything is sent.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::{Args, Call, Peer, Service, context};
use crate::codec::{Reference, Value};

/// Something that a peer has: its root, a service, an agent. Calls go over the connection it is bound to.
///
/// It can be received as an argument or result, and be called at once:
///
/// ```
/// use isochrone::rpc::{CallError, Remote};
///
/// async fn call_back(watcher: Remote, level: f64) -> Result<bool, CallError> {
///     watcher.call("raise").arg(level).kwarg("urgent", true).returning().await
/// }
/// ```
#[derive(Clone)]
pub struct Remote {
    peer: Peer,
    /// None for the root.
    path: Option<Arc<str>>,
}

impl fmt::Debug for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Remote({:?} at {:?})", self.path(), self.peer.name())
    }
}

/// Whether both lead to the same thing over the same connection.
impl PartialEq for Remote {
    fn eq(&self, other: &Self) -> bool {
        self.path == other.path && self.peer.is_same(&other.peer)
    }
}

impl Remote {
    pub(super) fn new(peer: Peer, path: &str) -> Self {
        Remote { peer, path: (!path.is_empty()).then(|| path.into()) }
    }

    /// The other end of its connection.
    pub fn peer(&self) -> &Peer {
        &self.peer
    }

    /// Where it is, from the peer's root; that itself is empty.
    pub fn path(&self) -> &str {
        self.path.as_deref().unwrap_or_default()
    }

    /// What is below: `remote.at("sub")`.
    #[must_use]
    pub fn at(&self, path: &str) -> Remote {
        Remote::new(self.peer.clone(), &self.join(path))
    }

    /// Asks for a method by its path from here.
    pub fn call(&self, method: &str) -> Call<Value, Args> {
        Call::new(self, Cow::Owned(method.to_owned()), Args::default())
    }

    /// The path of what is below.
    pub(super) fn join<'a>(&self, below: &'a str) -> Cow<'a, str> {
        match (self.path(), below) {
            ("", below) => below.into(),
            (path, "") => Cow::Owned(path.to_owned()),
            (path, below) => Cow::Owned(format!("{path}/{below}")),
        }
    }
}

impl Serialize for Remote {
    fn serialize<S: Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
        Err(serde::ser::Error::custom(format_args!(
            "a proxy belongs to the connection over which it came ({}) and cannot be passed on: pass the address and let \
             the receiver connect",
            self.peer.name()
        )))
    }
}

impl<'de> Deserialize<'de> for Remote {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let path = match Reference::deserialize(deserializer)? {
            Reference::Path(path) => path,
            other => {
                return Err(de::Error::custom(format_args!(
                    "expected a proxy of this connection, got {other}"
                )));
            }
        };
        match context::current(|peer| peer.cloned()) {
            Some(peer) => Ok(Remote::new(peer, &path)),
            None => Err(de::Error::custom("a proxy can be read only from a connection")),
        }
    }
}

/// A reference to an own service, to be sent: the receiver gets a proxy of it.
///
/// It comes from [`Peer::own`] or [`Service::own`].
#[derive(Clone, Debug, PartialEq)]
pub struct Own {
    /// The root it is below.
    service: Service,
    path: Arc<str>,
}

impl Own {
    pub(super) fn new(service: Service, path: &str) -> Self {
        Own { service, path: path.into() }
    }

    /// Where it is, from our root.
    pub fn path(&self) -> &str {
        &self.path
    }
}

impl Serialize for Own {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        context::current(|peer| match peer {
            Some(peer) if peer.service() != Some(&self.service) => {
                Err(serde::ser::Error::custom(format_args!(
                    "{:?} is not exposed for the connection to {}: it is below another root",
                    &*self.path,
                    peer.name()
                )))
            }
            _ => Ok(()),
        })?;
        Reference::Path(self.path.to_string()).serialize(serializer)
    }
}
