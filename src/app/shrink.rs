//! Makes a failing run smaller: what it does not need to fail as it does is left out.
//!
//! Why by running again: a smaller run is another run, and only running it shows whether it fails in the same way. A
//! candidate counts if it fails with the same property, or in the same method with the same message.
//!
//! Of a simulated run faults and agents are left out, and its end: it is a function of its command line. Where something
//! came from outside, [`sieve`] leaves inputs out.

use std::path::PathBuf;
use std::rc::Rc;

use super::cli::{self, Command, Shrink, Sim};
use super::failure::{Failure, attempt, line, messages, record};
use super::record::recorded_arguments;
use super::replay::check_build;
use super::run::Ended;
use super::sieve::Inputs;
use super::{App, sieve};
use crate::clock::Interrupt;
use crate::journal::Reader;
use crate::replay::Tape;

/// Runs that may be tried.
pub(super) const MOST: u32 = 5_000;

pub(super) async fn run(app: &Rc<App>, args: &Shrink, interrupt: Interrupt) -> Result<(), Ended> {
    let reader = Reader::open(&args.path).map_err(|error| Ended::Failed(error.to_string()))?;
    let inputs = Inputs::of(reader)?;
    if !inputs.is_empty() {
        return sieve::shrink(app, args, inputs, interrupt).await;
    }
    let reader = Reader::open(&args.path).map_err(|error| Ended::Failed(error.to_string()))?;
    check_build(app, reader.header(), &args.path, true)?;
    let arguments = recorded_arguments(reader.header());
    let before = messages(reader);
    let sim = match cli::parse(app, &arguments).map(|cli| cli.command) {
        Ok(Command::Sim(sim)) => sim,
        Ok(_) => return Err(Ended::Usage("nothing came from outside: there is nothing to leave out".into())),
        Err(error) => return Err(Ended::Usage(format!("the recorded command line: {error}"))),
    };
    let tried = attempt(app, &sim, &Tape::default(), &interrupt).await?;
    let Some(failure) = tried.failure else {
        return Err(Ended::Failed(format!("{} does not fail in this program", args.path.display())));
    };
    let mut smaller = Smaller { app, interrupt: &interrupt, failure, sim, tries: 0 };
    smaller.faults().await?;
    smaller.agents(tried.agents).await?;
    smaller.faults().await?;
    smaller.end().await?;
    let Smaller { sim, failure, tries, .. } = smaller;
    let path = args.to.clone().unwrap_or_else(|| beside(&args.path));
    let (again, after) = record(app, &sim, &path, &interrupt).await?;
    if again.failure.is_none_or(|again| again.kind != failure.kind) {
        return Err(Ended::Failed("the smaller run does not fail every time: `verify` says why".into()));
    }
    println!("{}", failure.message);
    println!(
        "  messages  {after} of {before}, and {} agents left out, after {tries} runs",
        sim.common.without.len()
    );
    println!("  journal   {}", path.display());
    println!("  reproduce {}", line(app, &sim));
    Ok(())
}

pub(super) fn beside(path: &std::path::Path) -> PathBuf {
    path.with_extension("min.jrn")
}

struct Smaller<'a> {
    app: &'a App,
    interrupt: &'a Interrupt,
    failure: Failure,
    sim: Sim,
    tries: u32,
}

impl Smaller<'_> {
    /// Takes over a candidate that fails in the same way.
    async fn try_it(&mut self, sim: Sim) -> Result<bool, Ended> {
        if self.tries >= MOST {
            return Ok(false);
        }
        self.tries += 1;
        // one that cannot even be set up is no smaller run
        let failure = match attempt(self.app, &sim, &Tape::default(), self.interrupt).await {
            Ok(tried) => tried.failure,
            Err(Ended::Usage(_)) => None,
            Err(ended) => return Err(ended),
        };
        match failure.filter(|failure| failure.kind == self.failure.kind) {
            Some(failure) => {
                (self.sim, self.failure) = (sim, failure);
                Ok(true)
            }
            None => Ok(false),
        }
    }

    /// Drops faults: halves of them first, then ever smaller parts.
    async fn faults(&mut self) -> Result<(), Ended> {
        let mut size = self.sim.common.faults.len();
        while size > 0 {
            let mut at = 0;
            while at < self.sim.common.faults.len() {
                let mut sim = self.sim.clone();
                sim.common.faults.drain(at..(at + size).min(sim.common.faults.len()));
                if !self.try_it(sim).await? {
                    at += size;
                }
            }
            size /= 2;
        }
        Ok(())
    }

    /// Leaves agents of the set-up out, in the same way.
    async fn agents(&mut self, all: Vec<String>) -> Result<(), Ended> {
        let mut left: Vec<String> =
            all.into_iter().filter(|agent| !self.sim.common.without.contains(agent)).collect();
        let mut size = left.len() / 2;
        while size > 0 {
            let mut at = 0;
            while at < left.len() {
                let part = at..(at + size).min(left.len());
                let mut sim = self.sim.clone();
                sim.common.without.extend_from_slice(&left[part.clone()]);
                if self.try_it(sim).await? {
                    left.drain(part);
                } else {
                    at += size;
                }
            }
            size /= 2;
        }
        Ok(())
    }

    /// Ends the run where it has failed.
    async fn end(&mut self) -> Result<(), Ended> {
        let mut sim = self.sim.clone();
        if sim.progress_since.is_none() && self.failure.time < sim.until {
            sim.until = self.failure.time;
            self.try_it(sim).await?;
        }
        Ok(())
    }
}
