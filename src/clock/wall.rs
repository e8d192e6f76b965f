//! The wall clock as master: live runs.
//!
//! Why: a live run is a coupled run whose master is the wall clock. Each turn reads the clock once, or is of the reading of a
//! turn of the same thread that has caused it (see `abreast`), `W = max(wall, last + 1 ns)`, lets everything before W
//! happen, injects the turn's inputs at (W, round 0), and lets W happen. `now()` is that logical time; inputs enter only at
//! the start of a turn.
//!
//! When the wall is more than `max_lag` ahead (a suspended machine, an overload), the clock jumps: overdue timers fire
//! once, at the new time, and periodic methods skip what they missed.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use isochrone_sim::{Config, Epoch, Kernel, Time};
use tokio::time::Instant;

use super::abreast::{self, Key};
use super::queue::{Near, Sender};
use super::{Drive, Interrupt, Live, RunError};
use crate::replay::{Came, Tape};

/// Runs on the wall clock.
#[derive(Debug)]
pub struct Wall {
    drive: Rc<RefCell<Drive>>,
    max_lag: Duration,
    jumps: u64,
}

impl Wall {
    /// A driver, and the way into its run.
    pub fn new(interrupt: Interrupt) -> (Self, Live) {
        let drive = Drive::new(interrupt);
        let live = drive.live();
        let drive = Rc::new(RefCell::new(drive));
        (Wall { drive, max_lag: Duration::from_secs(5), jumps: 0 }, live)
    }

    /// Makes a configuration one for a live run: wakes from outside are allowed, and time zero is now.
    pub fn configure(config: &mut Config) {
        config.realtime = true;
        config.epoch = wall_epoch();
    }

    /// With a recorder, or a recording in the place of the outside and of the clock.
    pub fn tape(self, tape: Tape) -> Self {
        self.drive.borrow_mut().set_tape(tape);
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
        let tape = self.drive.borrow().tape().clone();
        self.play(kernel).await?;
        if tape.is_playing() {
            return Ok(());
        }
        // a run that goes on after a recording was away meanwhile
        let away = kernel.config().epoch.time(wall_date()).filter(|_| tape.is_resumed());
        let (from, start) = (away.map_or(kernel.now(), |now| now.max(kernel.now())), Instant::now());
        let run = Rc::new(Run {
            kernel: kernel.again(),
            drive: self.drive.clone(),
            way: self.drive.borrow().way().clone(),
            near: self.drive.borrow().near().clone(),
            from,
            start,
            until,
            next: Cell::new(kernel.next_event()),
            alarm: Cell::new(until),
            midway: Cell::new(None),
            failed: RefCell::new(None),
        });
        let part = abreast::take_part(run.clone());
        let result = self.go(&run).await;
        drop(part);
        // it has lasted to the moment of the interrupt, also if nothing happened since the last event
        kernel.jump(from.saturating_add(start.elapsed()).min(until));
        match result {
            Err(RunError::Interrupted(_)) => Ok(()),
            others => others,
        }
    }

    async fn go(&mut self, run: &Rc<Run>) -> Result<(), RunError> {
        let interrupt = self.drive.borrow().interrupt().clone();
        let mut sleep = Sleep::new(&interrupt, run.start);
        self.drive.borrow_mut().keep();
        while run.kernel.now() < run.until {
            // a failure is told even if somebody has asked for the end meanwhile
            let next = self.next_turn(run).await?;
            if interrupt.is_set() {
                return Ok(());
            }
            run.sleeps_until(next);
            if let Woken::Stop = poll_fn(|cx| run.poll(&mut sleep, cx)).await {
                return Ok(());
            }
            if let Some(failed) = run.failed.take() {
                return Err(failed);
            }
        }
        Ok(())
    }

    /// One turn, or the rest of one; the time of the next event.
    #[allow(clippy::await_holding_refcell_ref, reason = "who finds it borrowed knows that it is on its way")]
    async fn next_turn(&mut self, run: &Run) -> Result<Option<Time>, RunError> {
        let (kernel, drive) = (&run.kernel, &mut *run.drive.borrow_mut());
        let read = Instant::now();
        drive.give_way(kernel, read.into_std()).await?;
        if let Some(wall) = run.midway.take() {
            let next = drive.turn(kernel, wall, true).await?;
            drive.end_turn(kernel)?;
            return Ok(next);
        }
        let (wall, due) = (run.wall(read), run.due());
        let jumps = self.catch_up(kernel, wall, due);
        drive.tape().turn(kernel, wall, jumps);
        if jumps {
            kernel.jump(wall);
        }
        turn(drive, kernel, wall, due).await
    }

    /// Goes through the turns of a recording, if there is one.
    #[allow(
        clippy::await_holding_refcell_ref,
        reason = "a recording has no part in what others on the thread do"
    )]
    pub(crate) async fn play(&mut self, kernel: &Kernel) -> Result<(), RunError> {
        let drive = &mut *self.drive.borrow_mut();
        let tape = drive.tape().clone();
        if !tape.is_playing() {
            return Ok(());
        }
        while let Some((wall, jumps)) = tape.next_turn(kernel) {
            if jumps {
                self.jumps += 1;
                kernel.jump(wall);
            }
            turn(drive, kernel, wall, kernel.next_event()).await?;
        }
        kernel.jump(tape.end_time().unwrap_or(kernel.now()));
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
}

/// Lets everything up to `wall` happen, of which `due` is the next; what came is of then.
async fn turn(
    drive: &mut Drive,
    kernel: &Kernel,
    wall: Time,
    due: Option<Time>,
) -> Result<Option<Time>, RunError> {
    if kernel.has_wakes() || due.is_some_and(|due| due < wall) {
        drive.turn(kernel, wall, false).await?;
    }
    // everything before W has happened: what came in meanwhile happens at (W, round 0)
    kernel.jump(wall);
    drive.admit_all(kernel)?;
    if drive.tape().is_playing() {
        while let Some(came) = drive.tape().came(kernel, wall) {
            match came {
                Came::Result(id, outcome) => kernel.finish_external(id, outcome),
                Came::Input(input) => drive.admit(kernel, input)?,
            }
        }
    }
    let next = drive.turn(kernel, wall, true).await?;
    drive.end_turn(kernel)?;
    Ok(next)
}

/// What is known of a run that goes on, for others of its thread as well.
#[derive(Debug)]
pub(super) struct Run {
    kernel: Kernel,
    drive: Rc<RefCell<Drive>>,
    way: Sender,
    near: Near,
    /// when it began
    from: Time,
    start: Instant,
    until: Time,
    /// the next event when the last turn had ended
    next: Cell<Option<Time>>,
    /// when its task is to be woken for that
    alarm: Cell<Time>,
    /// a turn that others have begun
    midway: Cell<Option<Time>>,
    /// what such a turn has failed with
    failed: RefCell<Option<RunError>>,
}

impl Run {
    /// The time of a turn.
    fn wall(&self, read: Instant) -> Time {
        let last = self.kernel.now().saturating_add(Duration::from_nanos(1));
        let passed = read.saturating_duration_since(self.start);
        self.from.saturating_add(passed).max(last).min(self.until)
    }

    /// The next event.
    fn due(&self) -> Option<Time> {
        if self.kernel.is_busy() { self.kernel.next_event() } else { self.next.get() }
    }

    fn sleeps_until(&self, next: Option<Time>) {
        self.next.set(next);
        self.alarm.set(next.map_or(self.until, |next| next.min(self.until)));
    }

    /// Lets others have turns, and has those of its own that get done at once.
    fn poll(self: &Rc<Self>, sleep: &mut Sleep<'_>, cx: &mut Context<'_>) -> Poll<Woken> {
        let drive = &mut *self.drive.borrow_mut();
        // of the turn that has ended just now
        let mut read = None;
        while self.midway.get().is_none() && self.failed.borrow().is_none() {
            abreast::in_turns(self, read, || {
                drive.begin();
            });
            if drive.poll_came(cx).is_pending() {
                sleep.until(alarm_at(self.from, self.start, self.alarm.get()));
                let woken = sleep.poll(&self.kernel, cx);
                if woken.is_pending() {
                    drive.rests();
                }
                return woken;
            }
            if !self.is_done_at_once(drive, *read.insert(Instant::now())) {
                break;
            }
        }
        Poll::Ready(Woken::Turn)
    }

    /// Its turn, in that of another run of the thread, for which the clock has been read already, or not; its task is woken if
    /// that is not all.
    pub(super) fn turn_at_once(&self, read: Option<Instant>) {
        // else it is on its way
        let Ok(mut drive) = self.drive.try_borrow_mut() else { return };
        if !drive.keep() {
            return;
        }
        let (read, alarm) = (read.unwrap_or_else(Instant::now), self.alarm.get());
        // a future is polled, and a clock set, by its task
        if !self.is_done_at_once(&mut drive, read) || drive.begin() || self.alarm.get() < alarm {
            self.wake();
        }
    }

    /// A turn for what has come, unless that may take longer; what it has begun is still to be done.
    fn is_done_at_once(&self, drive: &mut Drive, read: Instant) -> bool {
        let (kernel, wall) = (&self.kernel, self.wall(read));
        let plain = self.midway.get().is_none()
            && self.failed.borrow().is_none()
            && !drive.must_give_way(read.into_std())
            && !drive.interrupt().is_set()
            && !kernel.has_wakes()
            && kernel.now() < self.until
            && self.due().is_none_or(|due| due >= wall);
        if !plain {
            return false;
        }
        drive.tape().turn(kernel, wall, false);
        kernel.jump(wall);
        let ended = drive.admit_all(kernel).and_then(|()| {
            let next = drive.turn_at_once(kernel, wall)?;
            if next.is_some() {
                drive.end_turn(kernel)?;
            }
            Ok(next)
        });
        match ended {
            Ok(Some(next)) => {
                self.sleeps_until(next);
                true
            }
            Ok(None) => {
                self.midway.set(Some(wall));
                false
            }
            Err(failed) => {
                self.failed.replace(Some(failed));
                false
            }
        }
    }

    pub(super) fn wake(&self) {
        self.way.wake_driver();
    }

    pub(super) fn key(&self) -> Key {
        self.way.key()
    }

    pub(super) fn near(&self) -> &Near {
        &self.near
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
