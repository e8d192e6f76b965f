//! Periodic methods.
//!
//! The first run is one period after the agent's start, then at start + k periods. A run that takes longer than its period makes
//! the ticks it missed be skipped; runs never overlap. A method that is answered in place needs no future, the kernel calls
//! it; one that takes time has a future of our own, which is one allocation without a nested state machine.

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
    match body {
        Body::Now(run) => this.every(label, period, run),
        Body::Later(run) => {
            let mut interval = this.interval(period);
            let (sleep, this) = (interval.tick(), this.clone());
            this.clone().start_now(label, Repeating { this, interval, sleep, run, running: None });
        }
    }
}
