//! What an agent waits with: sleep, timeout, interval, settled.
//!
//! Why: a sleep must cost nothing but an entry in the wheel. These futures keep the entry's number, not a waker, and
//! give the entry back when they are dropped, so that a cancelled timeout leaves no trace.
//!
//! | state   | meaning |
//! |---------|---------|
//! | `New`   | not polled yet; the time is fixed already |
//! | `Armed` | in the wheel |
//! | `Due`   | its time was not in the future: it resumes in the round after this one |
//! | `Done`  | resumed |
//!
//! Contract: a sleep until [`Time::MAX`], the end of time, never resumes. Any other resumes in the phase of timers of its instant, never earlier, even if its task is polled for another
//! reason; a deadline in the phase of deadlines.

use std::cell::RefCell;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use pin_project::pin_project;

use crate::core::{Core, wheel_key};
use crate::current;
use crate::time::Time;
use crate::wheel::{RadixWheel, TimerId};

#[derive(Clone, Copy)]
enum State {
    New,
    Armed(TimerId),
    Due { round: u32, waiter: u32 },
    Done,
}

/// Resumes at a time; see [`Ctx::sleep`](crate::Ctx::sleep).
#[must_use = "a sleep does nothing until it is awaited"]
pub struct Sleep {
    when: Time,
    state: State,
    deadline: bool,
    /// whose wheel it is armed in
    kernel: u16,
}

impl fmt::Debug for Sleep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sleep(until {})", self.when)
    }
}

impl Sleep {
    #[inline]
    pub(crate) fn until(when: Time) -> Self {
        Sleep { when, state: State::New, deadline: false, kernel: 0 }
    }

    fn deadline(when: Time) -> Self {
        Sleep { when, state: State::New, deadline: true, kernel: 0 }
    }

    /// When it resumes.
    pub fn when(&self) -> Time {
        self.when
    }
}

impl Sleep {
    /// Whether the phase it waits for has been at its instant.
    #[inline(always)]
    fn has_fired(&self, core: &Core, timer: TimerId) -> bool {
        if self.deadline {
            return core.now() >= self.when && !core.deadlines.borrow().is_live(timer);
        }
        // what was armed lay in the future then: it fires with all that is due at its instant
        core.timers.borrow().cursor() >= wheel_key(self.when)
    }

    /// Polled for the first time.
    #[inline(always)]
    fn begin(&mut self, cx: &Context<'_>) {
        if self.when < Time::MAX {
            current::with(|core| self.arm(core, cx));
        }
    }

    #[inline(never)]
    fn arm(&mut self, core: &Core, cx: &Context<'_>) {
        let (waiter, now) = (core.waiter(cx.waker()), core.now());
        self.kernel = core.id();
        self.state = if self.deadline {
            // one of now still leaves the instant its chance: it waits in the wheel like any other
            self.when = self.when.max(now);
            let key = wheel_key(self.when);
            core.deadlines_from.set(core.deadlines_from.get().min(key));
            State::Armed(core.deadlines.borrow_mut().insert(key, waiter))
        } else if self.when > now {
            let key = wheel_key(self.when);
            core.set_apart(key);
            State::Armed(core.timers.borrow_mut().insert(key, waiter))
        } else {
            core.wake_soon(waiter);
            self.when = now;
            State::Due { round: core.round(), waiter }
        };
    }

    /// Polled again before its time, for another reason.
    #[cold]
    fn stay(&mut self, core: &Core, cx: &Context<'_>) {
        match self.state {
            State::Armed(timer) if self.deadline => renew(core, &core.deadlines, timer, cx),
            State::Armed(timer) => renew(core, &core.timers, timer, cx),
            State::Due { round, waiter } => {
                let new = core.renew_waiter(waiter, cx.waker());
                core.wake_soon_as(waiter, new);
                self.state = State::Due { round, waiter: new };
            }
            State::New | State::Done => {}
        }
    }
}

impl Future for Sleep {
    type Output = ();

    #[inline]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let me = &mut *self;
        if matches!(me.state, State::New) {
            me.begin(cx);
            return Poll::Pending;
        }
        let waits = match me.state {
            State::Armed(timer) => current::with(|core| !me.has_fired(core, timer)),
            State::Due { round, .. } => current::with(|core| (core.now(), core.round()) <= (me.when, round)),
            State::New | State::Done => false,
        };
        if waits {
            current::with(|core| me.stay(core, cx));
            return Poll::Pending;
        }
        me.state = State::Done;
        Poll::Ready(())
    }
}

impl Drop for Sleep {
    #[inline]
    fn drop(&mut self) {
        if !matches!(self.state, State::New | State::Done) {
            self.disarm();
        }
    }
}

impl Sleep {
    /// Takes it out of where it waits.
    fn disarm(&mut self) {
        current::try_with(|core| {
            // inside another kernel the numbers would be a stranger's
            if core.id() != self.kernel {
                return;
            }
            match self.state {
                State::Due { waiter, .. } => core.forget_soon(waiter),
                State::Armed(timer) if self.deadline => cancel(core, &core.deadlines, timer, self.when),
                State::Armed(timer) => cancel(core, &core.timers, timer, self.when),
                State::New | State::Done => {}
            }
        });
    }
}

/// The present waker of a task stands in for that of an earlier poll.
fn renew<const BITS: usize>(
    core: &Core,
    wheel: &RefCell<RadixWheel<BITS>>,
    timer: TimerId,
    cx: &Context<'_>,
) {
    let old = wheel.borrow().payload(timer);
    let new = core.renew_waiter(old, cx.waker());
    if new != old {
        wheel.borrow_mut().set_payload(timer, new);
    }
}

#[inline]
fn cancel<const BITS: usize>(core: &Core, wheel: &RefCell<RadixWheel<BITS>>, timer: TimerId, when: Time) {
    let mut wheel = wheel.borrow_mut();
    if wheel.is_live(timer) {
        let waiter = wheel.payload(timer);
        wheel.cancel(wheel_key(when), timer);
        drop(wheel);
        core.release_waiter(waiter);
    }
}

/// The deadline of a [`Timeout`] came before its result.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no result by the deadline at {0}")]
pub struct Elapsed(pub Time);

/// A future with a deadline; see [`Ctx::timeout`](crate::Ctx::timeout).
#[pin_project]
#[derive(Debug)]
#[must_use = "a timeout does nothing until it is awaited"]
pub struct Timeout<F> {
    #[pin]
    future: F,
    sleep: Sleep,
}

/// Runs `future` for at most `span` from now; what [`Ctx::timeout`](crate::Ctx::timeout) does, without a handle.
///
/// # Panics
/// Where no kernel runs.
pub fn timeout<F: Future>(span: Duration, future: F) -> Timeout<F> {
    Timeout::new(future, current::with(Core::now).saturating_add(span))
}

impl<F> Timeout<F> {
    pub(crate) fn new(future: F, deadline: Time) -> Self {
        Timeout { future, sleep: Sleep::deadline(deadline) }
    }
}

impl<F: Future> Future for Timeout<F> {
    type Output = Result<F::Output, Elapsed>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let me = self.project();
        // the future first: a reply that arrives in the round of the deadline still counts
        if let Poll::Ready(value) = me.future.poll(cx) {
            return Poll::Ready(Ok(value));
        }
        if matches!(me.sleep.state, State::New) {
            // mostly it is never polled again
            me.sleep.begin(cx);
            return Poll::Pending;
        }
        ready!(Pin::new(&mut *me.sleep).poll(cx));
        Poll::Ready(Err(Elapsed(me.sleep.when)))
    }
}

/// Ticks at multiples of a period; see [`Ctx::interval`](crate::Ctx::interval).
#[derive(Debug)]
pub struct Interval {
    next: Time,
    /// in ns: a million agents have one
    period: u64,
}

impl Interval {
    /// Ticks at multiples of a period after `from`.
    #[inline]
    pub fn new(from: Time, period: Duration) -> Self {
        // a period of zero would never let time go on
        let period = u64::try_from(period.as_nanos()).unwrap_or(u64::MAX).max(1);
        Interval { next: from.saturating_add(Duration::from_nanos(period)), period }
    }

    /// The next tick: its own time. Ticks that lie in the past are skipped; one of this very instant is not.
    #[inline]
    pub fn tick(&mut self) -> Sleep {
        let now = current::with(Core::now);
        self.skip_to(now);
        let tick = Sleep::until(self.next);
        self.next = self.next.saturating_add(Duration::from_nanos(self.period));
        tick
    }

    fn skip_to(&mut self, now: Time) {
        if let Some(late) = now.checked_since(self.next)
            && !late.is_zero()
        {
            let period = u128::from(self.period);
            let missed = late.as_nanos().div_ceil(period);
            let skip = u64::try_from(missed.saturating_mul(period)).unwrap_or(u64::MAX);
            self.next = self.next.saturating_add(Duration::from_nanos(skip));
        }
    }
}

/// Resumes when the instant is quiet; see [`Ctx::settled`](crate::Ctx::settled).
#[derive(Debug, Default)]
#[must_use = "it does nothing until it is awaited"]
pub struct Settled {
    /// how often instants had settled when this began, who waits, and in which kernel
    since: Option<(u64, u32, u16)>,
}

impl Drop for Settled {
    fn drop(&mut self) {
        if let Some((since, waiter, kernel)) = self.since {
            current::try_with(|core| {
                if core.id() == kernel && core.settlings() == since {
                    core.forget_settled(waiter)
                }
            });
        }
    }
}

impl Future for Settled {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        current::with(|core| match self.since {
            Some((since, ..)) if core.settlings() > since => Poll::Ready(()),
            Some((since, old, kernel)) => {
                let waiter = core.renew_waiter(old, cx.waker());
                core.settle_as(old, waiter);
                self.since = Some((since, waiter, kernel));
                Poll::Pending
            }
            None => {
                let waiter = core.waiter(cx.waker());
                self.since = Some((core.settle(waiter), waiter, core.id()));
                Poll::Pending
            }
        })
    }
}
