//! What a search finds: a run that fails, and the line that repeats it.

use std::rc::Rc;

use isochrone_sim::{SimError, Time};

use super::App;
use super::cli::Sim;
use super::run::{BECAUSE_OF, Ended, Simulated, configure, run_simulated};
use crate::clock::{Interrupt, RunError};
use crate::journal::{Entry, Level, Reader, Record};
use crate::replay::{Broken, Properties, Tape};

/// A run that failed.
#[derive(Clone, Debug)]
pub(super) struct Failure {
    /// What is the same when the same mistake shows in another run.
    pub(super) kind: String,
    /// When.
    pub(super) time: Time,
    pub(super) message: String,
}

impl Failure {
    fn of_property(broken: &Broken) -> Failure {
        let Broken { name, agent, time, text } = broken;
        let text = if text.is_empty() { String::new() } else { format!(": {text}") };
        let message = format!("agent {agent}, {time}: {name:?} does not hold{text}");
        Failure { kind: format!("property {name}"), time: *time, message }
    }
}

/// A run that has been tried.
pub(super) struct Tried {
    pub(super) failure: Option<Failure>,
    pub(super) properties: Rc<Properties>,
    /// agents that the set-up, or the run, has created under their own names or others'
    pub(super) agents: Vec<String>,
}

/// Runs it; what it failed with, if it did.
pub(super) async fn attempt(
    app: &App,
    sim: &Sim,
    tape: &Tape,
    interrupt: &Interrupt,
) -> Result<Tried, Ended> {
    let config = configure(app.config.clone(), &sim.common);
    let Simulated { world, properties, result } =
        run_simulated(app, config, sim, tape, interrupt.clone(), |_| ()).await?;
    if let Err(error @ RunError::Interrupted(_)) = result {
        return Err(error.into());
    }
    let kernel = world.kernel();
    let because = super::run::ended(&result, "it was to end here");
    tape.finish(kernel, &because).map_err(|error| Ended::Failed(error.to_string()))?;
    let failure = match (properties.broken(), result) {
        (Some(broken), _) => Some(Failure::of_property(&broken)),
        (None, Err(error)) => {
            Some(Failure { kind: kind(&error), time: kernel.now(), message: error.to_string() })
        }
        (None, Ok(())) => None,
    };
    let agents = (0..kernel.population()).map(|n| kernel.path(isochrone_sim::AgentId::new(n))).collect();
    Ok(Tried { failure, properties, agents })
}

/// Where nobody is, nothing is found.
pub(super) fn check_population(app: &App, agents: usize) -> Result<(), Ended> {
    if agents > 0 {
        return Ok(());
    }
    let name = &app.name;
    Err(Ended::Usage(format!(
        "the set-up of {name} creates no agents, whoever drives it does: record a run (`--record run.jrn`), and say \
         --journal run.jrn"
    )))
}

/// What two failures of one mistake have in common, whoever makes it.
fn kind(error: &RunError) -> String {
    match error {
        RunError::Sim(SimError::Escalated(report)) => {
            format!("failure in {}: {}", report.task, without_numbers(&report.message))
        }
        RunError::Sim(SimError::Livelock { .. }) => "livelock".into(),
        RunError::Sim(SimError::OpenCalls { .. }) => "open calls".into(),
        RunError::Sim(SimError::NoProgress { .. }) => "no progress".into(),
        RunError::Sim(SimError::ForeignWake { .. }) => "foreign wake".into(),
        other => other.to_string(),
    }
}

/// Numbers differ from run to run.
fn without_numbers(text: &str) -> String {
    text.chars().filter(|character| !character.is_ascii_digit()).collect()
}

/// What a recorded run failed with, if it did.
pub(super) fn told_by(reader: Reader) -> Option<Failure> {
    reader.map_while(Result::ok).find_map(|Entry { time, record, .. }| match record {
        Record::Property { agent, name, holds: false, text } => {
            let broken = Broken { name: name.to_string(), agent: agent.to_string(), time, text };
            Some(Failure::of_property(&broken))
        }
        Record::Failed { agent, task, message, outcome } if outcome == "Escalated" => {
            let kind = format!("failure in {task}: {}", without_numbers(&message));
            let message = format!("agent {agent} failed at {time} in {task}: {message}");
            Some(Failure { kind, time, message })
        }
        Record::End { because, .. } => {
            let error = because.strip_prefix(BECAUSE_OF)?;
            Some(Failure { kind: without_numbers(error), time, message: error.into() })
        }
        _ => None,
    })
}

/// The command line of a run, or of a command that has its flags.
pub(super) fn arguments(command: &str, sim: &Sim) -> Vec<String> {
    let mut line = vec![command.to_owned()];
    let mut flag = |name: &str, value: String| line.extend([format!("--{name}"), value]);
    flag("until", sim.until.to_string());
    let common = &sim.common;
    if let Some(seed) = common.seed {
        flag("seed", seed.to_string());
    }
    if let Some(shuffle) = common.shuffle {
        flag("shuffle", shuffle.to_string());
    }
    if let Some(start) = common.start {
        flag("start", start.to_string());
    }
    if let Some(policy) = common.policy {
        flag("policy", super::cli::policy_text(policy).into());
    }
    if let Some(since) = sim.progress_since {
        flag("progress-since", since.to_string());
    }
    common.params.iter().for_each(|param| flag("param", param.clone()));
    sim.common.faults.iter().for_each(|fault| flag("fault", fault.to_string()));
    sim.common.without.iter().for_each(|agent| flag("without", agent.clone()));
    line
}

/// The line that repeats a run.
pub(super) fn line(app: &App, sim: &Sim) -> String {
    called(app, arguments("sim", sim))
}

/// The line that calls this program with these arguments.
pub(super) fn called(app: &App, arguments: Vec<String>) -> String {
    let words = std::iter::once(program(app)).chain(arguments);
    words.map(|word| quoted(&word)).collect::<Vec<_>>().join(" ")
}

/// How this program was called.
pub(super) fn program(app: &App) -> String {
    std::env::args().next().unwrap_or_else(|| app.name.clone())
}

/// As a shell reads it.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=,@+%".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.into()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

/// Runs it once more and records it.
pub(super) async fn record(
    app: &App,
    sim: &Sim,
    path: &std::path::Path,
    interrupt: &Interrupt,
) -> Result<(Tried, u64), Ended> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)
            .map_err(|error| Ended::Failed(format!("{}: {error}", folder.display())))?;
    }
    let config = configure(app.config.clone(), &sim.common);
    let mut header = super::record::header(app, &config, "free", &arguments("sim", sim));
    header.level = Level::Full;
    let writer = super::record::overwrite(path, header).map_err(Ended::Failed)?;
    let tape = Tape::record(writer);
    let tried = attempt(app, sim, &tape, interrupt).await?;
    drop(tape);
    let reader = Reader::open(path).map_err(|error| Ended::Failed(error.to_string()))?;
    Ok((tried, messages(reader)))
}

/// Messages and answers in a journal.
pub(super) fn messages(reader: Reader) -> u64 {
    let messages = reader
        .map_while(Result::ok)
        .filter(|entry| matches!(entry.record, Record::Sent { .. } | Record::Answered { .. }));
    messages.count() as u64
}
