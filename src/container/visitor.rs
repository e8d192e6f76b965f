//! Programs that are no containers and call agents: tools, scripts, tests.
//!
//! Contract: a visitor says hello as containers do, so our containers tell it what they have; agents of aiomas can be called
//! as well, and tell no more than the names of their classes.

use std::time::Duration;

use super::conn::AGENTS;
use super::hello;
use crate::channel::transport::{ConnectOptions, connect_within};
use crate::channel::{Config, Endpoint};
use crate::codec::{Types, Value};
use crate::rpc::{Args, Call, CallError, Peer, Service};

/// A connection to a container from a program that is none.
///
/// ```no_run
/// use isochrone::channel::{Address, Config, transport::ConnectOptions};
/// use isochrone::container::Visitor;
/// use isochrone::prelude::*;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let endpoint = "tcp://localhost:5555".parse()?;
/// let visitor = Visitor::connect(&endpoint, &ConnectOptions::default(), Config::default(), secs(5)).await?;
/// let kw: f64 = visitor.call("house", "set").arg(2.5).kwarg("scale", 2).returning().await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Visitor {
    peer: Peer,
}

impl Visitor {
    /// Connects; tried for as long as `patience` lasts, at least once. Needs a tokio runtime with I/O and time, in which the
    /// connection gets a task.
    ///
    /// # Errors
    /// `Disconnected`: nobody is there.
    pub async fn connect(
        endpoint: &Endpoint,
        options: &ConnectOptions,
        mut config: Config,
        patience: Duration,
    ) -> Result<Visitor, CallError> {
        let stream = connect_within(endpoint, options, patience)
            .await
            .map_err(|error| CallError::disconnected(error.to_string()))?;
        config.types = Types::container([""; 0]).with_addresses();
        let who = stream.peer().clone();
        let (peer, driver) = Peer::over(stream, who, config, Service::new());
        peer.close_when_unused();
        tokio::spawn(driver);
        Ok(Visitor { peer })
    }

    /// The other end.
    pub fn peer(&self) -> &Peer {
        &self.peer
    }

    /// Whether it is a container of ours: says hello. An answer that takes longer than `patience` is none.
    pub async fn is_ours(&self, patience: Duration) -> bool {
        let asking =
            Call::<Value, Args>::new(&self.peer.remote(), hello::HELLO, hello::told(None, "a visitor"));
        let answer = tokio::time::timeout(patience, asking).await;
        answer.is_ok_and(|answer| answer.is_ok_and(|told| told.as_list().and_then(hello::heard).is_some()))
    }

    /// The type of an agent; `None` if there is no such agent.
    ///
    /// # Errors
    /// The connection is lost, or this is no container.
    pub async fn kind_of(&self, agent: &str) -> Result<Option<String>, CallError> {
        self.peer.call("validate_aid").arg(agent).returning().await
    }

    /// Asks an agent for a method by name.
    pub fn call(&self, agent: &str, method: &str) -> Call<Value, Args> {
        self.peer.call(&format!("{AGENTS}{agent}/{method}"))
    }

    /// What a container of ours has: `agents`, each as number, name and type; `types` with their methods' signatures and
    /// docs; `next`, the number from which to ask for more, if not all were told. Of one agent only, if it is named.
    ///
    /// # Errors
    /// A LookupError if there is no such agent, or if it is no container of ours.
    pub async fn list(&self, agent: Option<&str>, first: u32) -> Result<Value, CallError> {
        let asking = self.peer.call(hello::LIST).kwarg("first", first);
        match agent {
            Some(agent) => asking.kwarg("agent", agent).await,
            None => asking.await,
        }
    }
}
