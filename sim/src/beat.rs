//! One timer for all periodic code that waits for the same instant.
//!
//! Why: agents of a kind were created together and tick together: a hundred or a million timers for one instant, set one after
//! the other. The first of them is a timer of its own; who comes next and waits for the same instant joins it, and is
//! four bytes in a list instead of an entry in the wheel, a place in its table, and the way in and out of both.
//!
//! | set in a row | in the wheel |
//! |--------------|--------------|
//! | `a` at 5 | 5: `a` |
//! | `a` at 5, `b` at 5, `c` at 5 | 5: the beat `a`, `b`, `c` |
//! | `a` at 5, `b` at 5, a sleep until 5, `c` at 5 | 5: the beat `a`, `b`; the sleep; `c` |
//!
//! Contract: everything fires in the order in which it was set, as if nothing was joined: a beat is closed by any other timer of
//! its instant ([`Core::set_apart`]). Who leaves leaves a gap, and the last one takes the timer with it.

use crate::core::Core;
use crate::slab::Slab;
use crate::waiter::NO_TASK;
use crate::wheel::TimerId;

/// Waiters with this bit, and none above it, are beats.
pub(crate) const BEAT: u32 = 1 << 29;
/// No timer can be joined: nothing waits for the end of time.
pub(crate) const CLOSED: u64 = u64::MAX;
/// Empty lists that are kept.
const SPARE: usize = 4;

/// Where a task waits for its time.
#[derive(Clone, Copy)]
pub(crate) enum Place {
    /// Nowhere.
    None,
    /// It has set the timer, and may have been joined since.
    First(TimerId),
    /// It has joined.
    Joined { beat: u32, at: u32 },
}

const _: () = assert!(size_of::<Place>() == 12, "a million agents have one");

/// One that has ended has no tasks.
struct Beat {
    timer: TimerId,
    tasks: Vec<u32>,
    /// how many of them are gaps
    gone: usize,
}

/// The number of no beat.
const NO_BEAT: u32 = u32::MAX;

/// The beats of a kernel.
pub(crate) struct Beats {
    beats: Slab<Beat>,
    spare: Vec<Vec<u32>>,
    /// the timer that was set last, and the task that set it
    last: Option<(TimerId, u32)>,
    /// what it has become: from the second task on
    open: u32,
}

impl Default for Beats {
    fn default() -> Self {
        Beats { beats: Slab::default(), spare: Vec::new(), last: None, open: NO_BEAT }
    }
}

impl Beats {
    fn start(&mut self, timer: TimerId, tasks: [u32; 2]) -> u32 {
        let mut beat = Beat { timer, tasks: self.spare.pop().unwrap_or_default(), gone: 0 };
        beat.tasks.extend(tasks);
        self.beats.add(beat)
    }

    /// The task leaves, if it is there; the timer of the beat, if it was the last one.
    fn leave(&mut self, number: u32, at: u32, task: u32) -> Option<TimerId> {
        let beat = self.beats.get_mut(number)?;
        // what has fired is over, and its number may be another's
        *beat.tasks.get_mut(at as usize).filter(|member| **member == task)? = NO_TASK;
        beat.gone += 1;
        if beat.gone < beat.tasks.len() {
            return None;
        }
        let timer = beat.timer;
        let tasks = self.take(number);
        self.give_back(tasks);
        Some(timer)
    }

    /// The tasks of a beat that has fired, and gaps; to be [given back](Beats::give_back).
    pub(crate) fn take(&mut self, number: u32) -> Vec<u32> {
        let Some(beat) = self.beats.get_mut(number) else { return Vec::new() };
        let tasks = std::mem::take(&mut beat.tasks);
        self.beats.release(number);
        tasks
    }

    /// Keeps the room of a list.
    pub(crate) fn give_back(&mut self, mut tasks: Vec<u32>) {
        if self.spare.len() < SPARE {
            tasks.clear();
            self.spare.push(tasks);
        }
    }

    /// All tasks that wait in beats.
    pub(crate) fn waiting(&self) -> impl Iterator<Item = u32> {
        self.beats.iter().flat_map(|beat| &beat.tasks).copied().filter(|task| *task != NO_TASK)
    }
}

impl Core {
    /// The task waits for an instant that lies ahead, behind whatever waits for it already. Its place is written where it is
    /// kept: one that is put together in memory, of parts, is waited for when it is copied as a whole.
    #[inline(always)]
    pub(crate) fn wait_for(&self, when: u64, task: u32, place: &mut Place) {
        if self.joinable.get() == when {
            let beats = &mut *self.beats.borrow_mut();
            if let Some(beat) = beats.beats.get_mut(beats.open) {
                *place = Place::Joined { beat: beats.open, at: beat.tasks.len() as u32 };
                beat.tasks.push(task);
                return;
            }
        }
        self.set_timer(when, task, place);
    }

    #[inline(never)]
    fn set_timer(&self, when: u64, task: u32, place: &mut Place) {
        let (mut beats, mut timers) = (self.beats.borrow_mut(), self.timers.borrow_mut());
        if self.joinable.get() == when
            && let Some((timer, first)) = beats.last.filter(|(timer, _)| timers.is_live(*timer))
        {
            // the second one: a timer becomes a beat
            beats.open = beats.start(timer, [first, task]);
            timers.set_payload(timer, beats.open | BEAT);
            *place = Place::Joined { beat: beats.open, at: 1 };
            return;
        }
        let timer = timers.insert(when, task);
        (beats.last, beats.open) = (Some((timer, task)), NO_BEAT);
        self.joinable.set(when);
        *place = Place::First(timer);
    }

    /// The task waits no more.
    pub(crate) fn wait_no_more(&self, place: Place, when: u64, task: u32) {
        let (mut beats, mut timers) = (self.beats.borrow_mut(), self.timers.borrow_mut());
        let (beat, at) = match place {
            Place::None => return,
            Place::First(timer) if !timers.is_live(timer) => return,
            Place::First(timer) => match timers.payload(timer) {
                beat if beat & BEAT != 0 => (beat & !BEAT, 0),
                _ => {
                    timers.cancel(when, timer);
                    return;
                }
            },
            Place::Joined { beat, at } => (beat, at),
        };
        if let Some(timer) = beats.leave(beat, at, task) {
            timers.cancel(when, timer);
            if beats.open == beat {
                self.joinable.set(CLOSED);
            }
        }
    }

    /// Another timer is set for this instant: who comes after it joins none before it.
    #[inline(always)]
    pub(crate) fn set_apart(&self, when: u64) {
        if self.joinable.get() == when {
            self.joinable.set(CLOSED);
        }
    }
}
