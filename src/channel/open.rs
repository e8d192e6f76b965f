//! Channels over sockets, as aiomas opens them.
//!
//! Contract: a connection gets a task of the runtime. Connections have nothing to do with each other.

use std::future::Future;

use tokio::task::JoinSet;

use super::transport::{ConnectOptions, ListenOptions, Listener, TransportError, connect};
use super::{AddressError, Config, Endpoint, Link};

/// Why there is no connection, or nobody can connect.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// The address is none.
    #[error(transparent)]
    Address(#[from] AddressError),
    /// Nobody can be reached there, or it cannot be listened on.
    #[error(transparent)]
    Transport(#[from] TransportError),
}

/// `host:port`, or an address with its scheme.
pub(crate) fn endpoint(address: &str) -> Result<Endpoint, AddressError> {
    if address.contains("://") { address.parse() } else { format!("tcp://{address}").parse() }
}

/// Connects to `host:port`, `tcp://host:port`, `ipc://[path]` or `local://name`. The connection ends when the last handle of it
/// is dropped.
///
/// Needs a tokio runtime with I/O and time.
///
/// # Errors
/// Nobody listens there.
pub async fn open_connection(address: &str, config: Config) -> Result<Link, ConnectError> {
    let stream = connect(&endpoint(address)?, &ConnectOptions::default()).await?;
    let who = stream.peer().clone();
    let (link, driver) = Link::over(stream, who, config);
    link.close_when_unused();
    tokio::spawn(driver);
    Ok(link)
}

/// Channels that others open to us. Dropping it ends them all.
#[derive(Debug)]
pub struct Listening {
    endpoint: Endpoint,
    tasks: JoinSet<()>,
}

impl Listening {
    /// Where it listens, with the real port.
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// Serves for ever.
    pub async fn forever(mut self) {
        while self.tasks.join_next().await.is_some() {}
    }
}

/// Listens, and runs `client` with every connection in a task of its own; the connection ends when that has ended and
/// dropped its handles.
///
/// ```
/// use isochrone::channel::{Config, open_connection, start_server};
/// use isochrone::codec::Value;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let server = start_server("127.0.0.1:0", Config::default(), |link| async move {
///     while let Some(request) = link.recv().await {
///         let content = request.content();
///         let _ = request.reply(&content);
///     }
/// })
/// .await?;
/// let link = open_connection(&server.endpoint().to_string(), Config::default()).await?;
/// assert_eq!(link.send(&Value::from("echo"))?.await, Ok(Value::from("echo")));
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// The address cannot be listened on.
pub async fn start_server<F>(
    address: &str,
    config: Config,
    client: impl Fn(Link) -> F + Send + 'static,
) -> Result<Listening, ConnectError>
where
    F: Future<Output = ()> + Send + 'static,
{
    let mut listener = Listener::bind(&endpoint(address)?, ListenOptions::default()).await?;
    let endpoint = listener.endpoint().clone();
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        let mut connections = JoinSet::new();
        loop {
            let incoming = listener.accept().await;
            while connections.try_join_next().is_some() {}
            let stream = match incoming.establish().await {
                Ok(stream) => stream,
                Err(error) => {
                    tracing::debug!("{error}");
                    continue;
                }
            };
            let who = stream.peer().clone();
            let (link, driver) = Link::over(stream, who, config.clone());
            link.close_when_unused();
            let client = client(link);
            connections.spawn(async move {
                let _ = tokio::join!(client, driver);
            });
        }
    });
    Ok(Listening { endpoint, tasks })
}
