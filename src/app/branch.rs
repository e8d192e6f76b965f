//! Runs that go on where a recording ends: forks of it, and the same run after its program was killed. And two recordings
//! side by side.

use std::path::Path;
use std::rc::Rc;

use super::App;
use super::cli::{self, Command, Diff, Fork, Resume};
use super::record::{overwrite, recorded_arguments};
use super::replay::{DIFFERS, check_build, damaged};
use super::run::{Ended, Taping, start};
use crate::clock::Interrupt;
use crate::journal::{Header, Level, Options, Reader, Record, Tail, Writer};
use crate::replay::{self, Compared, Forked, Questions, Source, Stops, Tape, Verdict};

pub(super) async fn fork(app: &Rc<App>, args: &Fork, interrupt: Interrupt) -> Result<(), Ended> {
    let header = readable(app, &args.path, args.force)?;
    // where the outside moves time, its part is kept
    let kept = match is_driven(&header) {
        true => Some(questions(app, &header, &args.path, &interrupt).await?),
        false => None,
    };
    let mut own = header.clone();
    own.parent = Some((args.path.display().to_string(), args.at));
    let mut writer = overwrite(&args.record, own).map_err(Ended::Failed)?;
    // the fork's journal is whole: what came before is in it too
    let mut last = None;
    for entry in Reader::open(&args.path).map_err(damaged)? {
        let entry = entry.map_err(damaged)?;
        last = Some(entry.event);
        if entry.event >= args.at {
            break;
        }
        if !matches!(entry.record, Record::Origin { .. } | Record::Checkpoint { .. } | Record::End { .. }) {
            let written = writer.write(entry.time, entry.round, &entry.record);
            written.map_err(|error| Ended::Failed(error.to_string()))?;
        }
    }
    if last.is_none_or(|last| last < args.at) {
        let (path, at) = (args.path.display(), args.at);
        let last = last.map_or("nothing was recorded".into(), |last| format!("the last is {last}"));
        return Err(Ended::Usage(format!("{path}: there is no event {at} to fork at: {last}")));
    }
    let source = Source::File(args.path.clone());
    let tape = Tape::fork(source, writer, args.at, args.seed, kept).map_err(damaged)?;
    let ended = go_on(app, command(app, &header)?, &header, &tape, interrupt).await;
    if tape.has_gone_on() {
        eprintln!("the fork is in {}", args.record.display());
    }
    ended
}

/// Whether the outside says how time goes on.
fn is_driven(header: &Header) -> bool {
    matches!(header.clock.as_str(), "wall" | "coupled")
}

/// What the agents of a recorded run asked the outside.
pub(super) async fn questions(
    app: &Rc<App>,
    header: &Header,
    path: &Path,
    interrupt: &Interrupt,
) -> Result<Questions, Ended> {
    let mut records = Reader::open(path).map_err(damaged)?.map_while(Result::ok).map(|entry| entry.record);
    if !records.any(|record| matches!(record, Record::Result { .. })) {
        return Ok(Questions::default());
    }
    let tape = Tape::play(Source::File(path.into()), Stops::default(), false).map_err(damaged)?;
    let tape = tape.quietly().with_questions();
    let taping = Taping::Replay(tape.clone(), header.epoch);
    let ended = start(app, command(app, header)?, &taping, interrupt.clone()).await;
    // how else it has failed is in the recording
    if let Err(ended @ (Ended::Interrupted | Ended::Usage(_))) = ended {
        return Err(ended);
    }
    let questions = tape.take_questions();
    match tape.verdict() {
        Some(Verdict::Differs(difference)) => {
            eprintln!("what the run asked the outside cannot be found, for it differs: {difference}");
            Err(Ended::Code(DIFFERS))
        }
        _ => Ok(questions),
    }
}

pub(super) async fn resume(app: &Rc<App>, args: &Resume, interrupt: Interrupt) -> Result<(), Ended> {
    let header = readable(app, &args.path, args.force)?;
    let mut command = command(app, &header)?;
    reopen(&mut command, args)?;
    let appended = Writer::append(&args.path, Options::default());
    let (writer, tail) = appended.map_err(damaged)?;
    if let Tail::Torn { bytes, .. } = tail {
        eprintln!("{bytes} bytes of a torn record were cut off");
    }
    let tape = Tape::resume(Source::File(args.path.clone()), writer).map_err(damaged)?;
    go_on(app, command, &header, &tape, interrupt).await
}

/// Where a run listens when it goes on; or why it cannot.
fn reopen(command: &mut Command, args: &Resume) -> Result<(), Ended> {
    #[cfg(feature = "serve")]
    if !matches!(command, Command::Serve(_)) && args.listen.is_some() {
        return Err(Ended::Usage("--listen is for runs of `serve`: no simulator steps this one".into()));
    }
    let network = match command {
        Command::Live(live) => &mut live.network,
        #[cfg(feature = "manager")]
        Command::Worker(worker) => &mut worker.network,
        #[cfg(feature = "serve")]
        Command::Serve(serve) => {
            if let Some(listen) = &args.listen {
                serve.listen = listen.clone();
            }
            &mut serve.network
        }
        #[cfg(feature = "mosaik")]
        Command::Mosaik(_) => {
            let path = args.path.display();
            return Err(Ended::Usage(format!(
                "mosaik cannot go on with a simulator that was killed: it would begin with `init` at time 0. `fork {path}` lets \
                 the agents go on with another seed and what mosaik asked then, `replay {path}` repeats what was recorded"
            )));
        }
        Command::Sim(sim) if !sim.network.is_bound() && args.bind.is_none() => return Ok(()),
        _ => {
            return Err(Ended::Usage(
                "a simulated run on the network does not go on: its time would not wait until its peers have found it again. \
                 Run it again from its beginning"
                    .into(),
            ));
        }
    };
    if args.bind.is_some() && !network.is_bound() {
        return Err(Ended::Usage("--bind is for runs that were on the network: this one was not".into()));
    }
    network.rebind(args.bind.as_ref());
    Ok(())
}

/// The header of a journal from which a run can go on.
fn readable(app: &App, path: &Path, force: bool) -> Result<Header, Ended> {
    let header = Reader::open(path).map_err(damaged)?.header().clone();
    check_build(app, &header, path, force)?;
    if header.level < Level::Events && header.clock != "wall" {
        return Err(Ended::Usage(
            "at level inputs a recording does not tell how far the run had come: record it with --record-level events"
                .into(),
        ));
    }
    Ok(header)
}

/// The command that was recorded.
fn command(app: &App, header: &Header) -> Result<Command, Ended> {
    cli::parse(app, recorded_arguments(header))
        .map(|cli| cli.command)
        .map_err(|error| Ended::Usage(format!("the recorded command line is no longer understood: {error}")))
}

async fn go_on(
    app: &Rc<App>,
    command: Command,
    header: &Header,
    tape: &Tape,
    interrupt: Interrupt,
) -> Result<(), Ended> {
    let taping = Taping::Replay(tape.clone(), header.epoch);
    let ended = start(app, command, &taping, interrupt).await;
    if tape.has_gone_on() {
        return ended;
    }
    match tape.verdict() {
        Some(Verdict::Differs(difference)) => {
            eprintln!("the run does not come to where it is to go on: {difference}");
            Err(Ended::Code(DIFFERS))
        }
        None if ended.is_err() => ended,
        verdict => Err(Ended::Failed(format!("the run does not come to where it is to go on: {verdict:?}"))),
    }
}

pub(super) fn diff(args: &Diff) -> Result<(), Ended> {
    let (first, second) = (Source::File(args.first.clone()), Source::File(args.second.clone()));
    let (a, b) = (first.open().map_err(damaged)?, second.open().map_err(damaged)?);
    for difference in super::record::differences(a.header(), b.header()) {
        println!("{difference}");
    }
    let Compared { same, forks, parted, .. } = replay::diff(&first, &second).map_err(damaged)?;
    let is_one = forks.len() == 1;
    for Forked { is_second, event, seed, .. } in forks {
        let (fork, other) = if is_second { (&args.second, &args.first) } else { (&args.first, &args.second) };
        let (fork, other) = (fork.display(), other.display());
        let of = if is_one { format!(" of {other}") } else { String::new() };
        println!("{fork} is a fork{of} at event {event}, with seed {seed}");
    }
    let Some(parted) = parted else {
        println!("the same, {same} records of {same}");
        return Ok(());
    };
    println!("after {same} records that are the same:");
    parted.before.iter().for_each(|line| println!("    {line}"));
    parted.after.0.iter().for_each(|line| println!("  - {line}"));
    parted.after.1.iter().for_each(|line| println!("  + {line}"));
    println!("{}", parted.difference);
    Err(Ended::Code(DIFFERS))
}
