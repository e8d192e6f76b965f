//! The other end of one connection.
//!
//! Contract: a `Peer` is a handle, cheap to clone and free to go to other threads. A connection that was opened by
//! [`Client`](super::Client) ends by itself when the last handle (peer, proxy or call) is gone.

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};

use super::dispatch::Dispatcher;
use super::{Args, Call, CallError, Own, Remote, Service};
use crate::channel::{ChannelError, Config, Core, Counters, Driver, Link, transport};
use crate::codec::Value;

/// A handle to the other end of a connection: calls go there, and it can call what our [`Service`] has.
#[derive(Clone)]
pub struct Peer(Link);

impl fmt::Debug for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Peer({:?})", self.name())
    }
}

impl Peer {
    /// Speaks RPC over any stream, with whoever is said to be at its other end; `service` is what that may call.
    ///
    /// The returned future moves the bytes and answers the requests: spawn it, or poll it beside others. It ends with the
    /// connection, with the reason if that is an error.
    ///
    /// ```
    /// use isochrone::channel::Config;
    /// use isochrone::rpc::{Args, Entry, Peer, Service};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), isochrone::rpc::CallError> {
    /// let (near, far) = tokio::io::duplex(1024);
    /// let service = Service::new().with("ping", Entry::function(|_, _| Ok("pong".into())));
    /// let (_, server) = Peer::over(far, "a client", Config::default(), service);
    /// let (peer, client) = Peer::over(near, "a server", Config::default(), Service::new());
    /// tokio::spawn(server);
    /// tokio::spawn(client);
    /// assert_eq!(peer.call("ping").await?.as_str(), Some("pong"));
    /// # Ok(())
    /// # }
    /// ```
    pub fn over<S, W>(
        stream: S,
        who: W,
        config: Config,
        service: Service,
    ) -> (Peer, impl Future<Output = Result<(), ChannelError>> + use<S, W>)
    where
        S: AsyncRead + AsyncWrite + Unpin,
        W: Into<transport::Peer>,
    {
        let owner = service.clone();
        let (link, driver) =
            Driver::new(stream, who.into(), config, owner, |core| Dispatcher::new(core, service));
        (Peer(link), driver)
    }

    pub(super) fn of(core: &Arc<Core>) -> Peer {
        Peer(core.own_link())
    }

    /// A handle that does not keep the connection in use; its clones do.
    pub(super) fn uncounted(&self) -> Peer {
        Peer::of(self.0.core())
    }

    /// Where the other end is, for messages.
    pub fn name(&self) -> &str {
        &self.0.peer().address
    }

    /// Who is at the other end, as far as the transport knows.
    pub fn who(&self) -> &transport::Peer {
        self.0.peer()
    }

    /// What the other end may call.
    ///
    /// ```
    /// # use isochrone::{channel::Config, rpc::{Peer, Service}};
    /// # let (near, _far) = tokio::io::duplex(64);
    /// let service = Service::new();
    /// let (peer, _driver) = Peer::over(near, "peer", Config::default(), service.clone());
    /// assert_eq!(peer.service(), Some(&service));
    /// ```
    pub fn service(&self) -> Option<&Service> {
        self.0.core().owner()
    }

    /// A proxy of the peer's root.
    pub fn remote(&self) -> Remote {
        self.proxy("")
    }

    /// A proxy of what the peer has at `path`. Whether it is there shows when it is called.
    pub fn proxy(&self, path: &str) -> Remote {
        Remote::new(self.clone(), path)
    }

    /// Asks for a method by its path: `peer.call("agents/0/bid").arg(1.5).await?`.
    pub fn call(&self, path: &str) -> Call<Value, Args> {
        self.remote().call(path)
    }

    /// A reference to an own service, to be passed to this peer as an argument or result.
    ///
    /// # Errors
    /// A LookupError if nothing is at `path`; the empty path is the root.
    pub fn own(&self, path: &str) -> Result<Own, CallError> {
        match self.service() {
            Some(service) => service.own(path),
            None => Err(CallError::lookup_error("nothing is exposed for this connection")),
        }
    }

    /// Lets the connection end when its last handle is dropped. A server's connections end with their peers instead.
    pub fn close_when_unused(&self) {
        self.0.close_when_unused();
    }

    /// Ends the connection when everything that was accepted is answered, or after `grace`; waits until it has.
    pub async fn shutdown(&self, grace: Duration) {
        self.0.shutdown(grace);
        self.0.closed().await;
    }

    /// Why the connection has ended, if it has.
    pub fn ended(&self) -> Option<Arc<str>> {
        self.0.ended()
    }

    /// Waits for the end of the connection, and says why it has ended.
    pub async fn closed(&self) -> Arc<str> {
        self.0.closed().await
    }

    /// What was counted on this connection.
    pub fn counters(&self) -> Counters {
        self.0.counters()
    }

    /// Whether both are handles of the same connection.
    pub fn is_same(&self, other: &Peer) -> bool {
        Arc::ptr_eq(self.0.core(), other.0.core())
    }

    pub(super) fn link(&self) -> &Link {
        &self.0
    }
}
