//! Periodic methods.
//!
//! Why a future of our own: a million agents have a million of these, so it is one allocation without a nested state
//! machine. The first run is one period after the agent's start, then at start + k periods. A run that takes longer
//! than its period makes the ticks it missed be skipped; runs never overlap.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use isochrone_sim::{Interval, Sleep, This};

use super::Agent;

type Run = Pin<Box<dyn Future<Output = Option<String>>>>;

/// What a periodic method is: answered in place, or a run that takes time. A run ends with the text of its error.
#[doc(hidden)]
pub enum Body<A: Agent> {
    /// `fn(&mut self)`.
    Now(fn(&This<A>) -> Option<String>),
    /// `async fn(this: This<Self>)`.
    Later(fn(This<A>) -> Run),
}

impl<A: Agent> fmt::Debug for Body<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if matches!(self, Body::Now(_)) { "Now" } else { "Later" })
    }
}

/// The task of a periodic method that is answered in place. Small, since a million agents have one: 48 bytes.
struct Ticking<A: Agent> {
    this: This<A>,
    /// in ns
    period: u64,
    sleep: Sleep,
    run: fn(&This<A>) -> Option<String>,
}

impl<A: Agent> Unpin for Ticking<A> {}

impl<A: Agent> Future for Ticking<A> {
    type Output = ();

    #[inline]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let me = &mut *self;
        while Pin::new(&mut me.sleep).poll(cx).is_ready() {
            if let Some(message) = (me.run)(&me.this) {
                me.this.fail(message);
                return Poll::Ready(());
            }
            me.sleep = Interval::new(me.sleep.when(), Duration::from_nanos(me.period)).tick();
        }
        Poll::Pending
    }
}

/// The task of a periodic method whose runs take time.
struct Repeating<A: Agent> {
    this: This<A>,
    interval: Interval,
    sleep: Sleep,
    run: fn(This<A>) -> Run,
    running: Option<Run>,
}

impl<A: Agent> Unpin for Repeating<A> {}

impl<A: Agent> Future for Repeating<A> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let me = &mut *self;
        loop {
            if let Some(running) = &mut me.running {
                let Poll::Ready(failure) = running.as_mut().poll(cx) else { return Poll::Pending };
                me.running = None;
                if let Some(message) = failure {
                    me.this.fail(message);
                    return Poll::Ready(());
                }
                me.sleep = me.interval.tick();
            }
            if Pin::new(&mut me.sleep).poll(cx).is_pending() {
                return Poll::Pending;
            }
            me.running = Some((me.run)(me.this.clone()));
        }
    }
}

/// Starts a periodic method; a period of zero means never.
#[doc(hidden)]
pub fn every<A: Agent>(this: &This<A>, label: &'static str, period: Duration, body: Body<A>) {
    if period.is_zero() {
        return;
    }
    let mut interval = this.interval(period);
    let (sleep, this) = (interval.tick(), this.clone());
    match body {
        Body::Now(run) => {
            let period = u64::try_from(period.as_nanos()).unwrap_or(u64::MAX);
            this.clone().start_now(label, Ticking { this, period, sleep, run });
        }
        Body::Later(run) => {
            this.clone().start_now(label, Repeating { this, interval, sleep, run, running: None })
        }
    }
}
