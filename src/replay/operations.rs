//! Operations by which agents ask the outside: what becomes of them in a recording, a replay and a trial.
//!
//! Why: the answer of the outside is input, which only a recording can give again; and the agent that asks must not notice which
//! of the three it is.
//!
//! | the run is | an operation that begins | when it ends |
//! |------------|--------------------------|--------------|
//! | recorded | is run by the driver | its result is written down |
//! | replayed | waits for its recorded result | |
//! | a trial | waits for the result of the operation by which the recorded run asked the same | its result is written down |
//!
//! Contract: an operation is known by its agent and its number among those of that agent. What leaves with one
//! is written down where it begins, and compared in a replay.

use std::collections::VecDeque;

use isochrone_sim::{ExternalId, ExternalOutcome, Kernel, Started, Time};

use super::player::Key;
use super::recorder::Recorder;
use super::reel::{Inner, Left, State};
use super::tape::{Tape, input_of};
use crate::clock::{Input, RunError};
use crate::codec::Value;
use crate::journal::{Hash, Level, Name, Packed, Record};

impl Tape {
    /// Takes over operations that agents have asked for: those that are to be run get into `begun`.
    pub(crate) fn start(&self, kernel: &Kernel, begun: &mut VecDeque<Started>) -> Result<(), RunError> {
        let Some(mut inner) = self.inner_mut() else {
            kernel.append_external(begun);
            return Ok(());
        };
        let started = kernel.take_external();
        if started.is_empty() {
            return Ok(());
        }
        begun.extend(inner.start(kernel, started));
        drop(inner);
        // what they ask the outside may depend on all that was recorded
        self.commit()
    }

    /// An operation has ended, and the kernel is about to be told.
    pub(crate) fn finished(&self, kernel: &Kernel, id: ExternalId, outcome: &ExternalOutcome) {
        let Some(mut inner) = self.inner_mut() else { return };
        let Some(asked) = inner.running.remove(&id) else { return };
        if let State::Recording(recorder) = &mut inner.state {
            write_result(recorder, (kernel.now(), kernel.round()), asked, outcome);
        }
    }

    /// While time stands: hands recorded results to the kernel, or gives an input that came meanwhile. `None` when this
    /// cannot be replayed, or is not.
    pub(crate) fn unblock(&self, kernel: &Kernel) -> Option<Option<Input>> {
        self.proceed(Some(kernel));
        let mut inner = self.inner_mut()?;
        let (now, at) = (kernel.now(), (kernel.now(), kernel.round()));
        // what waited where recording begins is left for the driver
        let State::Playing(player, _) = &mut inner.state else { return Some(None) };
        let (known, mut unheard) = (player.take_known(), player.take_unheard(now, false));
        if known.is_empty() && unheard.is_empty() {
            if let Some(call) = player.take_input(at) {
                return Some(input_of(call));
            }
            unheard = player.take_unheard(now, true);
            if unheard.is_empty() {
                player.expect_result(at);
            }
        }
        let mut ready = inner.refuse(kernel, unheard);
        for (started, outcome) in known {
            let (id, outcome) = recall(started, &outcome);
            inner.ended(at, id, &outcome);
            ready.push((id, outcome));
        }
        drop(inner);
        for (id, outcome) in ready {
            kernel.finish_external(id, outcome);
        }
        Some(None)
    }

    /// Operations that waited when a recording came to its end.
    pub(crate) fn take_left(&self) -> Vec<Left> {
        self.inner_mut().map(|mut inner| std::mem::take(&mut inner.left)).unwrap_or_default()
    }
}

impl Inner {
    /// An operation of a replay has ended; in a trial it is written down.
    pub(crate) fn ended(&mut self, at: (Time, u32), id: ExternalId, outcome: &ExternalOutcome) {
        let asked = self.running.remove(&id);
        if let (Some(asked), Some(recorder)) = (asked, self.state.recorder()) {
            write_result(recorder, at, asked, outcome);
        }
    }

    /// Operations of a trial that nobody answers, with what their agents get.
    pub(crate) fn refuse(
        &mut self,
        kernel: &Kernel,
        unheard: Vec<Started>,
    ) -> Vec<(ExternalId, ExternalOutcome)> {
        let at = (kernel.now(), kernel.round());
        let refused = unheard.into_iter().map(|started| {
            let (agent, name) = (kernel.path(started.agent), started.name());
            if !self.quiet {
                tracing::warn!(at = %at.0, "agent {agent} asks what it did not ask in the recorded run, and gets no answer: {name}");
            }
            let (id, outcome) = started.refuse(format!(
                "agent {agent} asks {name} at {}, which it did not do in the recorded run: nobody is here to answer",
                at.0
            ));
            self.ended(at, id, &outcome);
            (id, outcome)
        });
        refused.collect()
    }

    pub(crate) fn start(&mut self, kernel: &Kernel, started: Vec<Started>) -> Vec<Started> {
        let mut to_run = Vec::new();
        for started in started {
            let agent = kernel.path(started.agent);
            let call = self.calls.entry(agent.clone()).or_default();
            let key = (agent, *call);
            *call += 1;
            self.running.insert(started.id, (key.clone(), started.name().as_str().into()));
            self.sent(kernel, &started);
            match &mut self.state {
                State::Recording(_) => to_run.push(started),
                State::Playing(player, _) => player.ask(key, started),
            }
        }
        to_run
    }

    /// What leaves with an operation is written down, or must be what was.
    fn sent(&mut self, kernel: &Kernel, started: &Started) {
        let level = match &self.state {
            State::Recording(recorder) => recorder.level,
            State::Playing(player, _) => player.level,
        };
        let Some(sending) = started.sends(self.values || level == Level::Full) else { return };
        let content = sending.content.as_ref().and_then(|content| content.downcast_ref::<Value>());
        let record = Record::Frame {
            to: sending.to.as_str().into(),
            hash: Hash(sending.hash),
            content: content.map(Packed::new),
        };
        self.go_on(Some(kernel));
        let at = (kernel.now(), kernel.round());
        match &mut self.state {
            State::Recording(recorder) => recorder.write(at, &record),
            State::Playing(player, _) => player.compare(at, record),
        }
    }
}

/// Writes down how an operation has ended.
pub(crate) fn write_result(
    recorder: &mut Recorder,
    at: (Time, u32),
    ((agent, call), name): (Key, Name),
    outcome: &ExternalOutcome,
) {
    let agent = Name::new(agent);
    let written = match (outcome.failure(), outcome.encode()) {
        (Some(failure), _) => Err(failure.to_owned()),
        (None, Ok(value)) => match value.downcast_ref::<Value>() {
            Some(value) => Ok(Packed::new(value)),
            None => {
                return recorder.breaks(at, Some(agent), format!("`{name}` gave something that is no value"));
            }
        },
        (None, Err(error)) => {
            let text = format!("the output of `{name}` cannot be recorded: {error}");
            return recorder.breaks(at, Some(agent), text);
        }
    };
    recorder.write(at, &Record::Result { agent, call, name, outcome: written });
}

/// The outcome that was recorded.
pub(crate) fn recall(started: Started, outcome: &Result<Packed, String>) -> (ExternalId, ExternalOutcome) {
    match outcome {
        Ok(packed) => match packed.value() {
            Some(value) => started.recall(Ok(&value)),
            None => started.recall(Err("the recorded result is no value".into())),
        },
        Err(message) => started.recall(Err(message.clone())),
    }
}
