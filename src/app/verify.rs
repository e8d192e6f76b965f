//! Is a run a function of its seed? Each seed is run again and again, in lock step with its first run.

use std::rc::Rc;

use super::App;
use super::cli::{Sim, Verify};
use super::failure::{arguments, called, check_population};
use super::run::{Ended, Simulated, configure, run_simulated};
use super::trial::Trials;
use crate::clock::{Interrupt, RunError};
use crate::journal::{Header, Level, Options, Writer};
use crate::replay::{Difference, Memory, Source, Stops, Tape, Verdict};

const DIFFERS: u8 = 3;

pub(super) async fn run(app: &Rc<App>, args: &Verify, interrupt: Interrupt) -> Result<(), Ended> {
    let mut failed = 0;
    let trials = match &args.journal {
        Some(path) => Some((Trials::of(app, path, interrupt.clone()).await?, Source::File(path.clone()))),
        None => None,
    };
    for seed in args.seeds.clone() {
        let (first, difference) = match &trials {
            Some((trials, inputs)) => repeat(trials, inputs, seed, args.times).await?,
            None => compare(app, &seeded(&args.sim, seed), args.times, &interrupt).await?,
        };
        if let Some(message) = first {
            failed += 1;
            eprintln!("note: seed {seed} fails, whenever it is run: {message}");
        }
        if let Some(mut difference) = difference {
            let mut again = match &args.journal {
                Some(path) => vec!["verify".into(), "--journal".into(), path.display().to_string()],
                None => arguments("verify", &args.sim),
            };
            again.extend(["--seeds".into(), format!("{seed}..{}", seed + 1)]);
            difference.reproduce = Some(called(app, again));
            eprintln!("seed {seed}: two runs of one seed differ\n{difference}");
            return Err(Ended::Code(DIFFERS));
        }
    }
    let (count, times) = (args.seeds.end - args.seeds.start, args.times);
    eprintln!("{count} seeds, {times} runs each: every run is a function of its seed");
    if failed > 0 {
        return Err(Ended::Failed(format!("{failed} of the seeds fail")));
    }
    Ok(())
}

/// The run of a seed: of its random streams, and of the order that the laws leave open.
pub(super) fn seeded(sim: &Sim, seed: u64) -> Sim {
    let mut sim = sim.clone();
    sim.common.seed = Some(seed);
    sim.common.shuffle = Some(seed);
    sim
}

/// The same, of a recorded run.
async fn repeat(
    trials: &Trials<'_>,
    inputs: &Source,
    seed: u64,
    times: u32,
) -> Result<(Option<String>, Option<Box<Difference>>), Ended> {
    let arguments = trials.seeded(seed, &[]);
    let tried = trials.attempt(&arguments, inputs.clone(), Level::Full).await?;
    let failed = tried.failure.map(|failure| failure.message);
    for _ in 1..times {
        match trials.differs(&arguments, tried.written.clone()).await? {
            Some(Verdict::Differs(difference)) => return Ok((failed, Some(difference))),
            Some(other) => return Err(Ended::Failed(format!("the comparison has ended: {other:?}"))),
            None => {}
        }
    }
    Ok((failed, None))
}

/// Runs it once and records it, and then in lock step with that: what it failed with, and the first difference.
async fn compare(
    app: &App,
    sim: &Sim,
    times: u32,
    interrupt: &Interrupt,
) -> Result<(Option<String>, Option<Box<Difference>>), Ended> {
    let memory = Memory::default();
    let mut header = Header::new(app.name.as_str(), 0);
    (header.level, header.clock) = (Level::Full, "free".into());
    let writer = Writer::to_stream(memory.clone(), header, Options::default());
    let tape = Tape::record(writer.map_err(|error| Ended::Failed(error.to_string()))?);
    let failed = once(app, sim, &tape, interrupt).await?;
    drop(tape);
    memory.seal();
    let source = Source::Memory(memory);
    for _ in 1..times {
        let tape = Tape::play(source.clone(), Stops::default(), false);
        let tape = tape.map_err(|error| Ended::Failed(error.to_string()))?;
        once(app, sim, &tape, interrupt).await?;
        match tape.verdict() {
            Some(Verdict::Differs(difference)) => return Ok((failed, Some(difference))),
            Some(other) => return Err(Ended::Failed(format!("the comparison has ended: {other:?}"))),
            None => {}
        }
    }
    Ok((failed, None))
}

async fn once(app: &App, sim: &Sim, tape: &Tape, interrupt: &Interrupt) -> Result<Option<String>, Ended> {
    let config = configure(app.config.clone(), &sim.common);
    let Simulated { world, result, .. } =
        run_simulated(app, config, sim, tape, interrupt.clone(), |_| ()).await?;
    let failed = match result {
        Ok(()) | Err(RunError::Replayed) => None,
        Err(error @ RunError::Interrupted(_)) => return Err(error.into()),
        Err(error) => Some(error.to_string()),
    };
    check_population(app, world.kernel().population() as usize)?;
    tape.finish(world.kernel(), failed.as_deref().unwrap_or("it was to end here"))
        .map_err(|error| Ended::Failed(error.to_string()))?;
    Ok(failed)
}
