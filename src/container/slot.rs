//! The one connection to another container: opened when it is first needed, lost, and found again.
//!
//! | state | a call | who tries to connect |
//! |-------|--------|----------------------|
//! | `Idle` | connects first | the call; others wait for the same attempt |
//! | `Open` | goes out | nobody |
//! | `Lost` | fails at once, with the reason | the slot, after waits that spread and grow ([`Backoff`]) while somebody has a proxy |
//!
//! Why calls do not try by themselves after a loss: a hundred agents that ask every second would be a storm at a server that
//! is about to come back. An explicit `connect` does try, each time.
//!
//! Contract: a proxy holds the slot, not the connection, and so stays valid.

use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};
use std::time::Duration;

use super::conn::Conn;
use super::neighbour::Site;
use super::node::Shared;
use crate::channel::Endpoint;
use crate::channel::transport::Backoff;
use crate::rpc::CallError;

/// Holders of a slot that are no proxies: the container's table, and the task that tries to connect.
const HOLDERS: usize = 2;

#[derive(Debug)]
pub(super) struct Slot {
    pub(super) endpoint: Endpoint,
    /// the container of this process that was found there first
    pub(super) near: OnceLock<Arc<Site>>,
    state: Mutex<State>,
    /// held by who connects
    connecting: tokio::sync::Mutex<()>,
    /// how long to wait before the next attempt: goes on from loss to loss until a peer has answered something
    backoff: Mutex<Backoff>,
}

#[derive(Debug)]
enum State {
    Idle,
    Open(Arc<Conn>),
    Lost(String),
}

impl Slot {
    pub(super) fn new(endpoint: Endpoint) -> Self {
        Slot {
            endpoint,
            near: OnceLock::new(),
            state: Mutex::new(State::Idle),
            connecting: tokio::sync::Mutex::new(()),
            backoff: Mutex::default(),
        }
    }

    fn set(&self, state: State) {
        let before =
            std::mem::replace(&mut *self.state.lock().unwrap_or_else(PoisonError::into_inner), state);
        drop(before);
    }

    /// The connection, if it is open; an error if it was lost.
    fn open(&self) -> Result<Option<Arc<Conn>>, CallError> {
        match &*self.state.lock().unwrap_or_else(PoisonError::into_inner) {
            State::Idle => Ok(None),
            State::Open(conn) => Ok(conn.peer().map(|_| conn.clone())),
            State::Lost(reason) => Err(CallError::disconnected(format!("{reason}; it is being reconnected"))),
        }
    }

    /// The connection, for a call.
    pub(super) async fn conn(&self, shared: &Arc<Shared>) -> Result<Arc<Conn>, CallError> {
        match self.open()? {
            Some(conn) => Ok(conn),
            None => self.connect(shared, Duration::ZERO).await,
        }
    }

    /// The connection, or one that is opened now; tried for as long as `patience` lasts, at least once.
    pub(super) async fn connect(
        &self,
        shared: &Arc<Shared>,
        patience: Duration,
    ) -> Result<Arc<Conn>, CallError> {
        let _alone = match patience.is_zero() {
            true => self.connecting.lock().await,
            // somebody else is being patient here
            false => tokio::time::timeout(patience, self.connecting.lock()).await.map_err(|_| {
                let waited = isochrone_sim::display_span(patience);
                CallError::disconnected(format!("{}: not reached within {waited}", self.endpoint))
            })?,
        };
        if let Ok(Some(conn)) = self.open() {
            return Ok(conn);
        }
        let conn = shared.dial(&self.endpoint, patience).await?;
        self.set(State::Open(conn.clone()));
        Ok(conn)
    }

    /// The connection has ended: another one is tried for while there are proxies.
    pub(super) fn lost(self: &Arc<Self>, conn: &Arc<Conn>, reason: &str, shared: &Weak<Shared>) {
        {
            let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            match &*state {
                State::Open(open) if Arc::ptr_eq(open, conn) => {}
                _ => return,
            }
            *state = State::Lost(format!("the connection to {} was lost: {reason}", self.endpoint));
        }
        if conn.has_answered() {
            self.backoff.lock().unwrap_or_else(PoisonError::into_inner).reset();
        }
        if let Some(node) = shared.upgrade() {
            node.spawn(self.clone().reconnect(shared.clone()));
        }
    }

    async fn reconnect(self: Arc<Self>, shared: Weak<Shared>) {
        loop {
            let wait = self.backoff.lock().unwrap_or_else(PoisonError::into_inner).next_wait();
            tokio::time::sleep(wait).await;
            if self.open().is_ok() {
                return;
            }
            let Some(shared) = shared.upgrade() else { return };
            if Arc::strong_count(&self) <= HOLDERS {
                // whoever gets a proxy later connects at once
                return self.set(State::Idle);
            }
            match self.connect(&shared, Duration::ZERO).await {
                Ok(_) => return,
                Err(error) => self.set_lost(error.message()),
            }
        }
    }

    fn set_lost(&self, reason: &str) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if let State::Lost(before) = &mut *state {
            *before = reason.into();
        }
    }
}
