//! A connection that its own driver moves, shared by everybody who calls over it.
//!
//! Why a lock around the channel: callers put their requests into its out-buffer and find their answer in a place of their
//! own, so that a call needs neither a message queue nor a one-shot channel. The lock is held for as long as it takes to
//! copy a request; never while one is encoded or an answer read, which may run a user's code and so call over the same
//! connection, nor while a handler runs or the system is called.
//!
//! Contract: as the channel's. A [`Waiting`] that is dropped gives its request up. When the last [`Link`] is dropped, a
//! connection that [was told so](Link::close_when_unused) ends by itself.
//!
//! Failure modes: none of its own; the driver says why a connection has ended.

use std::any::Any;
use std::cell::Cell;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use serde::Serialize;

use super::message::Type;
use super::pending::RequestId;
use super::{Channel, ChannelError, Config, Content, Counters, Event, Failure, Id, transport};
use crate::codec::{Value, envelope};

thread_local! {
    /// Where a request is encoded, before anything is locked; taken by whoever does it.
    static SCRATCH: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// Memory that it may keep.
const KEEP: usize = 64 * 1024;

/// What a driver and the handles of its connection share.
pub(crate) struct Core {
    state: Mutex<State>,
    peer: transport::Peer,
    config: Config,
    /// What the layer above keeps with the connection.
    owner: Box<dyn Any + Send + Sync>,
}

#[derive(Debug)]
pub(super) struct State {
    pub(super) channel: Channel,
    slots: Slots,
    /// To be woken when there is something to write or to decide.
    pub(super) driver: Option<Waker>,
    pub(super) order: Order,
    /// Why the connection has ended.
    pub(super) ended: Option<Arc<str>>,
    /// Those who wait for the end.
    pub(super) watchers: Vec<Waker>,
    pub(super) close_when_unused: bool,
    users: Weak<User>,
}

/// What the driver was told to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    Run,
    /// To end when everything accepted is answered, or after this time.
    Shutdown(Duration),
}

/// Answers, by the index of their request.
#[derive(Debug, Default)]
pub(super) struct Slots(Vec<Slot>);

impl Slots {
    /// Leaves an answer for who waits for it; who is to be woken is returned.
    #[inline]
    pub(super) fn answered(&mut self, request: RequestId, answer: Answer) -> Option<Waker> {
        match std::mem::replace(self.0.get_mut(request.index())?, Slot::Ready(answer)) {
            Slot::Waiting(waker) => waker,
            _ => None,
        }
    }

    /// Waits for an answer.
    fn open(&mut self, request: RequestId, waker: Option<Waker>) {
        if self.0.len() <= request.index() {
            self.0.resize_with(request.index() + 1, Slot::default);
        }
        self.0[request.index()] = Slot::Waiting(waker);
    }
}

/// Where an answer is left for who waits.
#[derive(Debug, Default)]
enum Slot {
    #[default]
    Idle,
    Waiting(Option<Waker>),
    Ready(Answer),
}

/// How a request has ended.
#[derive(Debug)]
pub(crate) enum Answer {
    Reply(Content),
    Failure(Content),
    Closed(Arc<str>),
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
            slots: Slots::default(),
            driver: None,
            order: Order::Run,
            ended: None,
            watchers: Vec::new(),
            close_when_unused: false,
            users: Weak::new(),
        };
        Arc::new(Core { state: Mutex::new(state), peer, config, owner })
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing of a user's runs under the lock.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A handle that does not keep the connection in use; its clones do.
    pub(crate) fn own_link(self: &Arc<Core>) -> Link {
        Link(Held::Own(self.clone()))
    }

    pub(crate) fn config(&self) -> &Config {
        &self.config
    }

    pub(super) fn peer(&self) -> &transport::Peer {
        &self.peer
    }

    /// What the layer above keeps with the connection, if it is a `T`.
    pub(crate) fn owner<T: 'static>(&self) -> Option<&T> {
        self.owner.downcast_ref()
    }
}

impl State {
    pub(super) fn parts(&mut self) -> (&mut Slots, &mut Channel) {
        (&mut self.slots, &mut self.channel)
    }

    /// Ends the own requests of a channel that has ended; who is to be woken goes into the list.
    pub(super) fn end_pending(&mut self, wakers: &mut Vec<Waker>) {
        while let Ok(Some(event)) = self.channel.next() {
            if let Event::Answer { request, result: Err(Failure::Closed(reason)) } = event {
                wakers.extend(self.slots.answered(request, Answer::Closed(reason)));
            }
        }
    }

    /// Whether no user holds a handle.
    pub(super) fn is_unused(&self) -> bool {
        self.users.strong_count() == 0
    }

    /// Wakes the driver, once for everything until it has looked.
    fn wake(&mut self) {
        if let Some(driver) = self.driver.take() {
            driver.wake();
        }
    }
}

/// What all handles of users share, so that the last one is noticed.
#[derive(Debug)]
struct User(Arc<Core>);

impl Drop for User {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        if state.close_when_unused {
            state.wake();
        }
    }
}

/// A handle to a connection that its driver moves.
///
/// It is cheap to clone and can be sent to other threads.
#[derive(Debug)]
pub struct Link(Held);

#[derive(Debug)]
enum Held {
    /// By a user, who keeps the connection in use.
    User(Arc<User>),
    /// By the connection itself.
    Own(Arc<Core>),
}

impl Clone for Link {
    #[inline]
    fn clone(&self) -> Self {
        match &self.0 {
            Held::User(user) => Link(Held::User(user.clone())),
            Held::Own(core) => {
                let mut state = core.lock();
                let user = state.users.upgrade().unwrap_or_else(|| Arc::new(User(core.clone())));
                state.users = Arc::downgrade(&user);
                Link(Held::User(user))
            }
        }
    }
}

impl Link {
    #[inline]
    pub(crate) fn core(&self) -> &Arc<Core> {
        match &self.0 {
            Held::User(user) => &user.0,
            Held::Own(core) => core,
        }
    }

    /// Who is at the other end.
    pub fn peer(&self) -> &transport::Peer {
        self.core().peer()
    }

    /// Sends a request and returns what waits for its answer. Dropping that gives the request up.
    ///
    /// # Errors
    /// As [`Channel::request`].
    pub fn send(&self, content: &Value) -> Result<Waiting, ChannelError> {
        let ticket = self.request(content, None)?;
        Ok(Waiting { link: self.clone(), ticket: Some(ticket) })
    }

    /// Sends a request. Its ticket must be used up: by an answer, or by [`forget`](Link::forget). `waker` is woken by the
    /// answer.
    #[inline]
    pub(crate) fn request<T: Serialize + ?Sized>(
        &self,
        content: &T,
        waker: Option<&Waker>,
    ) -> Result<Ticket, ChannelError> {
        let Config { codec, types, .. } = self.core().config();
        let mut encoded = SCRATCH.take();
        let sent = match envelope::content(*codec, content, types, &mut encoded) {
            Ok(()) => self.request_around(&encoded, waker),
            Err(error) => Err(ChannelError::Unsendable(error)),
        };
        if encoded.capacity() <= KEEP {
            encoded.clear();
            SCRATCH.set(encoded);
        }
        sent
    }

    #[inline]
    fn request_around(&self, content: &[u8], waker: Option<&Waker>) -> Result<Ticket, ChannelError> {
        let mut guard = self.core().lock();
        let state = &mut *guard;
        let idle = state.channel.outgoing().is_empty();
        let request = state.channel.request_around(content)?;
        state.slots.open(request, waker.cloned());
        if idle {
            state.wake();
        }
        Ok(Ticket(request))
    }

    /// Ready with the answer, which uses the ticket up.
    #[inline]
    pub(crate) fn poll(&self, ticket: &Ticket, cx: &mut Context<'_>) -> Poll<Answer> {
        let mut guard = self.core().lock();
        let state = &mut *guard;
        let slot = &mut state.slots.0[ticket.0.index()];
        if let Slot::Waiting(waker) = slot {
            match waker {
                Some(waker) => waker.clone_from(cx.waker()),
                None => *waker = Some(cx.waker().clone()),
            }
            return Poll::Pending;
        }
        match std::mem::take(slot) {
            Slot::Ready(answer) => {
                state.channel.release(ticket.0);
                Poll::Ready(answer)
            }
            // Nobody polls a ticket that is used up.
            _ => Poll::Pending,
        }
    }

    /// Gives a request up.
    pub(crate) fn forget(&self, ticket: Ticket) {
        let mut state = self.core().lock();
        let slot = std::mem::take(&mut state.slots.0[ticket.0.index()]);
        if !state.channel.forget(ticket.0) {
            state.channel.release(ticket.0);
        }
        drop(state);
        drop(slot);
    }

    /// Ends the connection once everything that was accepted is answered, both ways and written, or after `grace`. Further
    /// requests of the peer are refused. See [`closed`](Link::closed).
    pub fn shutdown(&self, grace: Duration) {
        let mut state = self.core().lock();
        state.order = Order::Shutdown(grace);
        state.wake();
    }

    /// Lets the connection end by itself, as by [`shutdown`](Link::shutdown) with the grace of the configuration, when the
    /// last handle has been dropped.
    pub fn close_when_unused(&self) {
        self.core().lock().close_when_unused = true;
    }

    /// Why the connection has ended, if it has.
    pub fn ended(&self) -> Option<Arc<str>> {
        self.core().lock().ended.clone()
    }

    /// Waits for the end of the connection, and says why it has ended.
    pub async fn closed(&self) -> Arc<str> {
        std::future::poll_fn(|cx| self.poll_ended(cx)).await
    }

    pub(super) fn poll_ended(&self, cx: &mut Context<'_>) -> Poll<Arc<str>> {
        let mut state = self.core().lock();
        if let Some(reason) = &state.ended {
            return Poll::Ready(reason.clone());
        }
        if !state.watchers.iter().any(|watcher| watcher.will_wake(cx.waker())) {
            state.watchers.push(cx.waker().clone());
        }
        Poll::Pending
    }

    /// Answers a request of the peer, with a reply or a failure.
    pub(super) fn answer<T: Serialize + ?Sized>(
        &self,
        id: &Id,
        reply: bool,
        content: &T,
    ) -> Result<(), ChannelError> {
        let mut state = self.core().lock();
        state.channel.answer(if reply { Type::Reply } else { Type::Failure }, id, content)?;
        state.wake();
        Ok(())
    }

    /// What was counted so far.
    pub fn counters(&self) -> Counters {
        self.core().lock().channel.counters()
    }

    /// Own requests in flight.
    pub fn pending(&self) -> usize {
        self.core().lock().channel.pending()
    }
}

/// The right to the answer of one request.
#[derive(Debug)]
pub(crate) struct Ticket(RequestId);

/// A request that waits for its answer.
#[derive(Debug)]
#[must_use = "dropping it gives the request up"]
pub struct Waiting {
    link: Link,
    ticket: Option<Ticket>,
}

impl Future for Waiting {
    type Output = Result<Value, Failure>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let me = &mut *self;
        let Some(ticket) = &me.ticket else { return Poll::Pending };
        me.link.poll(ticket, cx).map(|answer| {
            me.ticket = None;
            let config = me.link.core().config();
            match answer {
                Answer::Reply(content) => Ok(content.raw(config).value()),
                Answer::Failure(content) => Err(Failure::Remote(content.raw(config).value())),
                Answer::Closed(reason) => Err(Failure::Closed(reason)),
            }
        })
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket.take() {
            self.link.forget(ticket);
        }
    }
}
