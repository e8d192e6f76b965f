//! A connection that its own driver moves, shared by everybody who calls over it.
//!
//! Why a lock around the channel: callers encode straight into its out-buffer and find their answer in a place of their
//! own, so that a call needs neither a message queue nor a one-shot channel. The lock is held for as long as a
//! request takes to be encoded; never while user code runs, nor across a system call.
//!
//! Contract: as the channel's. A [`Waiting`] that is dropped gives its request up. When the last [`Link`] is dropped, a
//! connection that [was told so](Link::close_when_unused) ends by itself.
//!
//! Failure modes: none of its own; see [`Driver`](super::Driver).

use std::any::Any;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use super::pending::RequestId;
use super::{Channel, ChannelError, Config, Counters, Failure, transport};
use crate::codec::Value;

/// What a driver and the handles of its connection share.
pub(crate) struct Core {
    state: Mutex<State>,
    /// Handles in the hands of users.
    links: AtomicUsize,
    peer: transport::Peer,
    config: Config,
    /// What the layer above keeps with the connection.
    owner: Box<dyn Any + Send + Sync>,
}

#[derive(Debug)]
pub(super) struct State {
    pub(super) channel: Channel,
    /// Answers, by the index of their request.
    slots: Vec<Slot>,
    /// To be woken when there is something to write or to decide.
    pub(super) driver: Option<Waker>,
    pub(super) order: Order,
    /// Why the connection has ended.
    pub(super) ended: Option<Arc<str>>,
    /// Those who wait for the end.
    pub(super) watchers: Vec<Waker>,
    pub(super) close_when_unused: bool,
}

/// What the driver was told to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    Run,
    /// To end when everything accepted is answered, or after this time.
    Shutdown(Duration),
}

/// Where an answer is left for who waits.
#[derive(Debug, Default)]
enum Slot {
    #[default]
    Idle,
    Waiting(Option<Waker>),
    Ready(Result<Value, Failure>),
}

impl fmt::Debug for Core {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Core({})", self.peer)
    }
}

impl Core {
    pub(super) fn new(config: Config, peer: transport::Peer, owner: Box<dyn Any + Send + Sync>) -> Arc<Core> {
        let mut channel = Channel::new(config.clone());
        channel.hold();
        let state = State {
            channel,
            slots: Vec::new(),
            driver: None,
            order: Order::Run,
            ended: None,
            watchers: Vec::new(),
            close_when_unused: false,
        };
        let links = AtomicUsize::new(0);
        Arc::new(Core { state: Mutex::new(state), links, peer, config, owner })
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing panics under the lock; if it did, the connection would go on as it is.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether no user holds a handle.
    pub(super) fn is_unused(&self) -> bool {
        self.links.load(Ordering::Acquire) == 0
    }

    /// A handle for a user.
    pub(crate) fn link(self: &Arc<Core>) -> Link {
        self.links.fetch_add(1, Ordering::Relaxed);
        Link { core: self.clone(), counted: true }
    }

    /// A handle that does not keep the connection in use; its clones do.
    pub(crate) fn own_link(self: &Arc<Core>) -> Link {
        Link { core: self.clone(), counted: false }
    }

    pub(crate) fn config(&self) -> &Config {
        &self.config
    }

    /// What the layer above keeps with the connection, if it is a `T`.
    pub(crate) fn owner<T: 'static>(&self) -> Option<&T> {
        self.owner.downcast_ref()
    }
}

impl State {
    /// Leaves an answer for who waits for it; who is to be woken is returned.
    pub(super) fn answered(&mut self, request: RequestId, result: Result<Value, Failure>) -> Option<Waker> {
        let slot = self.slots.get_mut(request.index())?;
        match std::mem::replace(slot, Slot::Ready(result)) {
            Slot::Waiting(waker) => waker,
            _ => None,
        }
    }

    /// Wakes the driver, once for everything until it has looked.
    fn wake(&mut self) {
        if let Some(driver) = self.driver.take() {
            driver.wake();
        }
    }
}

/// A handle to a connection that a [`Driver`](super::Driver) moves.
///
/// It is cheap to clone and can be sent to other threads.
#[derive(Debug)]
pub struct Link {
    core: Arc<Core>,
    counted: bool,
}

impl Clone for Link {
    fn clone(&self) -> Self {
        self.core.link()
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        if self.counted && self.core.links.fetch_sub(1, Ordering::AcqRel) == 1 {
            let mut state = self.core.lock();
            if state.close_when_unused {
                state.wake();
            }
        }
    }
}

impl Link {
    /// Who is at the other end.
    pub fn peer(&self) -> &transport::Peer {
        &self.core.peer
    }

    /// Sends a request and returns what waits for its answer. Dropping that gives the request up.
    ///
    /// # Errors
    /// As [`Channel::request`].
    pub fn send(&self, content: &Value) -> Result<Waiting, ChannelError> {
        let mut state = self.core.lock();
        let idle = state.channel.outgoing().is_empty();
        let request = state.channel.request(content)?;
        if state.slots.len() <= request.index() {
            state.slots.resize_with(request.index() + 1, Slot::default);
        }
        state.slots[request.index()] = Slot::Waiting(None);
        if idle {
            state.wake();
        }
        drop(state);
        Ok(Waiting { link: self.clone(), request, done: false })
    }

    /// Ends the connection once everything that was accepted is answered, both ways and written, or after `grace`. Further
    /// requests of the peer are refused. See [`closed`](Link::closed).
    pub fn shutdown(&self, grace: Duration) {
        let mut state = self.core.lock();
        state.order = Order::Shutdown(grace);
        state.wake();
    }

    /// Lets the connection end by itself, as by [`shutdown`](Link::shutdown) with five seconds, when the last handle has been
    /// dropped.
    pub fn close_when_unused(&self) {
        self.core.lock().close_when_unused = true;
    }

    /// Why the connection has ended, if it has.
    pub fn ended(&self) -> Option<Arc<str>> {
        self.core.lock().ended.clone()
    }

    /// Waits for the end of the connection, and says why it has ended.
    pub async fn closed(&self) -> Arc<str> {
        std::future::poll_fn(|cx| {
            let mut state = self.core.lock();
            match &state.ended {
                Some(reason) => Poll::Ready(reason.clone()),
                None => {
                    if !state.watchers.iter().any(|watcher| watcher.will_wake(cx.waker())) {
                        state.watchers.push(cx.waker().clone());
                    }
                    Poll::Pending
                }
            }
        })
        .await
    }

    /// What was counted so far.
    pub fn counters(&self) -> Counters {
        self.core.lock().channel.counters()
    }

    /// Own requests in flight.
    pub fn pending(&self) -> usize {
        self.core.lock().channel.pending()
    }

    pub(crate) fn core(&self) -> &Arc<Core> {
        &self.core
    }
}

/// A request that waits for its answer.
#[derive(Debug)]
#[must_use = "dropping it gives the request up"]
pub struct Waiting {
    link: Link,
    request: RequestId,
    done: bool,
}

impl Waiting {
    /// Lets the request go on without anybody who waits: its answer is dropped.
    pub fn detach(self) {}

    /// The connection.
    pub fn link(&self) -> &Link {
        &self.link
    }
}

impl Future for Waiting {
    type Output = Result<Value, Failure>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let me = &mut *self;
        let mut state = me.link.core.lock();
        let slot = &mut state.slots[me.request.index()];
        match slot {
            Slot::Waiting(Some(waker)) if waker.will_wake(cx.waker()) => Poll::Pending,
            Slot::Waiting(waker) => {
                *waker = Some(cx.waker().clone());
                Poll::Pending
            }
            _ => {
                let Slot::Ready(result) = std::mem::take(slot) else { return Poll::Pending };
                state.channel.release(me.request);
                me.done = true;
                Poll::Ready(result)
            }
        }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        if self.done {
            return;
        }
        let mut state = self.link.core.lock();
        let slot = std::mem::take(&mut state.slots[self.request.index()]);
        if !state.channel.forget(self.request) {
            state.channel.release(self.request);
        }
        drop(state);
        drop(slot);
    }
}
