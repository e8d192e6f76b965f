//! A listener whose connections all have the same service, for programs that are no containers.
//!
//! Contract: connections have nothing to do with each other; an error on one ends that one. Beyond
//! [`Server::max_connections`] a further one is accepted and closed at once, and counted. A failing accept (no file
//! descriptors) is tried again after 100 ms.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::{TcpListener, ToSocketAddrs};
use tokio::task::JoinSet;

use super::{Peer, Service};
use crate::channel::{Config, prepare};

/// Before the next try to accept.
const PAUSE: Duration = Duration::from_millis(100);

/// A TCP listener that serves RPC.
///
/// ```no_run
/// use isochrone::rpc::{Server, Service};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> std::io::Result<()> {
/// let server = Server::bind("127.0.0.1:5555").await?;
/// server.serve(Service::new()).await;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    /// Codec and limits of the connections.
    pub config: Config,
    /// Connections at once (1,024).
    pub max_connections: usize,
}

impl Server {
    /// Listens on `host:port`; port 0 takes a free one.
    ///
    /// # Errors
    /// The address cannot be listened on.
    pub async fn bind(address: impl ToSocketAddrs) -> io::Result<Server> {
        let listener = TcpListener::bind(address).await?;
        Ok(Server { listener, config: Config::default(), max_connections: 1024 })
    }

    /// Where it listens.
    ///
    /// # Errors
    /// The system does not say.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Serves for ever. Each connection gets a task of the runtime; dropping the future ends them all.
    pub async fn serve(self, service: Service) {
        let mut connections = JoinSet::new();
        let mut refused: u64 = 0;
        loop {
            let accepted = self.listener.accept().await;
            while connections.try_join_next().is_some() {}
            let (stream, from) = match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    tracing::warn!("no connection can be accepted: {error}");
                    tokio::time::sleep(PAUSE).await;
                    continue;
                }
            };
            if connections.len() >= self.max_connections {
                refused += 1;
                tracing::warn!(
                    "{from} was refused, the {refused}th: {} connections are open",
                    connections.len()
                );
                continue;
            }
            if prepare(&stream).is_err() {
                continue;
            }
            let name = from.to_string();
            let (_, driver) = Peer::over(stream, &name, self.config.clone(), service.clone());
            connections.spawn(async move {
                if let Err(error) = driver.await {
                    tracing::debug!("{name}: {error}");
                }
            });
        }
    }
}
