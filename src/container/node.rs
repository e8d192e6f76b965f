//! A container on the network: where it is, what moves its connections, and its end.
//!
//! Contract: each connection has a task of the runtime, and so has the listener. What happens on one never disturbs another.
//! [`Node::shutdown`] ends within its grace, whatever handlers and peers do; dropping a node ends everything at once.
//!
//! Failure modes: those of [`TransportError`](crate::channel::transport::TransportError) when it is bound; later only of
//! single connections, which are logged and told to the kernel as notices.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use tokio::task::{AbortHandle, JoinSet};

use super::conn::Conn;
use super::neighbour::Site;
use super::root::Root;
use super::slot::Slot;
use super::{SameProcess, hello, neighbour};
use crate::channel::transport::{ConnectOptions, Listener, Stream, connect_within};
use crate::channel::{Address, Config, Endpoint};
use crate::clock::{Input, Notice};
use crate::codec::Value;
use crate::rpc::{self, CallError, Entry, Peer, Service};

/// Other containers that one may know at once.
const MAX_SLOTS: usize = 4_096;

/// What the parts of a node share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) site: Arc<Site>,
    /// Whether agents are told of by their numbers.
    pub(super) numbers: bool,
    pub(super) services: Service,
    /// How long a simulated clock waits for an answer.
    pub(super) patience: Duration,
    pub(super) config: Config,
    pub(super) connect: ConnectOptions,
    pub(super) counter: AtomicU64,
    pub(super) conns: Mutex<BTreeMap<u64, Arc<Conn>>>,
    pub(super) slots: Mutex<BTreeMap<Endpoint, Arc<Slot>>>,
    pub(super) tasks: Mutex<Tasks>,
    pub(super) listening: AbortHandle,
}

/// What runs for a node; `None` when it has ended.
pub(super) type Tasks = Option<JoinSet<()>>;

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // every critical section is one look or change
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shared {
    /// Runs something for as long as the node lives.
    pub(super) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        if let Some(tasks) = &mut *lock(&self.tasks) {
            while tasks.try_join_next().is_some() {}
            tasks.spawn(task);
        }
    }

    pub(super) fn conn(&self, number: u64) -> Option<Arc<Conn>> {
        lock(&self.conns).get(&number).cloned()
    }

    /// The way to another container.
    pub(super) fn slot(&self, endpoint: &Endpoint) -> Result<Arc<Slot>, String> {
        let mut slots = lock(&self.slots);
        if let Some(slot) = slots.get(endpoint) {
            return Ok(slot.clone());
        }
        if slots.len() >= MAX_SLOTS {
            // those that nobody has a proxy of, nor a connection to
            slots.retain(|_, slot| Arc::strong_count(slot) > 1);
            if slots.len() >= MAX_SLOTS {
                return Err(format!("{endpoint}: a container knows at most {MAX_SLOTS} others"));
            }
        }
        let slot = Arc::new(Slot::new(endpoint.clone()));
        slots.insert(endpoint.clone(), slot.clone());
        Ok(slot)
    }

    /// The container of this process that is at this address, if both go without encoding.
    pub(super) fn neighbour(&self, endpoint: &Endpoint) -> Option<Arc<Site>> {
        let found = neighbour::find(endpoint)?.site.clone();
        (self.site.is_direct() && found.is_direct()).then_some(found)
    }

    fn notice(&self, from: &Arc<str>, what: &str, detail: Value) {
        self.site.live.send(Input::Notice(Notice { from: from.clone(), what: what.into(), detail }));
    }

    /// Opens a connection to another container.
    pub(super) async fn dial(
        self: &Arc<Self>,
        endpoint: &Endpoint,
        patience: Duration,
    ) -> Result<Arc<Conn>, CallError> {
        let stream = match neighbour::find(endpoint).filter(|_| self.site.same_process != SameProcess::Socket)
        {
            Some(next) => {
                let (ours, theirs) = Stream::pair(&format!("process:{}", self.site.name), endpoint);
                next.serve(theirs, None);
                ours
            }
            None => connect_within(endpoint, &self.connect, patience)
                .await
                .map_err(|error| CallError::disconnected(error.to_string()))?,
        };
        let slot = self.slot(endpoint).map_err(CallError::disconnected)?;
        let (conn, peer) = self.serve(stream, Some(slot));
        let told = hello::told(Some(&self.site.own.announced), &self.site.name);
        let mut asking = Box::pin(rpc::Call::<Value, _>::new(&peer.remote(), hello::HELLO, told));
        // sent now, in front of whatever is asked next; who does not understand is an aiomas program
        if futures::poll!(&mut asking).is_pending() {
            let conn = conn.clone();
            self.spawn(async move {
                let answer = tokio::select! {
                    biased;
                    answer = asking => answer,
                    () = conn.passed_over() => return conn.introduce(),
                };
                if let Some(endpoint) = answer.as_ref().ok().and_then(Value::as_list).and_then(hello::heard) {
                    conn.heard(endpoint);
                }
                if !answer.is_err_and(|error| error.kind() == CallError::DISCONNECTED) {
                    conn.introduce();
                }
            });
        }
        Ok(conn)
    }

    /// Moves a connection, and lets its peer call what we have. `slot` is that of a connection that we have opened.
    pub(super) fn serve(self: &Arc<Self>, stream: Stream, slot: Option<Arc<Slot>>) -> (Arc<Conn>, Peer) {
        let who = stream.peer().clone();
        let number = self.counter.fetch_add(1, Ordering::Relaxed) + 1;
        let endpoint = slot.as_ref().map(|slot| slot.endpoint.clone());
        let name = who.identities.first().cloned().unwrap_or_else(|| who.address.clone());
        let conn =
            Arc::new(Conn::new(number, self.site.own.clone(), &name, who.identities.clone(), endpoint));
        let root = Root { shared: self.clone(), conn: conn.clone() };
        let service = Service::of(Entry::handler(root));
        service.tell_traces(self.services.tells_traces());
        let (peer, driver) = Peer::over(stream, who, self.config.clone(), service);
        conn.open(peer.clone());
        lock(&self.conns).insert(number, conn.clone());
        self.notice(&conn.name(), "connected", Value::from(number));
        let closing = Closing { conn: conn.clone(), slot, shared: Arc::downgrade(self), reason: None };
        self.spawn(async move {
            let mut closing = closing;
            if let Err(error) = driver.await {
                closing.reason = Some(error.to_string());
            }
        });
        (conn, peer)
    }

    /// Takes connections until it is aborted.
    pub(super) async fn accept(shared: Weak<Shared>, mut listener: Listener) {
        loop {
            let incoming = listener.accept().await;
            let Some(shared) = shared.upgrade() else { return };
            let node = Arc::downgrade(&shared);
            shared.spawn(async move {
                match incoming.establish().await {
                    Ok(stream) => {
                        if let Some(shared) = node.upgrade() {
                            shared.serve(stream, None);
                        }
                    }
                    Err(error) => tracing::debug!(%error, "a connection was not established"),
                }
            });
        }
    }
}

/// A connection's end, however its task ends.
struct Closing {
    conn: Arc<Conn>,
    slot: Option<Arc<Slot>>,
    shared: Weak<Shared>,
    reason: Option<String>,
}

impl Drop for Closing {
    fn drop(&mut self) {
        let reason = self.reason.take().unwrap_or_else(|| "it was closed".into());
        self.conn.close();
        if let Some(shared) = self.shared.upgrade() {
            lock(&shared.conns).remove(&self.conn.number);
            shared.notice(&self.conn.name(), "closed", Value::from(reason.as_str()));
        }
        if let Some(slot) = self.slot.take() {
            slot.lost(&self.conn, &reason, &self.shared);
        }
    }
}

/// A container on the network. Dropping it closes the listener and all connections at once.
#[derive(Debug)]
pub struct Node {
    pub(super) shared: Arc<Shared>,
}

impl Node {
    /// Where it is, as its peers are told.
    pub fn endpoint(&self) -> &Endpoint {
        &self.shared.site.own.announced
    }

    /// The address of an agent.
    pub fn address(&self, agent: &str) -> Address {
        self.shared.site.own.announced.agent(agent)
    }

    /// Connections there are, either way.
    pub fn connections(&self) -> usize {
        lock(&self.shared.conns).len()
    }

    /// What peers may call beside agents: further services are put in at any time.
    pub fn services(&self) -> &Service {
        &self.shared.services
    }

    /// Takes no more connections, lets what was accepted be answered, and closes all. It returns when that is done, after
    /// `grace` at the latest.
    pub async fn shutdown(self, grace: Duration) {
        neighbour::withdraw(&self.shared);
        // the listener is one of the tasks: they go on for what is being answered, but take nothing new
        self.shared.listening.abort();
        let conns: Vec<_> = lock(&self.shared.conns).values().cloned().collect();
        let peers: Vec<_> = conns.iter().filter_map(|conn| conn.peer()).collect();
        let closing = futures::future::join_all(peers.iter().map(|peer| peer.shutdown(grace)));
        // whoever does not end by itself is ended by the drop
        let _ = tokio::time::timeout(grace, closing).await;
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        neighbour::withdraw(&self.shared);
        let tasks = lock(&self.shared.tasks).take();
        drop(tasks);
        lock(&self.shared.slots).clear();
    }
}
