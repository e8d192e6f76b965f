//! A recording with fewer inputs, of a run that still fails in the same way.
//!
//! Which of them are needed is found by [trials](super::trial): of the smallest that fails, what was written down is the
//! smaller recording.
//!
//! | left out, in this order | of |
//! |-------------------------|----|
//! | faults | runs with some |
//! | calls of peers, connections that come and go | live runs, workers, simulated runs on a network |
//! | requests of the simulator | coupled runs |
//! | agents, and then again what was for them alone | all |
//! | turns that bring nothing | live runs |
//!
//! Agents and faults are on the command line of the smaller recording. Results of external operations stay: agents wait for
//! them. Contract: halves are tried first, then ever smaller parts; what fails otherwise than the whole run, or cannot be
//! replayed, is no smaller run.

use std::rc::Rc;

use super::App;
use super::cli;
use super::failure::Failure;
use super::replay::damaged;
use super::run::Ended;
use super::shrink::MOST;
use super::trial::{Trials, recording, text_of};
use crate::clock::Interrupt;
use crate::journal::{Entry, Level, RESEED, Reader, Record};
use crate::replay::{Fault, Source};

/// What came from outside in a recording.
pub(super) struct Inputs {
    entries: Vec<Entry>,
}

impl Inputs {
    /// Of a recording that can be replayed.
    pub(super) fn of(reader: Reader) -> Result<Inputs, Ended> {
        let mut entries = Vec::new();
        for entry in reader {
            let entry = entry.map_err(damaged)?;
            match &entry.record {
                Record::Note { breaks_replay: true, text, .. } => {
                    let at = entry.time;
                    return Err(Ended::Failed(format!(
                        "no input can be left out: from {at} on the recording cannot be replayed: {text}"
                    )));
                }
                Record::Command { name, .. } if *name == RESEED => {
                    return Err(Ended::Failed(
                        "no input can be left out of a fork: shrink the run that it was forked from".into(),
                    ));
                }
                // the command line brings them forth
                Record::Fault { .. } => {}
                record if record.is_input() => entries.push(entry),
                _ => {}
            }
        }
        Ok(Inputs { entries })
    }

    /// Whether there are none: then the run is a function of its command line.
    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

/// What is left of a run.
#[derive(Clone)]
struct Left {
    faults: Vec<Fault>,
    entries: Vec<Entry>,
    agents: Vec<String>,
    without: Vec<String>,
}

/// What can be left out.
#[derive(Clone, Copy)]
enum Part {
    Faults,
    /// Something that a peer did, but for the addresses that the program got: the set-up names its agents by them.
    Inputs,
    Agents,
    /// Turns without inputs, results and jump.
    IdleTurns,
}

impl Part {
    fn name(self) -> &'static str {
        match self {
            Part::Faults => "faults",
            Part::Inputs => "inputs",
            Part::Agents => "agents",
            Part::IdleTurns => "idle turns",
        }
    }

    /// Where such things are.
    fn places(self, of: &Left) -> Vec<usize> {
        let record = |at: usize| of.entries.get(at).map(|entry| &entry.record);
        let entries = |is: &dyn Fn(usize) -> bool| (0..of.entries.len()).filter(|at| is(*at)).collect();
        match self {
            Part::Faults => (0..of.faults.len()).collect(),
            Part::Agents => (0..of.agents.len()).collect(),
            Part::Inputs => entries(&|at| match record(at) {
                Some(Record::Call { .. } | Record::Request { .. }) => true,
                Some(Record::Command { name, .. }) => *name != "bound",
                _ => false,
            }),
            Part::IdleTurns => entries(&|at| {
                matches!(record(at), Some(Record::Turn { .. }))
                    && matches!(record(at + 1), None | Some(Record::Turn { .. }))
            }),
        }
    }

    /// The rest, without those at some places.
    fn leave_out(self, of: &Left, places: &[usize]) -> Left {
        let mut left = of.clone();
        let mut at = 0;
        let mut goes = || {
            at += 1;
            places.binary_search(&(at - 1)).is_ok()
        };
        match self {
            Part::Faults => left.faults.retain(|_| !goes()),
            Part::Agents => left.without.extend(left.agents.extract_if(.., |_| goes())),
            Part::Inputs | Part::IdleTurns => left.entries.retain(|_| !goes()),
        }
        left
    }
}

/// Makes the recording of a failing run smaller.
pub(super) async fn shrink(
    app: &Rc<App>,
    args: &cli::Shrink,
    inputs: Inputs,
    interrupt: Interrupt,
) -> Result<(), Ended> {
    let trials = Trials::of(app, &args.path, interrupt).await?;
    let whole = Left {
        faults: trials.common.faults.clone(),
        entries: inputs.entries,
        agents: Vec::new(),
        without: trials.common.without.clone(),
    };
    let mut sieve = Sieve { trials, failure: None, left: whole.clone(), tries: 0 };
    let Some(agents) = sieve.fails(&whole).await? else {
        let path = args.path.display();
        return Err(Ended::Failed(format!(
            "{path} does not fail when its inputs are handed in again: `replay {path}` says what differs"
        )));
    };
    let all = agents.len();
    sieve.left.agents = agents;
    sieve.thin(Part::Faults).await?;
    sieve.thin(Part::Inputs).await?;
    sieve.thin(Part::Agents).await?;
    let is_smaller = sieve.left.agents.len() < all;
    if is_smaller {
        sieve.thin(Part::Inputs).await?;
    }
    sieve.thin(Part::IdleTurns).await?;

    let path = args.to.clone().unwrap_or_else(|| super::shrink::beside(&args.path));
    let (arguments, trials) = (sieve.arguments(&sieve.left), &sieve.trials);
    let level = trials.recorded().level.max(Level::Events);
    trials.record(&arguments, sieve.source(&sieve.left)?, level, &path).await?;
    if let Some(verdict) = trials.differs(&arguments, Source::File(path.clone())).await? {
        let text = text_of(verdict);
        return Err(Ended::Failed(format!("the smaller run is not the same when it is replayed: {text}")));
    }
    if let Some(failure) = &sieve.failure {
        println!("{}", failure.message);
    }
    let count = |of: &Left| Part::Inputs.places(of).len();
    let (left, tries) = (&sieve.left, sieve.tries);
    println!("  inputs    {} of {}, after {tries} runs", count(left), count(&whole));
    if !whole.faults.is_empty() {
        println!("  faults    {} of {}", left.faults.len(), whole.faults.len());
    }
    println!("  agents    {} of {all}", left.agents.len());
    println!("  journal   {}", path.display());
    println!("  reproduce {} replay {}", super::failure::program(app), path.display());
    Ok(())
}

struct Sieve<'a> {
    trials: Trials<'a>,
    failure: Option<Failure>,
    left: Left,
    tries: u32,
}

impl Sieve<'_> {
    fn arguments(&self, of: &Left) -> Vec<String> {
        let faults = of.faults.iter().map(|fault| ["--fault".into(), fault.to_string()]);
        let without = of.without.iter().map(|agent| ["--without".into(), agent.clone()]);
        self.trials.arguments.iter().cloned().chain(faults.chain(without).flatten()).collect()
    }

    fn source(&self, of: &Left) -> Result<Source, Ended> {
        recording(self.trials.recorded(), &of.entries)
    }

    /// Whether the run fails as the whole one does, with what is left; the agents that there are then.
    async fn fails(&mut self, of: &Left) -> Result<Option<Vec<String>>, Ended> {
        if self.tries >= MOST {
            return Ok(None);
        }
        self.tries += 1;
        let arguments = self.arguments(of);
        let tried = self.trials.attempt(&arguments, self.source(of)?, Level::Events).await?;
        let Some(found) = tried.failure else { return Ok(None) };
        let is_same = self.failure.as_ref().is_none_or(|before| before.kind == found.kind);
        if !is_same || self.trials.differs(&arguments, tried.written).await?.is_some() {
            return Ok(None);
        }
        self.failure = Some(found);
        Ok(Some(tried.agents.into_iter().filter(|agent| !of.without.contains(agent)).collect()))
    }

    /// Leaves out what is of this kind, as far as the run fails all the same.
    async fn thin(&mut self, part: Part) -> Result<(), Ended> {
        let (all, what) = (part.places(&self.left).len(), part.name());
        let mut size = all;
        while size > 0 {
            let mut at = 0;
            loop {
                let places = part.places(&self.left);
                if at >= places.len() {
                    break;
                }
                let kept = part.leave_out(&self.left, &places[at..(at + size).min(places.len())]);
                if self.fails(&kept).await?.is_some() {
                    self.left = kept;
                } else {
                    at += size;
                }
            }
            eprintln!(
                "{what}: {} of {all} are left, after {} runs, the last without {size} at a time",
                part.places(&self.left).len(),
                self.tries
            );
            size /= 2;
        }
        Ok(())
    }
}
