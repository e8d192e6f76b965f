//! A recording with fewer inputs, of a run that still fails in the same way.
//!
//! Why by trials: what the others do when one input is missing is known only when the program has run without it. Each
//! trial hands the program what is left of the recording, compares nothing, and writes down what happens; what it has
//! written is the smaller recording, and a strict replay must bring it forth again.
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
use super::branch::questions;
use super::cli;
use super::explore::without;
use super::failure::{Failure, told_by};
use super::record::{built_now, overwrite, recorded_arguments, with_arguments};
use super::replay::damaged;
use super::run::{Ended, Taping, start};
use super::shrink::MOST;
use crate::clock::Interrupt;
use crate::journal::{Entry, Header, Level, Options, RESEED, Reader, Record, Writer};
use crate::replay::{Fault, Memory, Questions, Source, Stops, Tape, Verdict};

/// What came from outside in a recording.
pub(super) struct Inputs {
    header: Header,
    entries: Vec<Entry>,
}

impl Inputs {
    /// Of a recording that can be replayed.
    pub(super) fn of(reader: Reader) -> Result<Inputs, Ended> {
        let header = reader.header().clone();
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
        Ok(Inputs { header, entries })
    }

    /// Whether there are none: then the run is a function of its command line.
    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

fn memory_writer(memory: &Memory, header: Header) -> Result<Writer, Ended> {
    Writer::to_stream(memory.clone(), header, Options::default()).map_err(failed)
}

fn failed(error: impl std::fmt::Display) -> Ended {
    Ended::Failed(error.to_string())
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
    let questions = questions(app, &inputs.header, &args.path, &interrupt).await?;
    let arguments = recorded_arguments(&inputs.header);
    let header = built_now(inputs.header);
    let common = cli::common(app, &arguments).map_err(Ended::Usage)?;
    let whole =
        Left { faults: common.faults, entries: inputs.entries, agents: Vec::new(), without: common.without };
    let arguments = without(&arguments, &["--fault", "--without"]);
    let mut sieve =
        Sieve { app, interrupt, arguments, header, questions, failure: None, left: whole.clone(), tries: 0 };
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
    let mut header = sieve.header_of(&sieve.left);
    header.level = header.level.max(Level::Events);
    let writer = overwrite(&path, header).map_err(Ended::Failed)?;
    let tape = Tape::trial(sieve.source(&sieve.left)?, writer, sieve.questions.clone());
    sieve.run(&sieve.left, &tape.map_err(damaged)?).await?;
    if let Some(text) = sieve.differs(&sieve.left, Source::File(path.clone())).await? {
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
    app: &'a Rc<App>,
    interrupt: Interrupt,
    /// the recorded command line, without the faults and agents that are left out
    arguments: Vec<String>,
    header: Header,
    questions: Questions,
    failure: Option<Failure>,
    left: Left,
    tries: u32,
}

impl Sieve<'_> {
    fn arguments(&self, of: &Left) -> Vec<String> {
        let faults = of.faults.iter().map(|fault| ["--fault".into(), fault.to_string()]);
        let without = of.without.iter().map(|agent| ["--without".into(), agent.clone()]);
        self.arguments.iter().cloned().chain(faults.chain(without).flatten()).collect()
    }

    fn header_of(&self, of: &Left) -> Header {
        with_arguments(self.header.clone(), &self.arguments(of)[1..])
    }

    /// A recording of these inputs and nothing else.
    fn source(&self, of: &Left) -> Result<Source, Ended> {
        let memory = Memory::default();
        let mut writer = memory_writer(&memory, self.header.clone())?;
        for Entry { time, round, record, .. } in &of.entries {
            writer.write(*time, *round, record).map_err(failed)?;
        }
        writer.commit().map_err(failed)?;
        drop(writer);
        memory.seal();
        Ok(Source::Memory(memory))
    }

    /// Runs the recorded command with this tape.
    async fn run(&self, of: &Left, tape: &Tape) -> Result<(), Ended> {
        let cli = cli::parse(self.app, self.arguments(of)).map_err(|error| {
            Ended::Usage(format!("the recorded command line is no longer understood: {error}"))
        })?;
        let taping = Taping::Replay(tape.clone(), self.header.epoch);
        // how it has failed is in what it has written
        match start(self.app, cli.command, &taping, self.interrupt.clone()).await {
            Err(ended @ Ended::Interrupted) => Err(ended),
            _ if self.interrupt.is_set() => Err(Ended::Interrupted),
            _ => Ok(()),
        }
    }

    /// How a strict replay of what a trial has written differs from it.
    async fn differs(&self, of: &Left, written: Source) -> Result<Option<String>, Ended> {
        let tape = Tape::play(written, Stops::default(), false).map_err(damaged)?.quietly();
        self.run(of, &tape).await?;
        Ok(match tape.verdict() {
            None | Some(Verdict::Recorded(_)) => None,
            Some(Verdict::Differs(difference)) => Some(difference.to_string()),
            Some(verdict) => Some(format!("{verdict:?}")),
        })
    }

    /// Whether the run fails as the whole one does, with what is left; the agents that there are then.
    async fn fails(&mut self, of: &Left) -> Result<Option<Vec<String>>, Ended> {
        if self.tries >= MOST {
            return Ok(None);
        }
        self.tries += 1;
        let memory = Memory::default();
        let mut header = self.header_of(of);
        header.level = Level::Events;
        let writer = memory_writer(&memory, header)?;
        let tape = Tape::trial(self.source(of)?, writer, self.questions.clone()).map_err(damaged)?;
        self.run(of, &tape).await?;
        drop(tape);
        memory.seal();
        let written = Source::Memory(memory);
        let Some(found) = told_by(written.open().map_err(damaged)?) else { return Ok(None) };
        let is_same = self.failure.as_ref().is_none_or(|before| before.kind == found.kind);
        if !is_same || self.differs(of, written.clone()).await?.is_some() {
            return Ok(None);
        }
        self.failure = Some(found);
        let created = written.open().map_err(damaged)?.map_while(Result::ok);
        let created = created.filter_map(|entry| match entry.record {
            Record::Created { agent, .. } => Some(agent.to_string()),
            _ => None,
        });
        Ok(Some(created.filter(|agent| !of.without.contains(agent)).collect()))
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
