//! Searches seeds, orders and faults for a run that fails.
//!
//! Why seeds: a race shows in one order of a thousand. The order that the laws leave open is permuted by the seed, and with
//! `--swarm` faults are drawn from it, so whatever is found is found again by its number. Journals are kept of failing
//! runs only.
//!
//! Of a run that the outside drove the recorded inputs are searched, [again and again](super::trial). One in which agents ask
//! what they did not ask when it was recorded gets no answer: what it fails with then is no finding.
//!
//! Several jobs are several processes: agents need not be `Send`, and a process that dies is a finding too.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::rc::Rc;

use isochrone_sim::Time;

use super::App;
use super::cli::{Explore, Sim};
use super::failure::{Failure, attempt, check_population, line, program, record};
use super::replay::damaged;
use super::run::Ended;
use super::trial::Trials;
use super::verify::seeded;
use crate::clock::Interrupt;
use crate::journal::{Level, Reader};
use crate::replay::{Count, Expect, Source, Tape, draw};

const FOUND: u8 = 3;
const NOT_AGAIN: &str =
    "  but not when it is run again: the run is no function of its seed, `verify` says why\n";

/// What a search has seen.
#[derive(Debug, Default)]
struct Seen {
    runs: u64,
    faults: u64,
    failures: u64,
    /// runs that failed after they had asked what was not recorded
    unheard: u64,
    properties: BTreeMap<String, Count>,
}

pub(super) async fn run(
    app: &Rc<App>,
    args: &Explore,
    arguments: &[String],
    interrupt: Interrupt,
) -> Result<(), Ended> {
    let seen = if args.jobs > 1 {
        share(args, arguments, &interrupt)?
    } else {
        match &args.journal {
            Some(path) => search_recorded(app, args, path, &interrupt).await?,
            None => search(app, args, &interrupt).await?,
        }
    };
    if args.worker {
        seen.tell_parent();
        return if seen.failures > 0 { Err(Ended::Code(FOUND)) } else { Ok(()) };
    }
    seen.tell();
    let never = |count: &&Count| count.expect == Expect::Sometimes && count.held == 0;
    let missed = seen.properties.values().filter(never).count();
    // a search that was ended by a finding has not seen everything
    if seen.failures > 0 || missed > 0 { Err(Ended::Code(FOUND)) } else { Ok(()) }
}

async fn search(app: &Rc<App>, args: &Explore, interrupt: &Interrupt) -> Result<Seen, Ended> {
    let mut seen = Seen::default();
    let mut agents: Vec<String> = Vec::new();
    for seed in args.seeds.clone() {
        let mut sim = seeded(&args.sim, seed);
        if args.swarm {
            if agents.is_empty() {
                agents = population(app, &sim, interrupt).await?;
            }
            sim.common.faults = draw(seed, &agents, sim.until);
        }
        if let Some(span) = args.liveness {
            sim.progress_since = Some(sim.until);
            sim.until = sim.until.saturating_add(span);
        }
        let tried = attempt(app, &sim, &Tape::default(), interrupt).await?;
        check_population(app, tried.agents.len())?;
        seen.runs += 1;
        seen.faults += sim.common.faults.len() as u64;
        for (name, count) in tried.properties.counts() {
            let sum = seen.properties.entry(name.into()).or_insert(Count { looks: 0, held: 0, ..count });
            sum.looks += count.looks;
            sum.held += count.held;
        }
        if let Some(failure) = tried.failure {
            seen.failures += 1;
            found(app, args, seed, &sim, &failure, interrupt).await?;
            if !args.keep_going {
                break;
            }
        }
    }
    Ok(seen)
}

/// Searches a recorded run.
async fn search_recorded(
    app: &Rc<App>,
    args: &Explore,
    path: &Path,
    interrupt: &Interrupt,
) -> Result<Seen, Ended> {
    let mut seen = Seen::default();
    let trials = Trials::of(app, path, interrupt.clone()).await?;
    let (inputs, level) = (Source::File(path.into()), Level::Events);
    let last = Reader::open(path).map_err(damaged)?.map_while(Result::ok).last();
    let end = last.map_or(Time::ZERO, |last| last.time);
    let mut agents: Vec<String> = Vec::new();
    for seed in args.seeds.clone() {
        if args.swarm && agents.is_empty() {
            agents = trials.attempt(&trials.seeded(seed, &[]), inputs.clone(), level).await?.agents;
        }
        let faults = if args.swarm { draw(seed, &agents, end) } else { Vec::new() };
        let arguments = trials.seeded(seed, &faults);
        let tried = trials.attempt(&arguments, inputs.clone(), level).await?;
        seen.runs += 1;
        seen.faults += faults.len() as u64;
        let Some(failure) = tried.failure else { continue };
        if tried.refused {
            seen.unheard += 1;
            continue;
        }
        seen.failures += 1;
        let kept = args.keep.join(format!("{}-{seed}.jrn", app.name));
        let again = trials.record(&arguments, inputs.clone(), Level::Full, &kept).await?;
        let mut text = format!("seed {seed} fails: {}\n", failure.message);
        if again.is_none_or(|again| again.kind != failure.kind) {
            text += NOT_AGAIN;
        }
        let (program, kept) = (program(app), kept.display());
        text += &format!(
            "  journal   {kept}\n  reproduce {program} replay {kept}\n  smaller   {program} shrink {kept}"
        );
        println!("{text}");
        if !args.keep_going {
            break;
        }
    }
    Ok(seen)
}

/// The names of the agents that there are without any fault.
async fn population(app: &App, sim: &Sim, interrupt: &Interrupt) -> Result<Vec<String>, Ended> {
    let mut sim = sim.clone();
    sim.until = Time::ZERO;
    Ok(attempt(app, &sim, &Tape::default(), interrupt).await?.agents)
}

/// Keeps the journal of a failing run, and says how to repeat it.
async fn found(
    app: &App,
    args: &Explore,
    seed: u64,
    sim: &Sim,
    failure: &Failure,
    interrupt: &Interrupt,
) -> Result<(), Ended> {
    let path = args.keep.join(format!("{}-{seed}.jrn", app.name));
    let (again, messages) = record(app, sim, &path, interrupt).await?;
    let mut text = format!("seed {seed} fails: {}\n", failure.message);
    match again.failure {
        Some(again) if again.kind == failure.kind => {}
        _ => text += NOT_AGAIN,
    }
    text += &format!("  journal   {} ({messages} messages and answers)\n", path.display());
    text += &format!("  reproduce {}\n", line(app, sim));
    text += &format!("  smaller   {} shrink {}", program(app), path.display());
    println!("{text}");
    Ok(())
}

/// Lets several processes search, each its part of the seeds.
fn share(args: &Explore, arguments: &[String], interrupt: &Interrupt) -> Result<Seen, Ended> {
    let failed = |error: std::io::Error| Ended::Failed(format!("a search could not be started: {error}"));
    let program = std::env::current_exe().map_err(failed)?;
    let (from, to) = (args.seeds.start, args.seeds.end);
    let part = (to - from).div_ceil(args.jobs.into());
    let mut jobs: Vec<Child> = Vec::new();
    for job in 0..u64::from(args.jobs) {
        let seeds = (from + job * part)..(from + (job + 1) * part).min(to);
        if seeds.is_empty() {
            continue;
        }
        // the last word counts: clap takes each of these flags once, so the old ones go
        let kept = without(arguments, &["--seeds", "--jobs"]);
        let job = Command::new(&program)
            .args(kept)
            .args(["--seeds", &format!("{}..{}", seeds.start, seeds.end), "--jobs", "1", "--worker"])
            .stdout(Stdio::piped())
            .spawn()
            .map_err(failed)?;
        jobs.push(job);
    }
    let (lines, told) = std::sync::mpsc::channel();
    for job in &mut jobs {
        if let Some(output) = job.stdout.take() {
            let lines = lines.clone();
            std::thread::spawn(move || {
                let all = BufReader::new(output).lines().map_while(Result::ok);
                all.map(|line| lines.send(line)).take_while(Result::is_ok).for_each(drop);
            });
        }
    }
    drop(lines);
    let mut seen = Seen::default();
    while let Ok(line) = told.recv() {
        match line.strip_prefix(TOLD) {
            Some(line) => seen.hear(line),
            None => println!("{line}"),
        }
        if interrupt.is_set() || (seen.failures > 0 && !args.keep_going) {
            break;
        }
    }
    for job in &mut jobs {
        if seen.failures > 0 && !args.keep_going {
            // one has found something: what the others would find is not asked for
            let _ = job.kill();
        }
        let _ = job.wait();
    }
    Ok(seen)
}

/// A command line without flags that have a value.
pub(super) fn without(arguments: &[String], flags: &[&str]) -> Vec<String> {
    let mut kept = Vec::new();
    let mut arguments = arguments.iter();
    while let Some(argument) = arguments.next() {
        let name = argument.split_once('=').map_or(argument.as_str(), |(name, _)| name);
        if !flags.contains(&name) {
            kept.push(argument.clone());
        } else if name == argument {
            arguments.next();
        }
    }
    kept
}

/// What lines begin with that are for the program that has started this one.
const TOLD: &str = "\u{1}";

impl Seen {
    fn tell_parent(&self) {
        for (name, count) in &self.properties {
            let expect = match count.expect {
                Expect::Always => "always",
                Expect::Sometimes => "sometimes",
                Expect::Never => "never",
            };
            println!("{TOLD}property {expect} {} {} {name}", count.looks, count.held);
        }
        println!("{TOLD}runs {} {} {} {}", self.runs, self.faults, self.failures, self.unheard);
    }

    fn hear(&mut self, line: &str) {
        let mut words = line.splitn(5, ' ');
        let kind = words.next();
        let number = |words: &mut std::str::SplitN<'_, char>| {
            words.next().and_then(|word| word.parse::<u64>().ok()).unwrap_or_default()
        };
        if kind == Some("runs") {
            self.runs += number(&mut words);
            self.faults += number(&mut words);
            self.failures += number(&mut words);
            self.unheard += number(&mut words);
            return;
        }
        let expect = match words.next() {
            Some("always") => Expect::Always,
            Some("sometimes") => Expect::Sometimes,
            _ => Expect::Never,
        };
        let (looks, held) = (number(&mut words), number(&mut words));
        let name = words.next().unwrap_or_default().to_owned();
        let sum = self.properties.entry(name).or_insert(Count { expect, looks: 0, held: 0 });
        sum.looks += looks;
        sum.held += held;
    }

    fn tell(&self) {
        let Seen { runs, faults, failures, unheard, properties } = self;
        for (name, count) in properties {
            let Count { expect, looks, held } = count;
            let said = match expect {
                Expect::Always => format!("held {held} times of {looks}"),
                Expect::Sometimes if *held == 0 => {
                    format!("never held, of {looks} times: the search has not seen it")
                }
                Expect::Sometimes => format!("held {held} times of {looks}, as it was to sometimes"),
                Expect::Never => format!("was reached {looks} times"),
            };
            println!("{name:?} {said}");
        }
        println!("{runs} runs, {faults} faults, {failures} failures");
        if *unheard > 0 {
            println!(
                "{unheard} more failed, after agents had asked what they did not ask in the recorded run: no findings"
            );
        }
    }
}
