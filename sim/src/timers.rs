//! What an agent waits with: sleep, timeout, interval, settled.
//!
//! Why: a sleep must cost nothing but an entry in the wheel. These futures keep the entry's number, not a waker, and
//! give the entry back when they are dropped, so that a cancelled timeout leaves no trace.
//!
//! | state   | meaning |
//! |---------|---------|
//! | `New`   | not polled yet; the time is fixed already |
//! | `Armed` | in the wheel |
//! | `Due`   | in a [batch](crate::batch): its time was not in the future, so it resumes in the round after this one; or it waits for the instant to settle |
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

use crate::batch::Seat;
use crate::core::{Core, wheel_key};
use crate::current;
use crate::time::Time;
use crate::wheel::{RadixWheel, TimerId};

#[derive(Clone, Copy)]
enum State {
    New,
    Armed(TimerId),
    Due(Seat),
    Done,
}

/// A state in one word, since the future of every agent that sleeps has one.
///
/// | state   | bits 63..48 | 47 | 46..0 |
/// |---------|-------------|----|-------|
/// | `New`   | 0           | 0  | 0 |
/// | `Done`  | 0           | 0  | 1 |
/// | `Armed` | kernel      | 0  | timer |
/// | `Due`   | kernel      | 1  | seat |
#[derive(Clone, Copy, Default, PartialEq, Eq)]
struct Wait(u64);

const DUE: u64 = 1 << 47;
const _: () =
    assert!(TimerId::BITS == 47 && Seat::BITS == 47, "and neither reaches the bit that tells them apart");

impl Wait {
    const NEW: Wait = Wait(0);
    const DONE: Wait = Wait(1);

    #[inline(always)]
    fn armed(core: &Core, timer: TimerId) -> Self {
        Wait(u64::from(core.id()) << 48 | timer.to_bits())
    }

    fn due(core: &Core, seat: Seat) -> Self {
        Wait(u64::from(core.id()) << 48 | DUE | seat.to_bits())
    }

    /// Whether something is to be given back.
    #[inline(always)]
    fn is_on(self) -> bool {
        self.0 > Wait::DONE.0
    }

    /// Inside another kernel the numbers would be a stranger's.
    fn is_of(self, core: &Core) -> bool {
        self.0 >> 48 == u64::from(core.id())
    }

    /// The timer, if it is armed.
    #[inline(always)]
    fn timer(self) -> TimerId {
        TimerId::from_bits(self.0)
    }

    #[inline(always)]
    fn state(self) -> State {
        match self {
            Wait::NEW => State::New,
            Wait::DONE => State::Done,
            Wait(bits) if bits & DUE != 0 => State::Due(Seat::from_bits(bits)),
            _ => State::Armed(self.timer()),
        }
    }
}

/// Resumes at a time; see [`Ctx::sleep`](crate::Ctx::sleep).
#[must_use = "a sleep does nothing until it is awaited"]
pub struct Sleep {
    when: Time,
    wait: Wait,
}

const _: () = assert!(size_of::<Sleep>() == 16, "a future with one is fetched by fewer loads");

impl fmt::Debug for Sleep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sleep(until {})", self.when)
    }
}

impl Sleep {
    #[inline]
    pub(crate) fn until(when: Time) -> Self {
        Sleep { when, wait: Wait::NEW }
    }

    /// When it resumes.
    pub fn when(&self) -> Time {
        self.when
    }

    #[inline(never)]
    fn arm(&mut self, core: &Core, cx: &Context<'_>) {
        let (waiter, now) = (core.waiter(cx.waker()), core.now());
        self.wait = if self.when > now {
            let key = wheel_key(self.when);
            core.set_apart(key);
            Wait::armed(core, core.timers.borrow_mut().insert(key, waiter))
        } else {
            self.when = now;
            Wait::due(core, core.wake_soon(waiter))
        };
    }

    /// Polled again before its time, for another reason.
    #[cold]
    fn stay(&mut self, core: &Core, cx: &Context<'_>) {
        match self.wait.state() {
            State::Armed(timer) => renew(core, &core.timers, timer, cx),
            State::Due(seat) => core.renew_in(&core.soon, seat, cx.waker()),
            State::New | State::Done => {}
        }
    }

    /// Takes it out of where it waits.
    fn disarm(&mut self) {
        current::try_with(|core| match self.wait.state() {
            State::Armed(timer) if self.wait.is_of(core) => cancel(core, &core.timers, timer, self.when),
            State::Due(seat) if self.wait.is_of(core) => core.leave_soon(seat),
            _ => {}
        });
    }
}

impl Future for Sleep {
    type Output = ();

    #[inline]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let me = &mut *self;
        if me.wait == Wait::NEW {
            if me.when < Time::MAX {
                current::with(|core| me.arm(core, cx));
            }
            return Poll::Pending;
        }
        let waits = current::with(|core| match me.wait.state() {
            // what was armed lay in the future then: it fires with all that is due at its instant
            State::Armed(_) => core.timers.borrow().cursor() < wheel_key(me.when),
            State::Due(seat) => core.soon.borrow().waits(seat),
            State::New | State::Done => false,
        });
        if waits {
            current::with(|core| me.stay(core, cx));
            return Poll::Pending;
        }
        me.wait = Wait::DONE;
        Poll::Ready(())
    }
}

impl Drop for Sleep {
    #[inline]
    fn drop(&mut self) {
        if self.wait.is_on() {
            self.disarm();
        }
    }
}

/// Resumes at a time, in the phase of deadlines.
struct Deadline {
    when: Time,
    /// new, armed or done
    wait: Wait,
}

impl fmt::Debug for Deadline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Deadline({})", self.when)
    }
}

impl Deadline {
    #[inline(always)]
    fn arm(&mut self, core: &Core, cx: &Context<'_>) {
        // one of now still leaves the instant its chance: it waits in the wheel like any other
        self.when = self.when.max(core.now());
        let key = wheel_key(self.when);
        core.deadlines_from.set(core.deadlines_from.get().min(key));
        let waiter = core.waiter(cx.waker());
        self.wait = Wait::armed(core, core.deadlines.borrow_mut().insert(key, waiter));
    }

    #[inline(always)]
    fn disarm(&mut self) {
        current::try_with(|core| {
            if self.wait.is_of(core) {
                cancel(core, &core.deadlines, self.wait.timer(), self.when);
            }
        });
    }
}

impl Future for Deadline {
    type Output = ();

    #[inline]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let me = &mut *self;
        if me.wait == Wait::NEW {
            // mostly it is never polled again
            if me.when < Time::MAX {
                current::with(|core| me.arm(core, cx));
            }
            return Poll::Pending;
        }
        current::with(|core| match me.wait.state() {
            State::Armed(timer) if core.now() < me.when || core.deadlines.borrow().is_live(timer) => {
                renew(core, &core.deadlines, timer, cx);
                Poll::Pending
            }
            _ => {
                me.wait = Wait::DONE;
                Poll::Ready(())
            }
        })
    }
}

impl Drop for Deadline {
    #[inline]
    fn drop(&mut self) {
        if self.wait.is_on() {
            self.disarm();
        }
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
    deadline: Deadline,
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
        Timeout { future, deadline: Deadline { when: deadline, wait: Wait::NEW } }
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
        ready!(Pin::new(&mut *me.deadline).poll(cx));
        Poll::Ready(Err(Elapsed(me.deadline.when)))
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
#[derive(Default)]
#[must_use = "it does nothing until it is awaited"]
pub struct Settled {
    wait: Wait,
}

impl fmt::Debug for Settled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Settled")
    }
}

impl Drop for Settled {
    fn drop(&mut self) {
        if self.wait.is_on() {
            current::try_with(|core| match self.wait.state() {
                State::Due(seat) if self.wait.is_of(core) => core.leave_settled(seat),
                _ => {}
            });
        }
    }
}

impl Future for Settled {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        current::with(|core| match self.wait.state() {
            State::New => {
                self.wait = Wait::due(core, core.settle(core.waiter(cx.waker())));
                Poll::Pending
            }
            State::Due(seat) if core.settled.borrow().waits(seat) => {
                core.renew_in(&core.settled, seat, cx.waker());
                Poll::Pending
            }
            _ => {
                self.wait = Wait::DONE;
                Poll::Ready(())
            }
        })
    }
}
