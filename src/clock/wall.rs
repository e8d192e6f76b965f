//! The wall clock as master: live runs.
//!
//! Why: a live run is a coupled run whose master is the wall clock. Each turn reads the clock once, `W = max(wall,
//! last + 1 ns)`, lets everything before W happen, injects the turn's inputs at (W, round 0), and lets W happen. `now()` is
//! that logical time; inputs enter only at the start of a turn.
//!
//! When the wall is more than `max_lag` ahead (a suspended machine, an overload), the clock jumps: overdue timers fire
//! once, at the new time, and periodic methods skip what they missed.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use isochrone_sim::{Config, Epoch, Kernel, Time};
use tokio::time::Instant;

use super::{Drive, Interrupt, Live, RunError};
use crate::replay::{Came, Tape};

/// Runs on the wall clock.
#[derive(Debug)]
pub struct Wall {
    drive: Drive,
    max_lag: Duration,
    jumps: u64,
}

impl Wall {
    /// A driver, and the way into its run.
    pub fn new(interrupt: Interrupt) -> (Self, Live) {
        let drive = Drive::new(interrupt);
        let live = drive.live();
        (Wall { drive, max_lag: Duration::from_secs(5), jumps: 0 }, live)
    }

    /// Makes a configuration one for a live run: wakes from outside are allowed, and time zero is now.
    pub fn configure(config: &mut Config) {
        config.realtime = true;
        config.epoch = wall_epoch();
    }

    /// With a recorder, or a recording in the place of the outside and of the clock.
    pub fn tape(mut self, tape: Tape) -> Self {
        self.drive.set_tape(tape);
        self
    }

    /// How far behind the wall the run may be before its clock jumps; default 5 s.
    pub fn max_lag(mut self, max_lag: Duration) -> Self {
        self.max_lag = max_lag;
        self
    }

    /// How often the clock has jumped.
    pub fn jumps(&self) -> u64 {
        self.jumps
    }

    /// Runs until `until`, or until interrupted: then it returns as well.
    ///
    /// # Errors
    /// What the simulation says.
    pub async fn run(&mut self, kernel: &Kernel, until: Time) -> Result<(), RunError> {
        if self.drive.tape().is_playing() {
            self.replay(kernel).await?;
            if self.drive.tape().is_playing() {
                return Ok(());
            }
        }
        // a run that goes on after a recording was away meanwhile
        let away = kernel.config().epoch.time(wall_date()).filter(|_| self.drive.tape().is_resumed());
        let (from, start) = (away.map_or(kernel.now(), |now| now.max(kernel.now())), Instant::now());
        let result = self.run_from(kernel, until, from, start).await;
        // it has lasted to the moment of the interrupt, also if nothing happened since the last event
        kernel.jump(from.saturating_add(start.elapsed()).min(until));
        result
    }

    async fn run_from(
        &mut self,
        kernel: &Kernel,
        until: Time,
        from: Time,
        start: Instant,
    ) -> Result<(), RunError> {
        let interrupt = self.drive.interrupt().clone();
        let mut sleep = Sleep::new(&interrupt, start);
        self.drive.keep();
        while kernel.now() < until {
            let read = Instant::now();
            match self.drive.give_way(kernel, read.into_std()).await {
                Err(RunError::Interrupted(_)) => return Ok(()),
                others => others?,
            }
            let last = kernel.now().saturating_add(Duration::from_nanos(1));
            let wall = from.saturating_add(read.saturating_duration_since(start)).max(last).min(until);
            let due = kernel.next_event();
            let jumps = self.catch_up(kernel, wall, due);
            self.drive.tape().turn(kernel, wall, jumps);
            if jumps {
                kernel.jump(wall);
            }
            let next = match self.turn(kernel, wall, due).await {
                Err(RunError::Interrupted(_)) => return Ok(()),
                // a failure is told even if somebody has asked for the end meanwhile
                failed @ Err(_) => failed?,
                Ok(_) if interrupt.is_set() => return Ok(()),
                Ok(next) => next,
            };
            sleep.until(alarm_at(from, start, next.map_or(until, |next| next.min(until))));
            let woken = poll_fn(|cx| match self.drive.poll_came(cx) {
                Poll::Ready(()) => Poll::Ready(Woken::Turn),
                Poll::Pending => sleep.poll(kernel, cx),
            });
            if let Woken::Stop = woken.await {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Goes through the turns of a recording.
    async fn replay(&mut self, kernel: &Kernel) -> Result<(), RunError> {
        while let Some((wall, jumps)) = self.drive.tape().next_turn() {
            if jumps {
                self.jumps += 1;
                kernel.jump(wall);
            }
            self.turn(kernel, wall, kernel.next_event()).await?;
        }
        let end = self.drive.tape().end_time();
        kernel.jump(end.unwrap_or(kernel.now()));
        Ok(())
    }

    /// Whether the run is so far behind that the clock must jump.
    fn catch_up(&mut self, kernel: &Kernel, wall: Time, due: Option<Time>) -> bool {
        let lag = due.and_then(|due| wall.checked_since(due)).unwrap_or_default();
        if lag > self.max_lag {
            self.jumps += 1;
            tracing::warn!(at = %kernel.now(), to = %wall, "the clock jumps: the run was {} behind", isochrone_sim::display_span(lag));
        }
        lag > self.max_lag
    }

    /// Lets everything up to `wall` happen, of which `due` is the next; what came is of then.
    async fn turn(
        &mut self,
        kernel: &Kernel,
        wall: Time,
        due: Option<Time>,
    ) -> Result<Option<Time>, RunError> {
        if kernel.has_wakes() || due.is_some_and(|due| due < wall) {
            self.drive.turn(kernel, wall, false).await?;
        }
        // everything before W has happened: what came in meanwhile happens at (W, round 0)
        kernel.jump(wall);
        self.drive.admit_all(kernel)?;
        if self.drive.tape().is_playing() {
            while let Some(came) = self.drive.tape().came(wall) {
                match came {
                    Came::Result(id, outcome) => kernel.finish_external(id, outcome),
                    Came::Input(input) => self.drive.admit(kernel, input)?,
                }
            }
        }
        let next = self.drive.turn(kernel, wall, true).await;
        self.drive.tape().foreign(kernel);
        self.drive.answer(kernel)?;
        self.drive.tape().checkpoint_if_due(kernel);
        // whatever the turn's operations ask the outside comes after this
        self.drive.tape().commit()?;
        next
    }
}

/// Why a run wakes.
enum Woken {
    Turn,
    Stop,
}

/// What a run waits for between two turns, beside what comes. It is armed from turn to turn: to register with the runtime
/// costs as much as a turn.
struct Sleep<'a> {
    interrupt: &'a Interrupt,
    stop: Pin<Box<dyn Future<Output = ()> + 'a>>,
    alarm: Pin<Box<tokio::time::Sleep>>,
    due: Option<Instant>,
    /// who is woken by all of these
    armed: Option<Waker>,
}

impl<'a> Sleep<'a> {
    fn new(interrupt: &'a Interrupt, start: Instant) -> Self {
        let (stop, alarm) = (Box::pin(interrupt.wait()), Box::pin(tokio::time::sleep_until(start)));
        Sleep { interrupt, stop, alarm, due: None, armed: None }
    }

    fn until(&mut self, due: Option<Instant>) {
        if let Some(due) = due.filter(|_| due != self.due) {
            self.alarm.as_mut().reset(due);
            self.armed = None;
        }
        self.due = due;
    }

    fn poll(&mut self, kernel: &Kernel, cx: &mut Context<'_>) -> Poll<Woken> {
        let known = self.armed.as_ref().is_some_and(|armed| armed.will_wake(cx.waker()));
        if !known || !kernel.is_watched() {
            kernel.watch(cx.waker());
        }
        if self.interrupt.is_set() || !known && self.stop.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Woken::Stop);
        }
        let mut is_over = |alarm: &mut Pin<Box<tokio::time::Sleep>>| match known {
            true => alarm.is_elapsed(),
            false => alarm.as_mut().poll(cx).is_ready(),
        };
        if kernel.has_wakes() || self.due.is_some() && is_over(&mut self.alarm) {
            return Poll::Ready(Woken::Turn);
        }
        if !known {
            self.armed = Some(cx.waker().clone());
        }
        Poll::Pending
    }
}

/// When to wake for what happens at `due`; never for the end of time.
fn alarm_at(from: Time, start: Instant, due: Time) -> Option<Instant> {
    if due == Time::MAX {
        return None;
    }
    start.checked_add(due.checked_since(from).unwrap_or_default())
}

fn wall_epoch() -> Epoch {
    Epoch::new(wall_date())
}

#[allow(clippy::disallowed_methods, reason = "the wall clock's driver reads the wall clock")]
fn wall_date() -> chrono::DateTime<chrono::Utc> {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    let date =
        chrono::DateTime::from_timestamp(since.as_secs().try_into().unwrap_or(0), since.subsec_nanos());
    date.unwrap_or_default()
}
