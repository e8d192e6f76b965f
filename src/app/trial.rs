//! A recorded run again and again, with its recorded inputs and something else otherwise: fewer inputs, another seed, faults.
//!
//! Why by trials: what the others do when one input is missing, or when two messages change places, is known only when the
//! program has run so. Each trial hands the program what the recording holds, compares nothing, and writes down what happens; what
//! it has written is a recording of its own, which a strict replay must bring forth again.
//!
//! Failure modes: what agents ask the outside, and did not ask in the recorded run, has no answer. They are refused, and
//! whatever comes of it is counted as [`refused`](Tried::refused), for the real outside would have answered.

use std::path::Path;
use std::rc::Rc;

use super::App;
use super::branch::questions;
use super::cli::{self, Common};
use super::explore::without;
use super::failure::{Failure, told_by};
use super::record::{built_now, overwrite, recorded_arguments, with_arguments};
use super::replay::{check_build, damaged};
use super::run::{Ended, Taping, configuration, start};
use crate::clock::Interrupt;
use crate::journal::{Entry, Header, Level, Options, Reader, Record, Writer};
use crate::replay::{Fault, Memory, Questions, Source, Stops, Tape, Verdict};

/// A recorded run that is tried.
pub(super) struct Trials<'a> {
    app: &'a Rc<App>,
    interrupt: Interrupt,
    header: Header,
    /// the recorded command line, with the program's name before it, without faults and agents that are left out
    pub(super) arguments: Vec<String>,
    pub(super) common: Common,
    questions: Questions,
}

/// What has become of a trial.
pub(super) struct Tried {
    pub(super) failure: Option<Failure>,
    /// agents that there were at the end, or before
    pub(super) agents: Vec<String>,
    /// whether an agent got no answer because the recorded run had not asked
    pub(super) refused: bool,
    /// what it has written
    pub(super) written: Source,
}

fn failed(error: impl std::fmt::Display) -> Ended {
    Ended::Failed(error.to_string())
}

/// A recording of these records and nothing else.
pub(super) fn recording(header: &Header, entries: &[Entry]) -> Result<Source, Ended> {
    let memory = Memory::default();
    let mut writer = memory_writer(&memory, header.clone())?;
    for Entry { time, round, record, .. } in entries {
        writer.write(*time, *round, record).map_err(failed)?;
    }
    writer.commit().map_err(failed)?;
    drop(writer);
    memory.seal();
    Ok(Source::Memory(memory))
}

fn memory_writer(memory: &Memory, header: Header) -> Result<Writer, Ended> {
    Writer::to_stream(memory.clone(), header, Options::default()).map_err(failed)
}

impl<'a> Trials<'a> {
    /// Of the run that was recorded there.
    pub(super) async fn of(app: &'a Rc<App>, path: &Path, interrupt: Interrupt) -> Result<Self, Ended> {
        let header = Reader::open(path).map_err(damaged)?.header().clone();
        check_build(app, &header, path, true)?;
        let questions = questions(app, &header, path, &interrupt).await?;
        let arguments = recorded_arguments(&header);
        let common = cli::common(app, &arguments).map_err(Ended::Usage)?;
        let arguments = without(&arguments, &["--fault", "--without"]);
        Ok(Trials { app, interrupt, header: built_now(header), arguments, common, questions })
    }

    /// The command line with another seed: of the random streams and of the order that the laws leave open.
    pub(super) fn seeded(&self, seed: u64, faults: &[Fault]) -> Vec<String> {
        let mut arguments = without(&self.arguments, &["--seed", "--shuffle"]);
        arguments.extend(["--seed".into(), seed.to_string(), "--shuffle".into(), seed.to_string()]);
        let faults = self.common.faults.iter().chain(faults);
        arguments.extend(faults.flat_map(|fault| ["--fault".into(), fault.to_string()]));
        arguments.extend(self.common.without.iter().flat_map(|agent| ["--without".into(), agent.clone()]));
        arguments
    }

    /// The header of what was recorded.
    pub(super) fn recorded(&self) -> &Header {
        &self.header
    }

    fn command(&self, arguments: &[String]) -> Result<cli::Command, Ended> {
        cli::parse(self.app, arguments).map(|cli| cli.command).map_err(|error| {
            Ended::Usage(format!("the recorded command line is no longer understood: {error}"))
        })
    }

    fn header(&self, arguments: &[String], level: Level) -> Result<Header, Ended> {
        let config = configuration(self.app, &self.command(arguments)?);
        let mut header = with_arguments(self.header.clone(), &arguments[1..]);
        (header.seed, header.shuffle, header.level) = (config.seed, config.shuffle, level);
        Ok(header)
    }

    async fn run(&self, arguments: &[String], tape: &Tape) -> Result<(), Ended> {
        let taping = Taping::Replay(tape.clone(), self.header.epoch);
        // how it has failed is in what it has written
        match start(self.app, self.command(arguments)?, &taping, self.interrupt.clone()).await {
            Err(ended @ Ended::Interrupted) => Err(ended),
            _ if self.interrupt.is_set() => Err(Ended::Interrupted),
            _ => Ok(()),
        }
    }

    /// Runs this command with the inputs of a recording.
    pub(super) async fn attempt(
        &self,
        arguments: &[String],
        inputs: Source,
        level: Level,
    ) -> Result<Tried, Ended> {
        let memory = Memory::default();
        let writer = memory_writer(&memory, self.header(arguments, level)?)?;
        let tape = Tape::trial(inputs, writer, self.questions.clone()).map_err(damaged)?;
        self.run(arguments, &tape).await?;
        let refused = tape.has_refused();
        drop(tape);
        memory.seal();
        let written = Source::Memory(memory);
        let failure = told_by(written.open().map_err(damaged)?);
        let created = written.open().map_err(damaged)?.map_while(Result::ok);
        let agents = created.filter_map(|entry| match entry.record {
            Record::Created { agent, .. } => Some(agent.to_string()),
            _ => None,
        });
        Ok(Tried { failure, agents: agents.collect(), refused, written })
    }

    /// The same, into a file.
    pub(super) async fn record(
        &self,
        arguments: &[String],
        inputs: Source,
        level: Level,
        path: &Path,
    ) -> Result<Option<Failure>, Ended> {
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)
                .map_err(|error| failed(format!("{}: {error}", folder.display())))?;
        }
        let writer = overwrite(path, self.header(arguments, level)?).map_err(Ended::Failed)?;
        let tape = Tape::trial(inputs, writer, self.questions.clone()).map_err(damaged)?;
        self.run(arguments, &tape).await?;
        drop(tape);
        Ok(told_by(Reader::open(path).map_err(damaged)?))
    }

    /// How a strict replay of what a trial has written differs from it.
    pub(super) async fn differs(
        &self,
        arguments: &[String],
        written: Source,
    ) -> Result<Option<Verdict>, Ended> {
        let tape = Tape::play(written, Stops::default(), false).map_err(damaged)?.quietly();
        self.run(arguments, &tape).await?;
        Ok(tape.verdict().filter(|verdict| !matches!(verdict, Verdict::Recorded(_))))
    }
}

/// A verdict in words.
pub(super) fn text_of(verdict: Verdict) -> String {
    match verdict {
        Verdict::Differs(difference) => difference.to_string(),
        verdict => format!("{verdict:?}"),
    }
}
