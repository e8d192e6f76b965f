//! The one task of a connection: it reads, lets requests be served, and writes.
//!
//! Why one task for both directions: if each side first writes all and then reads, two full socket buffers wait for
//! each other for ever (`tests/duplex.rs`). And what one read brings is answered in one write.
//!
//! ```text
//!          shutdown, unused                    all answered and written
//!   run ------------------------> draining --------------------------------> lingering --> ended
//!    |  the peer sends no more       ^  |                                       until the peer has closed, too
//!    +-------------------------------+  | grace is over
//!    |  error                           v
//!    +-------------------------------> ended; handlers that still run are given the grace
//! ```
//!
//! Contract: every request that was taken is answered, unless the connection breaks. A connection that is draining
//! answers further requests with a failure.
//!
//! Failure modes: the output of the future; whoever waits for an answer gets `Failure::Closed` with the same words.

use std::any::Any;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use tokio::io::{AsyncRead, AsyncWrite};

use super::channel::Take;
use super::content::{Content, Id, Requests};
use super::link::{Answer, Core, Link, Order, Slots};
use super::load::Part;
use super::pipe::{Alarm, Pipe, now};
use super::replies::Replies;
use super::{ChannelError, Config, RequestId, transport};
use crate::codec::Value;

/// Time for the peer to close its side when we have closed ours.
const LINGER: Duration = Duration::from_secs(1);

/// What is done with the peer's requests.
pub(crate) trait Serve {
    /// Whether requests come unchecked: who serves them then reads all of each, or checks it.
    const READS: bool;

    /// Takes all requests, and goes on with those that run. Answers go into `replies`.
    ///
    /// # Errors
    /// A request that is not what it must be ends the connection.
    fn serve(
        &mut self,
        cx: &mut Context<'_>,
        requests: &mut Requests,
        replies: &mut Replies,
    ) -> Result<(), ChannelError>;

    /// Fails what runs, with this reason: the connection is about to be cut.
    fn give_up(&mut self, reason: &str, replies: &mut Replies);

    /// How a request is refused when the connection is about to end.
    fn refusal(&self) -> Value;

    /// Whether requests run in here.
    fn is_idle(&self) -> bool;
}

/// The future that moves the bytes of one connection; it must be polled, as a task or beside others.
#[must_use = "nothing moves unless it is polled"]
#[derive(Debug)]
pub(crate) struct Driver<S, H> {
    core: Arc<Core>,
    pipe: Pipe<S>,
    serve: H,
    requests: Requests,
    replies: Replies,
    wakers: Vec<Waker>,
    alarm: Alarm,
    /// Of the requests that are being answered in all.
    part: Part,
    /// The channel's, as of the last look.
    deadline: Option<Instant>,
    saturated: bool,
    /// Whether it stopped taking requests because it was saturated.
    stopped: bool,
    /// Whether the peer left something unread.
    unread: bool,
    phase: Phase,
}

/// Where messages go.
struct Sorted<'a> {
    slots: &'a mut Slots,
    requests: &'a mut Requests,
    wakers: &'a mut Vec<Waker>,
    /// Whether requests may come unchecked.
    reads: bool,
}

impl Take for Sorted<'_> {
    fn now(&self) -> Instant {
        now()
    }

    #[inline]
    fn reads_requests(&self) -> bool {
        self.reads
    }

    #[inline]
    fn request(&mut self, id: Id, content: &[u8], checked: bool) {
        self.requests.push(id, content, checked);
    }

    #[inline]
    fn answer(&mut self, request: RequestId, reply: bool, content: &[u8]) {
        let content = Content::new(content);
        let answer = if reply { Answer::Reply(content) } else { Answer::Failure(content) };
        self.wakers.extend(self.slots.answered(request, answer));
    }
}

#[derive(Debug)]
enum Phase {
    Run,
    /// Everything accepted is to be answered until then.
    Draining(Instant),
    /// Our side is closed.
    Lingering(Instant),
    /// The connection has ended so; handlers have until then.
    Ended(Option<ChannelError>, Instant),
}

impl<S: AsyncRead + AsyncWrite + Unpin, H: Serve + Unpin> Driver<S, H> {
    /// A driver for this stream, and a handle to the connection. `serve` is made with the latter's core.
    pub(crate) fn new(
        stream: S,
        peer: transport::Peer,
        config: Config,
        owner: impl Any + Send + Sync,
        serve: impl FnOnce(&Arc<Core>) -> H,
    ) -> (Link, Self) {
        let first_frame = peer.first_frame;
        let mut part = Part::new(config.load.clone());
        let core = Core::new(config.clone(), peer, Box::new(owner));
        {
            let channel = &mut core.lock().channel;
            channel.allow(part.update(0, config.serving, None));
            if let Some(time) = first_frame {
                channel.expect_first(now(), time);
            }
        }
        let driver = Driver {
            serve: serve(&core),
            pipe: Pipe::new(stream),
            requests: Requests::default(),
            replies: Replies::new(config),
            wakers: Vec::new(),
            alarm: Alarm::default(),
            part,
            deadline: None,
            saturated: false,
            stopped: false,
            unread: false,
            phase: Phase::Run,
            core,
        };
        (driver.core.own_link().clone(), driver)
    }

    /// Reads once and hands out what came. True if there was anything.
    fn read(&mut self, cx: &mut Context<'_>) -> Result<bool, ChannelError> {
        if self.pipe.ended || self.saturated {
            return Ok(false);
        }
        match self.pipe.poll_read(cx, |bytes| self.core.lock().channel.push(bytes)) {
            Poll::Pending => Ok(false),
            Poll::Ready(result) => result.map(|()| true).map_err(ChannelError::from),
        }
    }

    /// Sorts what has arrived: answers to those who wait, requests to the handlers.
    fn sort(&mut self, cx: &mut Context<'_>) -> Result<(), ChannelError> {
        // Who refuses everything reads nothing.
        let reads = H::READS && matches!(self.phase, Phase::Run);
        let mut guard = self.core.lock();
        let state = &mut *guard;
        if !state.driver.as_ref().is_some_and(|driver| driver.will_wake(cx.waker())) {
            state.driver = Some(cx.waker().clone());
        }
        if self.pipe.ended {
            state.channel.end()?;
        }
        // others may have taken what room there was
        let serving = state.channel.serving();
        state.channel.allow(self.part.update(serving, self.core.config().serving, None));
        let (slots, channel) = state.parts();
        let mut sorted = Sorted { slots, requests: &mut self.requests, wakers: &mut self.wakers, reads };
        let result = loop {
            match channel.take(&mut sorted) {
                Ok(true) => {}
                Ok(false) => break Ok(()),
                Err(error) => break Err(error),
            }
        };
        self.stopped = state.channel.saturated();
        if self.pipe.ended {
            state.end_pending(&mut self.wakers);
        }
        drop(guard);
        self.wakers.drain(..).for_each(Waker::wake);
        result
    }

    /// Lets the requests be answered.
    fn serve(&mut self, cx: &mut Context<'_>) -> Result<(), ChannelError> {
        if matches!(self.phase, Phase::Draining(_)) {
            let (serve, replies) = (&self.serve, &mut self.replies);
            // What refuses is a short text.
            self.requests.drain(|request| replies.fail(&request.id, &serve.refusal()))?;
        }
        self.serve.serve(cx, &mut self.requests, &mut self.replies)
    }

    /// Writes as much as goes; true if all is written.
    fn write(&mut self, cx: &mut Context<'_>) -> Result<bool, ChannelError> {
        let Driver { core, pipe, replies, .. } = self;
        let refill = |writing: &mut Vec<u8>| {
            let channel = &mut core.lock().channel;
            if !replies.is_empty() {
                channel.answers(replies);
            }
            std::mem::swap(writing, channel.outgoing());
        };
        let written = pipe.poll_write(cx, refill);
        let (unwritten, progress) = (pipe.unwritten(), pipe.progress());
        if unwritten == 0 && !self.unread {
            return Ok(written.is_ready());
        }
        let channel = &mut core.lock().channel;
        if !replies.is_empty() {
            channel.answers(replies);
        }
        let unwritten = unwritten + channel.outgoing().len();
        self.unread = unwritten > 0;
        channel.unread(now(), unwritten, progress)?;
        Ok(written.is_ready())
    }

    /// Moves everything that can be moved. True if the connection is through.
    fn turn(&mut self, cx: &mut Context<'_>) -> Result<bool, ChannelError> {
        let mut moved = false;
        loop {
            let read = self.read(cx)?;
            if moved && !read && !self.pipe.ended && self.pipe.broken.is_none() {
                // Nothing has come since everything was moved.
                return Ok(false);
            }
            // What came before a violation is answered, and so is what came before the end.
            let sorted = self.sort(cx);
            let served = self.serve(cx);
            let written = self.write(cx);
            sorted.and(served)?;
            let was_saturated = self.saturated || self.stopped;
            if self.look(cx, written?)? {
                return Ok(true);
            }
            // Having answered, a channel that was saturated takes what it already has, and reads on.
            let more = was_saturated && !self.saturated;
            moved = !more;
            if !read && !more {
                return self.pipe.broken.take().map_or(Ok(false), |error| Err(error.into()));
            }
        }
    }

    /// Looks at the state of the channel. True if the connection has nothing more to do.
    fn look(&mut self, cx: &mut Context<'_>, written: bool) -> Result<bool, ChannelError> {
        let mut guard = self.core.lock();
        let state = &mut *guard;
        let serving = state.channel.serving();
        state.channel.allow(self.part.update(serving, self.core.config().serving, Some(cx.waker())));
        self.saturated = state.channel.saturated();
        self.deadline = state.channel.deadline();
        if self.deadline.is_some() {
            state.channel.expire(now())?;
        }
        if matches!(self.phase, Phase::Run) {
            let grace = match state.order {
                Order::Shutdown(grace) => Some(grace),
                Order::Run if self.pipe.ended => Some(self.core.config().grace),
                Order::Run if state.close_when_unused && state.is_unused() => Some(self.core.config().grace),
                Order::Run => None,
            };
            let Some(grace) = grace else { return Ok(false) };
            self.phase = Phase::Draining(now() + grace);
        }
        let idle = written && state.channel.outgoing().is_empty();
        let channel = &state.channel;
        Ok(idle && channel.serving() == 0 && channel.pending() == 0 && channel.forgotten() == 0)
    }

    /// Ends the connection: nobody waits any longer.
    fn end(&mut self, error: Option<ChannelError>) {
        if let Some(error) = &error {
            error.log(self.core.peer());
        }
        let mut guard = self.core.lock();
        let state = &mut *guard;
        let reason =
            error.as_ref().map_or("the connection was closed on this side".into(), ToString::to_string);
        state.channel.close(&reason);
        state.end_pending(&mut self.wakers);
        state.ended = Some(state.channel.closed().unwrap_or(&reason).into());
        self.wakers.append(&mut state.watchers);
        drop(guard);
        self.wakers.drain(..).for_each(Waker::wake);
        self.phase = Phase::Ended(error, now() + self.core.config().grace);
    }

    /// Reads on and drops what comes, until the peer has closed its side: else what we wrote last could be lost.
    fn linger(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.pipe.ended {
            match self.pipe.poll_read(cx, |_| ()) {
                Poll::Ready(Ok(())) => {}
                other => return other,
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin, H: Serve + Unpin> Future for Driver<S, H> {
    type Output = Result<(), ChannelError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let me = self.get_mut();
        loop {
            match &mut me.phase {
                Phase::Run | Phase::Draining(_) => match me.turn(cx) {
                    Err(error) => {
                        // A last try: what was answered before may still reach the peer, and so may the reason.
                        if error.is_of_the_peer() {
                            me.serve.give_up(&error.to_string(), &mut me.replies);
                        }
                        let _ = me.write(cx);
                        let _ = me.pipe.poll_shutdown(cx);
                        me.end(Some(error));
                    }
                    Ok(true) => {
                        me.end(None);
                        me.phase = Phase::Lingering(now() + LINGER);
                    }
                    Ok(false) => {
                        let drained = match me.phase {
                            Phase::Draining(until) => Some(until),
                            _ => None,
                        };
                        let deadline = me.deadline.into_iter().chain(drained).min();
                        if me.alarm.poll(cx, deadline).is_pending() {
                            return Poll::Pending;
                        }
                        if drained.is_some_and(|until| until <= now()) {
                            let _ = me.pipe.poll_shutdown(cx);
                            me.end(None);
                        }
                    }
                },
                Phase::Lingering(until) => {
                    let until = *until;
                    let closed = me.pipe.poll_shutdown(cx).is_ready();
                    let gone = me.linger(cx).is_ready();
                    if (closed && gone) || me.alarm.poll(cx, Some(until)).is_ready() {
                        me.phase = Phase::Ended(None, now() + me.core.config().grace);
                    } else {
                        return Poll::Pending;
                    }
                }
                Phase::Ended(error, until) => {
                    let until = *until;
                    if !me.serve.is_idle() {
                        let _ = me.serve.serve(cx, &mut me.requests, &mut me.replies);
                    }
                    if me.serve.is_idle() || me.alarm.poll(cx, Some(until)).is_ready() {
                        return Poll::Ready(error.take().map_or(Ok(()), Err));
                    }
                    return Poll::Pending;
                }
            }
        }
    }
}
