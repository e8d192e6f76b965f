//! What the clones of a tape share: the recorder, or the player and how it goes on, and the numbers that records have.
//!
//! | state | until |
//! |-------|-------|
//! | `Recording` | the run ends |
//! | `Playing`, nothing further | the verdict |
//! | `Playing`, with a `Further` | the recording is at its end: then, from the very next event, `Recording` or a trial |
//!
//! Contract: operations that waited where recording begins are left for the driver, with their recorded results or to be run.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use isochrone_sim::{Event, ExternalId, ExternalOutcome, Kernel, Observer, Started};

use super::operations::recall;
use super::player::{Key, Player, reseed};
use super::questions::Questions;
use super::recorder::Recorder;
use super::trial::Trial;
use crate::codec::Value;
use crate::journal::{Name, Packed, RESEED, Record};

#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) state: State,
    /// operations so far, of each agent
    pub(crate) calls: BTreeMap<String, u64>,
    /// operations that run: whose, which, and what they are called
    pub(crate) running: BTreeMap<ExternalId, (Key, Name)>,
    /// inputs and requests so far
    pub(crate) inputs: u64,
    /// activations at the last checkpoint
    pub(crate) checked: u64,
    /// whether values are wanted whatever the level
    pub(crate) values: bool,
    /// whether nothing is to be said about the run
    pub(crate) quiet: bool,
    pub(crate) left: Vec<Left>,
    pub(crate) resumed: bool,
}

#[derive(Debug)]
pub(crate) enum State {
    Recording(Recorder),
    /// with how it goes on when the recording is at its end
    Playing(Box<Player>, Option<Further>),
}

impl State {
    /// Whoever writes down what happens: a replay does so only in a trial.
    pub(crate) fn recorder(&mut self) -> Option<&mut Recorder> {
        match self {
            State::Recording(recorder) => Some(recorder),
            State::Playing(player, _) => player.trial.as_mut().map(|trial| &mut trial.recorder),
        }
    }
}

/// How a replayed run goes on.
#[derive(Debug)]
pub(crate) struct Further {
    pub(crate) recorder: Recorder,
    /// of the numbers and the order that are drawn from there on
    pub(crate) seed: Option<u64>,
    /// what the recorded run asked, if its inputs are kept
    pub(crate) kept: Option<Questions>,
}

/// An operation that waits where a recording is at its end.
#[derive(Debug)]
pub(crate) enum Left {
    /// It has a result, which was recorded.
    Ended(ExternalId, ExternalOutcome),
    /// It is to be run.
    Runs(Started),
}

impl Inner {
    /// Goes on if the recording is at its end, in the kernel that runs or in this one.
    pub(crate) fn go_on(&mut self, kernel: Option<&Kernel>) -> bool {
        let State::Playing(player, then) = &mut self.state else { return true };
        if !player.is_at_end() {
            return false;
        }
        let Some(Further { mut recorder, seed, kept }) = then.take() else { return false };
        if let Some(seed) = seed {
            recorder.write(player.last(), &reseeding(seed));
            reseed(kernel, seed);
        }
        if let Some(mut questions) = kept {
            questions.forget(&self.calls);
            player.go_on(Trial::new(recorder, questions));
            return true;
        }
        recorder.names = std::mem::take(&mut player.names);
        for (key, started) in std::mem::take(&mut player.waiting) {
            self.left.push(match player.results.remove(&key) {
                Some(outcome) => {
                    self.running.remove(&started.id);
                    let (id, outcome) = recall(started, &outcome);
                    Left::Ended(id, outcome)
                }
                None => Left::Runs(started),
            });
        }
        (self.state, self.resumed) = (State::Recording(recorder), seed.is_none());
        true
    }

    #[inline]
    fn event(&mut self, event: &Event) {
        if let State::Playing(_, Some(_)) = &self.state {
            // a recording may have no events at all
            self.go_on(None);
        }
        match &mut self.state {
            State::Recording(recorder) => recorder.event(event),
            State::Playing(player, then) => {
                player.event(event);
                if then.is_some() {
                    self.go_on(None);
                }
            }
        }
    }
}

/// A fork is where the outside says that other numbers are drawn.
fn reseeding(seed: u64) -> Record {
    Record::Command { from: "fork".into(), name: RESEED.into(), args: Packed::new(&Value::from(seed)) }
}

/// The kernel's observer.
pub(crate) struct Watch {
    pub(crate) inner: Rc<RefCell<Inner>>,
    pub(crate) values: bool,
}

impl Observer for Watch {
    #[inline]
    fn observe(&mut self, event: &Event) {
        self.inner.borrow_mut().event(event);
    }

    fn wants_values(&self) -> bool {
        self.values
    }
}
