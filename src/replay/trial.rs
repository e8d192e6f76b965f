//! Inputs of a recording without comparison: what happens is written down instead.
//!
//! Why: a run with fewer inputs, or with other random numbers, is another run. It gets what the outside said when it was
//! recorded, as far as that fits.
//!
//! | from outside | in a trial |
//! |--------------|------------|
//! | turns, requests, calls, notices | at their times, or as soon as time has come there |
//! | results | of an operation that the recorded run asked for too ([`Questions`]), as it had them |
//! | results of any other operation | refused when its agent is to resume, with agent and operation |
//!
//! Contract: a replay that was cut may go on as a trial behind the cut.

use isochrone_sim::{Started, Time};

use super::player::{Key, Player, Stops};
use super::questions::Questions;
use super::recorder::Recorder;
use crate::journal::{Entry, RESEED, Record};

/// What a trial has beside its player.
#[derive(Debug)]
pub(crate) struct Trial {
    pub(crate) recorder: Recorder,
    /// what the recorded run asked
    pub(crate) questions: Questions,
    /// operations that it did not ask for
    pub(crate) unheard: Vec<Started>,
    /// whether one got no answer
    pub(crate) has_refused: bool,
}

impl Trial {
    pub(crate) fn new(recorder: Recorder, questions: Questions) -> Self {
        Trial { recorder, questions, unheard: Vec::new(), has_refused: false }
    }
}

impl Player {
    /// Goes on as a trial behind the cut.
    pub(crate) fn go_on(&mut self, mut trial: Trial) {
        trial.recorder.names = std::mem::take(&mut self.names);
        self.trial = Some(trial);
        (self.stops, self.is_cut, self.cut_off) = (Stops::default(), false, false);
        let last = self.last;
        self.next();
        self.last = last;
    }

    /// An agent asks the outside, by its operation of this number.
    pub(crate) fn ask(&mut self, key: Key, started: Started) {
        if let Some(questions) = &mut self.questions {
            questions.note(&key, &started);
        }
        let Some(trial) = &mut self.trial else {
            self.waiting.insert(key, started);
            return;
        };
        match trial.questions.again(&key.0, &started) {
            Some(recorded) => drop(self.waiting.insert(recorded, started)),
            None => trial.unheard.push(started),
        }
    }

    /// Takes operations of a trial that must end by now and have no results; those with one that comes later only if `all`.
    pub(crate) fn take_unheard(&mut self, now: Time, all: bool) -> Vec<Started> {
        let Some(trial) = &mut self.trial else { return Vec::new() };
        let mut taken: Vec<Started> = trial.unheard.extract_if(.., |started| started.due() <= now).collect();
        if all {
            let late = self.waiting.iter().filter(|(_, started)| started.due() <= now);
            let late: Vec<Key> = late.map(|(key, _)| key.clone()).collect();
            taken.extend(late.into_iter().filter_map(|key| self.waiting.remove(&key)));
        }
        trial.has_refused |= !taken.is_empty();
        taken
    }

    /// Up to where the recorded run had come when the next request was made: in a trial that comes too late for a step that
    /// goes further, and so it would when the trial is replayed.
    pub(crate) fn leash(&mut self) -> Option<Time> {
        let is_request = |entry: &&Entry| matches!(entry.record, Record::Request { .. });
        let known =
            self.head.iter().chain(self.ahead.iter().flatten()).find(is_request).map(|entry| entry.time);
        if known.is_some() {
            return known;
        }
        for read in self.reader.by_ref() {
            let time = read.as_ref().ok().filter(is_request).map(|entry| entry.time);
            let is_last = time.is_some() || read.is_err();
            self.ahead.push_back(read);
            if is_last {
                return time;
            }
        }
        None
    }
}

/// What a trial does by itself. Its faults are on its command line, and one fork is enough.
pub(super) fn is_brought_forth(record: &Record) -> bool {
    match record {
        Record::End { .. } => false,
        Record::Command { name, .. } => *name == RESEED,
        Record::Fault { .. } => true,
        record => !record.is_input(),
    }
}
