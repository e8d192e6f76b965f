//! A recording in the place of the outside, and the judge of what comes out again.
//!
//! Why in lock step: the recording is one sequence of inputs and outputs. Whoever needs an input takes the next record, and
//! whatever comes out must be the next record, so that the first difference is noticed where it happens.
//!
//! | who asks | takes | must find |
//! |----------|-------|-----------|
//! | the wall's driver | turns, jumps, then the inputs and results of the turn | |
//! | a simulator's stand-in | requests, calls between them | their replies |
//! | a driver that waits for an external operation | its result, calls meanwhile | |
//! | the kernel's observer | | events, checkpoints |
//!
//! In a *trial* inputs are handed in as far as they fit, and nothing is compared: what happens is written down instead.
//!
//! Contract: after the first difference, or the end of what was recorded, the player takes part no more; the driver asks
//! for its [`Verdict`] after each turn and ends the run.

use std::collections::BTreeMap;

use isochrone_sim::{Event, Started, Time, local};

use super::difference::{self, Difference};
use super::events;
use super::names::Names;
use super::recorder::Recorder;
use super::source::Source;
use crate::journal::{Entry, JournalError, Level, Name, Packed, RESEED, Reader, Record, Tail, sentence};

/// Why a recording ended that `Ctrl-C` has cut off at an arbitrary point.
pub(crate) const INTERRUPT: &str = "it was interrupted";

/// Where a replay ends early.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stops {
    /// At the first event after this time.
    pub until: Option<Time>,
    /// At this event.
    pub event: Option<u64>,
}

/// How a replay came out.
#[derive(Debug)]
#[non_exhaustive]
pub enum Verdict {
    /// It went on otherwise than it was recorded.
    Differs(Box<Difference>),
    /// Everything that was recorded has happened again; the recording ends here, without an end of the run.
    Recorded(Time),
    /// It was to stop here, before this happens.
    Stopped {
        /// When.
        time: Time,
        /// The event that would be next.
        event: u64,
        /// What it is.
        text: String,
    },
    /// From here on it cannot be replayed.
    Broken {
        /// When.
        time: Time,
        /// The agent because of which.
        agent: Option<String>,
        /// Why.
        text: String,
    },
    /// The journal is damaged.
    Damaged(JournalError),
}

/// An operation of an agent, by its number among those of that agent.
pub(crate) type Key = (String, u64);

pub(crate) struct Player {
    source: Source,
    reader: Reader,
    head: Option<Entry>,
    pub(crate) names: Names,
    pub(crate) level: Level,
    realtime: bool,
    /// whether the outside says when the run ends
    is_driven: bool,
    stops: Stops,
    /// only what leaves the run is compared
    outward: bool,
    /// results that were passed on the way
    pub(crate) results: BTreeMap<Key, Result<Packed, String>>,
    /// operations that agents wait for
    pub(crate) waiting: BTreeMap<Key, Started>,
    pub(crate) verdict: Option<Verdict>,
    cut_off: bool,
    /// whether the run goes on where it stops
    is_cut: bool,
    /// records that have come out again
    pub(crate) same: u64,
    /// the time and round of the record that was taken last
    last: (Time, u32),
    /// nothing is compared, and whatever happens is written down here
    pub(crate) trial: Option<Recorder>,
}

impl std::fmt::Debug for Player {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Player({:?})", self.head)
    }
}

impl Player {
    /// Of whom the first notice `bound` was.
    pub(crate) fn bound(&self) -> Option<String> {
        // from the beginning, in a reader of its own: the run has not begun
        self.source.open().ok()?.find_map(|entry| match entry.ok()?.record {
            Record::Command { from, name, .. } if name.as_str() == "bound" => Some(from.as_str().to_string()),
            _ => None,
        })
    }

    pub(crate) fn new(source: Source, stops: Stops, outward: bool) -> Result<Self, JournalError> {
        Player::open(source, stops, outward, None)
    }

    /// One that only hands in inputs.
    pub(crate) fn trial(source: Source, recorder: Recorder) -> Result<Self, JournalError> {
        Player::open(source, Stops::default(), false, Some(recorder))
    }

    fn open(
        source: Source,
        stops: Stops,
        outward: bool,
        trial: Option<Recorder>,
    ) -> Result<Self, JournalError> {
        let reader = source.open()?;
        let level = reader.header().level;
        let clock = &reader.header().clock;
        let realtime = clock == "wall";
        let is_driven = realtime || clock == "coupled";
        let mut player = Player {
            source,
            reader,
            head: None,
            names: Names::default(),
            level,
            realtime,
            is_driven,
            stops,
            outward,
            results: BTreeMap::new(),
            waiting: BTreeMap::new(),
            verdict: None,
            cut_off: false,
            is_cut: false,
            same: 0,
            last: (Time::ZERO, 0),
            trial,
        };
        player.next();
        Ok(player)
    }

    /// One whose recording ends before this event.
    pub(crate) fn cut(source: Source, event: u64) -> Result<Self, JournalError> {
        let mut player = Player::new(source, Stops { event: Some(event), until: None }, false)?;
        player.is_cut = true;
        if let Some(Verdict::Stopped { .. }) = player.verdict {
            player.end_here();
        }
        Ok(player)
    }

    fn end_here(&mut self) {
        (self.verdict, self.head, self.cut_off) = (None, None, true);
    }

    /// The time and round of the record that was taken last.
    pub(crate) fn last(&self) -> (Time, u32) {
        self.last
    }

    /// Whether events are compared.
    pub(crate) fn compares_events(&self) -> bool {
        self.level >= Level::Events && !self.outward
    }

    /// Takes the head away and reads the next record; what is about the journal itself is passed over.
    fn next(&mut self) -> Option<Entry> {
        let taken = self.head.take();
        if let Some(taken) = &taken {
            self.last = (taken.time, taken.round);
        }
        while self.verdict.is_none() && !self.cut_off {
            let Some(entry) = self.reader.next() else { break };
            let entry = match entry {
                Ok(entry) => entry,
                Err(error) => {
                    self.verdict = Some(Verdict::Damaged(error));
                    break;
                }
            };
            match &entry.record {
                Record::Note { breaks_replay: true, agent, text } => {
                    let agent = agent.as_ref().map(Name::to_string);
                    self.verdict = Some(Verdict::Broken { time: entry.time, agent, text: text.clone() });
                }
                Record::Origin { .. } | Record::Note { .. } => {}
                // it was cut off: where the run would have ended is not known
                Record::End { because, .. } if because == INTERRUPT => self.cut_off = true,
                Record::Checkpoint { .. } if self.is_cut => {}
                // those come whenever their operation has ended, which has no place in simulated time
                Record::Result { agent, call, outcome, .. } if !self.realtime => {
                    if let Some(trial) = &mut self.trial {
                        trial.write((entry.time, entry.round), &entry.record);
                    }
                    self.results.insert((agent.to_string(), *call), outcome.clone());
                }
                record if self.outward && is_inward(record) => {}
                _ => {
                    let beyond = self.stops.until.is_some_and(|until| entry.time > until)
                        || self.stops.event.is_some_and(|event| entry.event >= event);
                    self.head = Some(entry);
                    if beyond && self.is_cut {
                        self.end_here();
                    } else if beyond {
                        self.stop();
                    }
                    break;
                }
            }
        }
        taken
    }

    fn stop(&mut self) {
        if let Some(head) = &self.head {
            let text = sentence(&head.record);
            self.verdict = Some(Verdict::Stopped { time: head.time, event: head.event, text });
        }
    }

    /// The next record, if there is one.
    pub(crate) fn head(&self) -> Option<&Entry> {
        self.head.as_ref().filter(|_| self.verdict.is_none())
    }

    /// Whether everything that was recorded has been taken.
    pub(crate) fn is_at_end(&self) -> bool {
        self.head.is_none() && self.verdict.is_none()
    }

    /// Whether the journal was cut off: its writer was killed.
    pub(crate) fn is_open(&self) -> bool {
        self.cut_off || self.reader.tail().is_none_or(|tail| *tail != Tail::Ended)
    }

    /// Takes the next record if it is as wished.
    pub(crate) fn take_if(&mut self, wished: impl FnOnce(&Entry) -> bool) -> Option<Entry> {
        if self.head().is_some_and(wished) { self.next() } else { None }
    }

    /// An input that is due here. In a trial others may be left out before it, so that only its time counts.
    pub(crate) fn take_input(&mut self, at: (Time, u32)) -> Option<Entry> {
        let is_trial = self.trial.is_some();
        self.take_if(|head| {
            let is_due = if is_trial { head.time <= at.0 } else { (head.time, head.round) == at };
            is_due && matches!(head.record, Record::Call { .. } | Record::Command { .. })
        })
    }

    /// Writes down, in a trial, what was handed in.
    pub(crate) fn took(&mut self, entry: &Entry) {
        if let Some(trial) = &mut self.trial {
            trial.write((entry.time, entry.round), &entry.record);
        }
    }

    /// Compares what the kernel tells, inside the kernel.
    #[inline]
    pub(crate) fn event(&mut self, event: &Event) {
        if self.verdict.is_some() {
            return;
        }
        if let Some(trial) = &mut self.trial {
            return trial.event(event);
        }
        let Some(record) = events::record(&mut self.names, event) else { return };
        if matches!(record, Record::Drew { .. }) && self.level < Level::Full {
            return;
        }
        self.compare((event.time, event.round), record);
        self.reseed();
        if let Some(Record::Checkpoint { .. }) = self.head().map(|head| &head.record) {
            self.checkpoint((event.time, event.round), local::fingerprint());
        }
    }

    /// From the point of a fork on other numbers are drawn.
    fn reseed(&mut self) {
        let taken =
            self.take_if(|head| matches!(&head.record, Record::Command { name, .. } if *name == RESEED));
        if let Some(Entry { record: Record::Command { args, .. }, .. }) = taken
            && let Some(seed) = args.value().and_then(|seed| seed.as_u64())
        {
            local::reseed(seed);
        }
    }

    /// Compares what has come out with the next record.
    #[inline]
    pub(crate) fn compare(&mut self, at: (Time, u32), record: Record) {
        if self.verdict.is_some() || self.outward && is_inward(&record) {
            return;
        }
        if let Some(trial) = &mut self.trial {
            return trial.write(at, &record);
        }
        match &self.head {
            Some(head) if (head.time, head.round) == at && events::is_same(&head.record, &record) => {
                self.same += 1;
                self.next();
            }
            None if self.is_open() => self.verdict = Some(Verdict::Recorded(self.last.0)),
            _ => self.differ(at, Some(record)),
        }
    }

    /// Compares the state of all agents, if the journal tells it for this moment.
    pub(crate) fn checkpoint(&mut self, at: (Time, u32), fingerprint: u64) {
        let Some(head) = self.head() else { return };
        let Record::Checkpoint { fingerprint: recorded, .. } = &head.record else { return };
        if (head.time, head.round) != at {
            return;
        }
        if recorded.0 == fingerprint {
            self.next();
        } else {
            self.differ(at, None);
        }
    }

    /// The run has ended: was it to?
    pub(crate) fn finish(&mut self, at: (Time, u32), fingerprint: u64, because: &str) {
        if self.verdict.is_some() || self.trial.is_some() {
            return;
        }
        // a simulator says when it ends, and the outside how a live run does
        let same_reason = |reason: &str| self.is_driven || reason == because;
        match &self.head {
            None if self.is_open() => self.verdict = Some(Verdict::Recorded(self.last.0)),
            Some(Entry { record: Record::End { fingerprint: recorded, because: reason, .. }, .. })
                if recorded.0 == fingerprint && same_reason(reason) =>
            {
                self.next();
            }
            _ => {
                let end = Record::End {
                    events: 0,
                    fingerprint: crate::journal::Hash(fingerprint),
                    chain: crate::journal::Hash(0),
                    because: because.into(),
                };
                self.differ(at, Some(end));
            }
        }
    }

    /// Nothing asks for anything more: the recording must end here.
    #[cfg(any(feature = "mosaik", feature = "serve"))]
    pub(crate) fn expect_end(&mut self) {
        match &self.head {
            _ if self.verdict.is_some() => {}
            None if self.is_open() => self.verdict = Some(Verdict::Recorded(self.last.0)),
            None | Some(Entry { record: Record::End { .. }, .. }) => {}
            Some(_) => self.differ(self.last, None),
        }
    }

    /// An operation is waited for whose result was not recorded.
    pub(crate) fn expect_result(&mut self, at: (Time, u32)) {
        if self.head.is_none() && self.is_open() {
            self.verdict.get_or_insert(Verdict::Recorded(self.last.0));
        } else {
            self.differ(at, None);
        }
    }

    /// Something else than the next record has happened.
    #[cold]
    pub(crate) fn differ(&mut self, at: (Time, u32), actual: Option<Record>) {
        if self.verdict.is_some() {
            return;
        }
        if self.trial.is_some() {
            // what was left out is missed: the run ends here
            self.verdict = Some(Verdict::Recorded(self.last.0));
            return;
        }
        let expected = self.head.take();
        let rest: Vec<Entry> = self.reader.by_ref().flatten().take(256).collect();
        let difference = difference::find(&self.source, at, expected, actual, &rest);
        self.verdict = Some(Verdict::Differs(Box::new(difference)));
    }
}

/// What an agent did without anybody outside seeing it.
fn is_inward(record: &Record) -> bool {
    record.kind() >= 64 || matches!(record, Record::Checkpoint { .. })
}
