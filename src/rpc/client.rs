//! A connection that was opened to call somebody, for programs that are no containers.

use std::time::Duration;

use super::{Args, Call, Peer, Remote, Service};
use crate::channel::transport::{ConnectOptions, connect};
use crate::channel::{Config, ConnectError, endpoint};
use crate::codec::{Types, Value};

/// Time for what was accepted, when a client is closed.
const GRACE: Duration = Duration::from_secs(5);

/// A connection to a server.
///
/// It closes by itself when it and every proxy of it has been dropped, after what was sent is answered.
///
/// ```no_run
/// use isochrone::rpc::Client;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let client = Client::connect("localhost:5555").await?;
/// let sum: i64 = client.call("add").arg(1).arg(2).returning().await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Client(Peer);

impl Client {
    /// Connects to `host:port`, `tcp://host:port` or `ipc://[path]`, with JSON and nothing that the server could call.
    ///
    /// Needs a tokio runtime with I/O and time, in which the connection gets a task.
    ///
    /// # Errors
    /// Nobody listens there.
    pub async fn connect(address: &str) -> Result<Client, ConnectError> {
        let config = Config { types: Types::rpc([""; 0]), ..Config::default() };
        Client::connect_with(address, &ConnectOptions::default(), config, Service::new()).await
    }

    /// The same with another codec, other limits or TLS, and with a service for the server's calls.
    ///
    /// # Errors
    /// Nobody listens there.
    pub async fn connect_with(
        address: &str,
        options: &ConnectOptions,
        config: Config,
        service: Service,
    ) -> Result<Client, ConnectError> {
        let stream = connect(&endpoint(address)?, options).await?;
        let who = stream.peer().clone();
        let (peer, driver) = Peer::over(stream, who, config, service);
        peer.close_when_unused();
        tokio::spawn(driver);
        Ok(Client(peer))
    }

    /// The connection's other end.
    pub fn peer(&self) -> &Peer {
        &self.0
    }

    /// A proxy of the server's root. Typed proxies are made of it: `CalcProxy::from(client.remote())`.
    pub fn remote(&self) -> Remote {
        self.0.remote()
    }

    /// Asks for a method by its path.
    pub fn call(&self, path: &str) -> Call<Value, Args> {
        self.0.call(path)
    }

    /// Closes the connection when everything that was sent is answered, after five seconds at the latest.
    pub async fn close(self) {
        self.0.shutdown(GRACE).await;
    }
}
