//! A recording with fewer inputs, of a run that still fails in the same way.
//!
//! Why by trials: what the others do when one input is missing is known only when the program has run without it. Each
//! trial hands the program what is left of the recording, compares nothing, and writes down what happens; what it has
//! written is the smaller recording, and a strict replay must bring it forth again.
//!
//! | left out | of |
//! |----------|----|
//! | calls of peers, connections that come and go | live runs, workers, simulated runs on a network |
//! | requests of the simulator | coupled runs |
//! | turns that bring nothing | live runs |
//!
//! Results of external operations stay: agents wait for them. Contract: halves are tried first, then ever smaller parts.

use std::rc::Rc;

use super::App;
use super::branch::questions;
use super::cli;
use super::failure::{Failure, told_by};
use super::record::{built_now, overwrite, recorded_arguments};
use super::replay::damaged;
use super::run::{Ended, Taping, start};
use super::shrink::MOST;
use crate::clock::Interrupt;
use crate::journal::{Entry, Header, Level, Options, RESEED, Reader, Record, Writer};
use crate::replay::{Memory, Questions, Source, Stops, Tape, Verdict};

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

    /// A recording of nothing else.
    fn source(&self, entries: &[Entry]) -> Result<Source, Ended> {
        let memory = Memory::default();
        let mut writer = memory_writer(&memory, self.header.clone())?;
        for Entry { time, round, record, .. } in entries {
            writer.write(*time, *round, record).map_err(failed)?;
        }
        writer.commit().map_err(failed)?;
        drop(writer);
        memory.seal();
        Ok(Source::Memory(memory))
    }
}

fn memory_writer(memory: &Memory, header: Header) -> Result<Writer, Ended> {
    Writer::to_stream(memory.clone(), header, Options::default()).map_err(failed)
}

fn failed(error: impl std::fmt::Display) -> Ended {
    Ended::Failed(error.to_string())
}

/// Whether a record may be left out, given the one after it.
type Kind = fn(&Record, Option<&Record>) -> bool;

/// Something that a peer did, but for the addresses that the program got: the set-up names its agents by them.
fn is_asked(record: &Record, _: Option<&Record>) -> bool {
    match record {
        Record::Call { .. } | Record::Request { .. } => true,
        Record::Command { name, .. } => *name != "bound",
        _ => false,
    }
}

/// A turn without inputs, results and jump.
fn is_idle(record: &Record, next: Option<&Record>) -> bool {
    matches!(record, Record::Turn { .. }) && matches!(next, None | Some(Record::Turn { .. }))
}

/// Makes the recording of a failing run smaller.
pub(super) async fn shrink(
    app: &Rc<App>,
    args: &cli::Shrink,
    mut inputs: Inputs,
    interrupt: Interrupt,
) -> Result<(), Ended> {
    let arguments = recorded_arguments(&inputs.header);
    inputs.header = built_now(inputs.header);
    let questions = questions(app, &inputs.header, &args.path, &interrupt).await?;
    let mut sieve = Sieve { app, interrupt, arguments, inputs: &inputs, questions, failure: None, tries: 0 };
    let mut entries = inputs.entries.clone();
    if !sieve.fails(&entries).await? {
        let path = args.path.display();
        return Err(Ended::Failed(format!(
            "{path} does not fail when its inputs are handed in again: `replay {path}` says what differs"
        )));
    }
    sieve.thin(&mut entries, "inputs", is_asked).await?;
    let asked = count(&inputs.entries, is_asked);
    let left = count(&entries, is_asked);
    sieve.thin(&mut entries, "idle turns", is_idle).await?;

    let path = args.to.clone().unwrap_or_else(|| super::shrink::beside(&args.path));
    let mut header = inputs.header.clone();
    header.level = header.level.max(Level::Events);
    let writer = overwrite(&path, header).map_err(Ended::Failed)?;
    sieve
        .run(&Tape::trial(inputs.source(&entries)?, writer, sieve.questions.clone()).map_err(damaged)?)
        .await?;
    let tape = Tape::play(Source::File(path.clone()), Stops::default(), false).map_err(damaged)?;
    sieve.run(&tape.clone().quietly()).await?;
    match tape.verdict() {
        None | Some(Verdict::Recorded(_)) => {}
        Some(verdict) => {
            let text = match verdict {
                Verdict::Differs(difference) => difference.to_string(),
                verdict => format!("{verdict:?}"),
            };
            return Err(Ended::Failed(format!(
                "the smaller run is not the same when it is replayed: {text}"
            )));
        }
    }
    if let Some(failure) = &sieve.failure {
        println!("{}", failure.message);
    }
    println!("  inputs    {left} of {asked}, after {} runs", sieve.tries);
    println!("  journal   {}", path.display());
    println!("  reproduce {} replay {}", super::failure::program(app), path.display());
    Ok(())
}

fn count(entries: &[Entry], kind: Kind) -> usize {
    places(entries, kind).len()
}

fn places(entries: &[Entry], kind: Kind) -> Vec<usize> {
    let next = |at: usize| entries.get(at + 1).map(|entry| &entry.record);
    (0..entries.len()).filter(|at| kind(&entries[*at].record, next(*at))).collect()
}

struct Sieve<'a> {
    app: &'a Rc<App>,
    interrupt: Interrupt,
    arguments: Vec<String>,
    inputs: &'a Inputs,
    questions: Questions,
    failure: Option<Failure>,
    tries: u32,
}

impl Sieve<'_> {
    /// Runs the recorded command with this tape.
    async fn run(&self, tape: &Tape) -> Result<(), Ended> {
        let cli = cli::parse(self.app, &self.arguments).map_err(|error| {
            Ended::Usage(format!("the recorded command line is no longer understood: {error}"))
        })?;
        let taping = Taping::Replay(tape.clone(), self.inputs.header.epoch);
        // how it has failed is in what it has written
        match start(self.app, cli.command, &taping, self.interrupt.clone()).await {
            Err(ended @ Ended::Interrupted) => Err(ended),
            _ if self.interrupt.is_set() => Err(Ended::Interrupted),
            _ => Ok(()),
        }
    }

    /// Whether the run fails as the whole one does, with these inputs.
    async fn fails(&mut self, entries: &[Entry]) -> Result<bool, Ended> {
        if self.tries >= MOST {
            return Ok(false);
        }
        self.tries += 1;
        let written = Memory::default();
        let mut header = self.inputs.header.clone();
        header.level = Level::Events;
        let writer = memory_writer(&written, header)?;
        let tape =
            Tape::trial(self.inputs.source(entries)?, writer, self.questions.clone()).map_err(damaged)?;
        self.run(&tape).await?;
        drop(tape);
        written.seal();
        let found = told_by(Source::Memory(written).open().map_err(damaged)?);
        let same = match (&self.failure, &found) {
            (Some(before), Some(found)) => before.kind == found.kind,
            (None, Some(_)) => true,
            (_, None) => false,
        };
        if same {
            self.failure = found;
        }
        Ok(same)
    }

    /// Leaves out what is of this kind, as far as the run fails all the same.
    async fn thin(&mut self, entries: &mut Vec<Entry>, what: &str, kind: Kind) -> Result<(), Ended> {
        let all = count(entries, kind);
        let mut size = all;
        while size > 0 {
            let mut at = 0;
            loop {
                let places = places(entries, kind);
                if at >= places.len() {
                    break;
                }
                let part = &places[at..(at + size).min(places.len())];
                let kept = entries.iter().enumerate().filter(|(place, _)| part.binary_search(place).is_err());
                let kept: Vec<Entry> = kept.map(|(_, entry)| entry.clone()).collect();
                if self.fails(&kept).await? {
                    *entries = kept;
                } else {
                    at += size;
                }
            }
            eprintln!(
                "{what}: {} of {all} are left, after {} runs, the last without {size} at a time",
                count(entries, kind),
                self.tries
            );
            size /= 2;
        }
        Ok(())
    }
}
