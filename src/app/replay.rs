//! A recorded run again: the very command that was recorded, with the recording in the place of the outside.

use std::path::Path;
use std::rc::Rc;

use super::App;
use super::cli::{self, Replay};
use super::record;
use super::run::{Ended, Taping, start};
use crate::clock::Interrupt;
use crate::journal::{Header, JournalError, Level, Reader};
use crate::replay::{Source, Stops, Tape, Verdict};

pub(super) const DIFFERS: u8 = 3;
const DAMAGED: u8 = 4;
const OTHER: u8 = 5;

pub(super) async fn run(app: &Rc<App>, args: &Replay, interrupt: Interrupt) -> Result<(), Ended> {
    let header = Reader::open(&args.path).map_err(damaged)?.header().clone();
    let arguments = record::recorded_arguments(&header);
    let is_other = check_build(app, &header, &args.path, args.force || args.against)?;
    let stops = Stops { until: args.until, event: args.break_at };
    let source = Source::File(args.path.clone());
    let play = |values: bool| -> Result<Tape, Ended> {
        let tape = Tape::play(source.clone(), stops, args.against).map_err(damaged)?;
        Ok(if values { tape.with_values() } else { tape })
    };
    let tape = play(false)?;
    let (failed, verdict) = again(app, &arguments, &header, &tape, interrupt.clone()).await?;
    let verdict = match verdict {
        // once more, for the values, which the first time would have cost too much
        Some(Verdict::Differs(first)) if header.level < Level::Full => {
            let (_, verdict) = again(app, &arguments, &header, &play(true)?, interrupt).await?;
            Some(verdict.unwrap_or(Verdict::Differs(first)))
        }
        verdict => verdict,
    };
    let stopped = matches!(verdict, Some(Verdict::Stopped { .. }));
    tell(&args.path, &tape, failed, verdict, is_other)?;
    if !stopped {
        tell_missed(&args.path, stops).map_err(damaged)?;
    }
    Ok(())
}

/// Runs the recorded command; what it failed with, and the tape's verdict.
async fn again(
    app: &Rc<App>,
    arguments: &[String],
    header: &Header,
    tape: &Tape,
    interrupt: Interrupt,
) -> Result<(Option<String>, Option<Verdict>), Ended> {
    let cli = cli::parse(app, arguments).map_err(|error| {
        Ended::Usage(format!("the recorded command line is no longer understood: {error}"))
    })?;
    let taping = Taping::Replay(tape.clone(), header.epoch);
    let failed = match start(app, cli.command, &taping, interrupt).await {
        Ok(()) | Err(Ended::Replayed) => None,
        Err(Ended::Failed(message)) => Some(message),
        Err(ended) => return Err(ended),
    };
    Ok((failed, tape.verdict()))
}

pub(super) fn damaged(error: JournalError) -> Ended {
    eprintln!("error: {error}");
    match error {
        JournalError::Damaged { .. } | JournalError::NotAJournal { .. } | JournalError::Empty { .. } => {
            Ended::Code(DAMAGED)
        }
        _ => Ended::Code(1),
    }
}

/// Whether this program is another one than was recorded: then it says so, and ends if that is not wanted.
pub(super) fn check_build(app: &App, header: &Header, path: &Path, force: bool) -> Result<bool, Ended> {
    let differences = differences(app, header, &record::recorded_arguments(header))?;
    if differences.is_empty() {
        return Ok(false);
    }
    eprintln!("{} was recorded by another program than this one:", path.display());
    for difference in &differences {
        eprintln!("  {difference}");
    }
    if force {
        return Ok(true);
    }
    eprintln!("replay it all the same with --force, or compare what leaves the run with --against");
    Err(Ended::Code(OTHER))
}

fn differences(app: &App, header: &Header, arguments: &[String]) -> Result<Vec<String>, Ended> {
    if header.scenario != app.name {
        return Ok(vec![format!("program: {} became {}", header.scenario, app.name)]);
    }
    let mut now = match cli::parse(app, arguments) {
        Ok(cli) => {
            let config = super::run::configuration(app, &cli.command);
            record::header(app, &config, &header.clock, &cli.arguments)
        }
        Err(error) => return Ok(vec![format!("command line: {error}")]),
    };
    // a live run begins when it begins
    now.epoch = header.epoch;
    Ok(record::differences(header, &now))
}

/// Says that a run has ended before it was to stop.
fn tell_missed(path: &Path, stops: Stops) -> Result<(), JournalError> {
    if stops == Stops::default() {
        return Ok(());
    }
    let mut last = None;
    for entry in Reader::open(path)? {
        let entry = entry?;
        last = Some((entry.event, entry.time));
    }
    let end = last.map_or("nothing was recorded".into(), |(event, time)| {
        format!("the last event that was recorded is {event}, at {time}")
    });
    let path = path.display();
    if let Some(event) = stops.event {
        eprintln!("{path}: there is no event {event} to stop at: {end}");
    }
    if let Some(until) = stops.until {
        eprintln!("{path}: there is nothing after {until} to stop at: {end}");
    }
    Ok(())
}

fn tell(
    path: &Path,
    tape: &Tape,
    failed: Option<String>,
    verdict: Option<Verdict>,
    is_other: bool,
) -> Result<(), Ended> {
    let (path, same) = (path.display(), tape.same());
    if let Some(failed) = failed {
        eprintln!("the run failed: {failed}");
    }
    match verdict {
        None => eprintln!("{path}: the same, {same} outputs of {same}"),
        Some(Verdict::Recorded(at)) => {
            eprintln!("{path}: the same, {same} outputs; it was recorded up to {at} and has no end");
        }
        Some(Verdict::Stopped { time, event, text }) => {
            eprintln!("{path}: the same up to event {event} at {time}, which is: {text}");
        }
        Some(Verdict::Broken { time, agent, text }) => {
            let agent = agent.map_or(String::new(), |agent| format!(", because of agent {agent}"));
            eprintln!("{path}: the same up to {time}; from there on it cannot be replayed{agent}: {text}");
        }
        Some(Verdict::Damaged(error)) => {
            eprintln!("error: {error}");
            return Err(Ended::Code(DAMAGED));
        }
        Some(Verdict::Differs(mut difference)) => {
            if is_other {
                difference.likely = Some("the program is another one than was recorded");
            }
            difference.reproduce = Some(format!("replay {path} --force --break-at {}", difference.event));
            eprintln!("{path}: {difference}");
            return Err(Ended::Code(DIFFERS));
        }
    }
    Ok(())
}
