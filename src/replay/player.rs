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
//! In a [trial](super::trial) inputs are handed in as far as they fit, and nothing is compared.
//!
//! Contract: after the first difference, or the end of what was recorded, the player takes part no more; the driver asks
//! for its [`Verdict`] after each turn and ends the run.

use std::collections::{BTreeMap, VecDeque};

use isochrone_sim::{Event, Kernel, Started, Time, local};

use super::difference::{self, Difference};
use super::events;
use super::names::Names;
use super::questions::Questions;
use super::source::Source;
use super::trial::{Trial, is_brought_forth};
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
    pub(super) reader: Reader,
    pub(super) head: Option<Entry>,
    /// what was read on the way to a later record
    pub(super) ahead: VecDeque<Result<Entry, JournalError>>,
    pub(crate) names: Names,
    pub(crate) level: Level,
    realtime: bool,
    /// whether the outside says when the run ends
    is_driven: bool,
    pub(super) stops: Stops,
    /// only what leaves the run is compared
    outward: bool,
    /// results that were passed on the way
    pub(crate) results: BTreeMap<Key, Result<Packed, String>>,
    /// operations that agents wait for
    pub(crate) waiting: BTreeMap<Key, Started>,
    pub(crate) verdict: Option<Verdict>,
    pub(super) cut_off: bool,
    /// whether the run goes on where it stops
    pub(super) is_cut: bool,
    /// records that have come out again
    pub(crate) same: u64,
    /// the time and round of the record that was taken last
    pub(super) last: (Time, u32),
    pub(crate) trial: Option<Trial>,
    /// what is asked on the way, if that is wanted
    pub(crate) questions: Option<Questions>,
}

impl std::fmt::Debug for Player {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Player({:?})", self.head)
    }
}

impl Player {
    /// Of whom the first notice `bound` was, and how many connections there have been.
    pub(crate) fn network(&self) -> (Option<String>, u64) {
        // from the beginning, in a reader of its own: the run has not begun
        let (mut bound, mut connections) = (None, 0);
        for entry in self.source.open().into_iter().flatten().map_while(Result::ok) {
            let Record::Command { from, name, args } = entry.record else { continue };
            match name.as_str() {
                "bound" => drop(bound.get_or_insert_with(|| from.as_str().to_string())),
                "connected" => {
                    let number = args.value().and_then(|number| number.as_u64());
                    connections = connections.max(number.unwrap_or_default());
                }
                _ => {}
            }
        }
        (bound, connections)
    }

    pub(crate) fn new(source: Source, stops: Stops, outward: bool) -> Result<Self, JournalError> {
        Ok(Player::open(source, stops, outward, None)?.begun())
    }

    /// One that only hands in inputs.
    pub(crate) fn trial(source: Source, trial: Trial) -> Result<Self, JournalError> {
        Ok(Player::open(source, Stops::default(), false, Some(trial))?.begun())
    }

    fn open(source: Source, stops: Stops, outward: bool, trial: Option<Trial>) -> Result<Self, JournalError> {
        let reader = source.open()?;
        let level = reader.header().level;
        let clock = &reader.header().clock;
        let realtime = clock == "wall";
        let is_driven = realtime || clock == "coupled";
        Ok(Player {
            source,
            reader,
            head: None,
            ahead: VecDeque::new(),
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
            questions: None,
        })
    }

    /// With its first record.
    fn begun(mut self) -> Self {
        self.next();
        self
    }

    /// One whose recording ends before this event.
    pub(crate) fn cut(source: Source, event: u64) -> Result<Self, JournalError> {
        let mut player = Player::open(source, Stops { event: Some(event), until: None }, false, None)?;
        player.is_cut = true;
        Ok(player.begun())
    }

    /// Takes operations whose results are known.
    pub(crate) fn take_known(&mut self) -> Vec<(Started, Result<Packed, String>)> {
        let known = self.waiting.keys().filter(|key| self.results.contains_key(key)).cloned();
        let known: Vec<Key> = known.collect();
        let result = |key: Key| Some((self.waiting.remove(&key)?, self.results.remove(&key)?));
        known.into_iter().filter_map(result).collect()
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
    pub(super) fn next(&mut self) -> Option<Entry> {
        let taken = self.head.take();
        if let Some(taken) = &taken {
            self.last = (taken.time, taken.round);
        }
        while self.verdict.is_none() && !self.cut_off {
            let read = self.ahead.pop_front().or_else(|| self.reader.next());
            let Some(entry) = read else { break };
            let entry = match entry {
                Ok(entry) => entry,
                Err(error) => {
                    self.verdict = Some(Verdict::Damaged(error));
                    break;
                }
            };
            let beyond = self.stops.until.is_some_and(|until| entry.time > until)
                || self.stops.event.is_some_and(|event| entry.event >= event);
            if beyond && self.is_cut {
                // it may go on from there as a trial
                self.ahead.push_front(Ok(entry));
                self.cut_off = true;
                break;
            }
            let is_trial = self.trial.is_some();
            match &entry.record {
                record if is_trial && is_brought_forth(record) => {}
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
                    self.results.insert((agent.to_string(), *call), outcome.clone());
                }
                record if self.outward && is_inward(record) => {}
                _ => {
                    self.head = Some(entry);
                    if beyond {
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
            trial.recorder.write((entry.time, entry.round), &entry.record);
        }
    }

    /// Compares what the kernel tells, inside the kernel.
    #[inline]
    pub(crate) fn event(&mut self, event: &Event) {
        if self.verdict.is_some() {
            return;
        }
        if let Some(trial) = &mut self.trial {
            return trial.recorder.event(event);
        }
        let Some(record) = events::record(&mut self.names, event) else { return };
        if matches!(record, Record::Drew { .. }) && self.level < Level::Full {
            return;
        }
        self.compare((event.time, event.round), record);
        self.reseed(None);
        if let Some(Record::Checkpoint { .. }) = self.head().map(|head| &head.record) {
            self.checkpoint((event.time, event.round), local::fingerprint());
        }
    }

    /// From the point of a fork on other numbers are drawn; whether it is this one.
    pub(crate) fn reseed(&mut self, kernel: Option<&Kernel>) -> bool {
        let taken =
            self.take_if(|head| matches!(&head.record, Record::Command { name, .. } if *name == RESEED));
        let Some(Entry { record: Record::Command { args, .. }, .. }) = taken else { return false };
        if let Some(seed) = args.value().and_then(|seed| seed.as_u64()) {
            reseed(kernel, seed);
        }
        true
    }

    /// Compares what has come out with the next record.
    #[inline]
    pub(crate) fn compare(&mut self, at: (Time, u32), record: Record) {
        if self.verdict.is_some() || self.outward && is_inward(&record) {
            return;
        }
        if let Some(trial) = &mut self.trial {
            return trial.recorder.write(at, &record);
        }
        match &self.head {
            Some(head) if (head.time, head.round) == at && events::is_same(&head.record, &record) => {
                self.same += 1;
                self.next();
            }
            None if self.is_open() => self.verdict = Some(Verdict::Recorded(self.last.0)),
            _ => {
                // it was forked where nothing had happened
                if self.reseed(None) { self.compare(at, record) } else { self.differ(at, Some(record)) }
            }
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
            _ if self.verdict.is_some() || self.trial.is_some() => {}
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
        let ahead = self.ahead.drain(..);
        let rest: Vec<Entry> = ahead.chain(self.reader.by_ref()).flatten().take(256).collect();
        let difference = difference::find(&self.source, at, expected, actual, &rest);
        self.verdict = Some(Verdict::Differs(Box::new(difference)));
    }
}

/// Other numbers are drawn from now on, inside the kernel that runs or in this one.
pub(crate) fn reseed(kernel: Option<&Kernel>, seed: u64) {
    match kernel {
        Some(kernel) => kernel.reseed(seed),
        None => local::reseed(seed),
    }
}

/// What an agent did without anybody outside seeing it.
fn is_inward(record: &Record) -> bool {
    record.kind() >= 64 || matches!(record, Record::Checkpoint { .. })
}
