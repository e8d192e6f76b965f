//! A listener whose connections all have the same service, for programs that are no containers.
//!
//! Contract: connections have nothing to do with each other; an error on one ends that one.

use tokio::task::JoinSet;

use super::{Peer, Service};
use crate::channel::transport::{Incoming, ListenOptions, Listener, TransportError};
use crate::channel::{Config, ConnectError, Endpoint, endpoint};
use crate::codec::Types;

/// A listener that serves RPC.
///
/// ```no_run
/// use isochrone::rpc::{Server, Service};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), isochrone::channel::ConnectError> {
/// let server = Server::bind("localhost:5555").await?;
/// server.serve(Service::new()).await;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Server {
    listener: Listener,
    /// Codec and limits of the connections.
    pub config: Config,
}

impl Server {
    /// Listens on `host:port`, `tcp://host:port` or `ipc://[path]`; port 0 takes a free one.
    ///
    /// # Errors
    /// The address cannot be listened on.
    pub async fn bind(address: &str) -> Result<Server, ConnectError> {
        Server::bind_with(address, ListenOptions::default()).await
    }

    /// The same with TLS, or other limits.
    ///
    /// # Errors
    /// The address cannot be listened on.
    pub async fn bind_with(address: &str, options: ListenOptions) -> Result<Server, ConnectError> {
        let listener = Listener::bind(&endpoint(address)?, options).await?;
        let config = Config { types: Types::rpc([""; 0]), ..Config::default() };
        Ok(Server { listener, config })
    }

    /// Where it listens, with the real port.
    pub fn endpoint(&self) -> &Endpoint {
        self.listener.endpoint()
    }

    /// Serves for ever. Each connection gets a task of the runtime; dropping the future ends them all.
    pub async fn serve(mut self, service: Service) {
        let mut connections = JoinSet::new();
        loop {
            let incoming = self.listener.accept().await;
            while connections.try_join_next().is_some() {}
            let (config, service) = (self.config.clone(), service.clone());
            connections.spawn(async move {
                if let Err(error) = connection(incoming, config, service).await {
                    tracing::debug!("{error}");
                }
            });
        }
    }
}

async fn connection(incoming: Incoming, config: Config, service: Service) -> Result<(), TransportError> {
    let stream = incoming.establish().await?;
    let who = stream.peer().clone();
    let (_peer, driver) = Peer::over(stream, who, config, service);
    // which says on the log how it has ended
    let _ = driver.await;
    Ok(())
}
