//! The runs behind the flags.

use std::process::ExitCode;
use std::rc::Rc;
use std::time::Instant;

use isochrone_sim::{Config, Epoch, Kernel, Outcome, Time};

use super::cli::{Cli, Command, Common, Live, Record, Sim};
#[cfg(feature = "mosaik")]
use super::network::Joining;
use super::progress::Progress;
use super::summary::Summary;
use super::{App, branch, explore, params, record, replay, shrink, verify};
use crate::agent::Container;
use crate::clock::{FreeRun, Interrupt, Paced, RunError, Wall};
#[cfg(feature = "mosaik")]
use crate::codec::Value;
#[cfg(feature = "mosaik")]
use crate::coupling::mosaik;
#[cfg(any(feature = "mosaik", feature = "serve"))]
use crate::coupling::{ServeError, Served};
use crate::replay::{INTERRUPT, Properties, Tape, arrange};

const FAILED: u8 = 1;
const INTERRUPTED: u8 = 130;

pub(super) fn run(app: App, cli: Cli) -> ExitCode {
    let Cli { command, arguments } = cli;
    if let Err(message) = start_log(command.log()) {
        eprintln!("error: {message}");
        return ExitCode::from(2);
    }
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("error: the runtime could not be started: {error}");
            return ExitCode::from(FAILED);
        }
    };
    if matches!(command, Command::Verify(_) | Command::Explore(_) | Command::Shrink(_)) {
        // of thousands of runs many fail: their reports tell, and the search tells the first
        std::panic::set_hook(Box::new(|_| ()));
    }
    let local = tokio::task::LocalSet::new();
    let result = local.block_on(&runtime, async {
        let interrupt = Interrupt::default();
        watch_ctrl_c(interrupt.clone());
        let app = Rc::new(app);
        match command {
            Command::Replay(args) => replay::run(&app, &args, interrupt).await,
            Command::Fork(args) => branch::fork(&app, &args, interrupt).await,
            Command::Resume(args) => branch::resume(&app, &args, interrupt).await,
            Command::Diff(args) => branch::diff(&args),
            Command::Verify(args) => verify::run(&app, &args, interrupt).await,
            Command::Explore(args) => explore::run(&app, &args, &arguments, interrupt).await,
            Command::Shrink(args) => shrink::run(&app, &args, interrupt).await,
            command => start(&app, command, &Taping::AsToldBy(&arguments), interrupt).await,
        }
    });
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(ended) => ExitCode::from(ended.tell()),
    }
}

/// What a run is recorded with.
pub(super) enum Taping<'a> {
    /// With what the command line says, which this is.
    AsToldBy(&'a [String]),
    /// It is replayed, with time zero at this date.
    Replay(Tape, Epoch),
}

impl Taping<'_> {
    /// Whether all that comes from outside is recorded.
    pub(super) fn is_replay(&self) -> bool {
        matches!(self, Taping::Replay(tape, _) if !tape.resumes())
    }

    /// The tape of a run, and the date of its time zero.
    pub(super) fn tape(
        &self,
        app: &App,
        config: &mut Config,
        clock: &str,
        flags: &Record,
    ) -> Result<Tape, Ended> {
        match self {
            Taping::AsToldBy(arguments) => {
                record::tape(flags, || record::header(app, config, clock, arguments)).map_err(Ended::Failed)
            }
            Taping::Replay(tape, epoch) => {
                config.epoch = *epoch;
                Ok(tape.clone())
            }
        }
    }
}

/// Runs the program in one of its ways.
pub(super) async fn start(
    app: &Rc<App>,
    command: Command,
    taping: &Taping<'_>,
    interrupt: Interrupt,
) -> Result<(), Ended> {
    match command {
        Command::Sim(args) => simulate(app, &args, taping, interrupt).await,
        Command::Live(args) => go_live(app, &args, taping, interrupt).await,
        #[cfg(feature = "manager")]
        Command::Worker(args) => super::worker::run(app, &args, taping, interrupt).await,
        #[cfg(feature = "mosaik")]
        Command::Mosaik(args) => serve_mosaik(app, args, taping, interrupt).await,
        #[cfg(feature = "serve")]
        Command::Serve(args) => super::serve::serve(app, args, taping, interrupt).await,
        _ => Err(Ended::Usage("this is no run".into())),
    }
}

pub(super) enum Ended {
    Failed(String),
    Usage(String),
    Interrupted,
    /// A replay has come to its verdict, which its tape tells.
    Replayed,
    /// With this exit code; everything has been said.
    Code(u8),
}

impl Ended {
    /// Says what there is to say, and returns the exit code.
    fn tell(self) -> u8 {
        let (message, code) = match self {
            Ended::Interrupted => return INTERRUPTED,
            Ended::Code(code) => return code,
            Ended::Replayed => return 0,
            Ended::Failed(message) => (message, FAILED),
            Ended::Usage(message) => (message, 2),
        };
        eprintln!("error: {message}");
        code
    }
}

impl From<RunError> for Ended {
    fn from(error: RunError) -> Self {
        match error {
            RunError::Interrupted(at) => {
                eprintln!("interrupted at {at}");
                Ended::Interrupted
            }
            RunError::Replayed => Ended::Replayed,
            error => Ended::Failed(error.to_string()),
        }
    }
}

fn start_log(filter: &str) -> Result<(), String> {
    let filter =
        tracing_subscriber::EnvFilter::try_new(filter).map_err(|error| format!("--log {filter}: {error}"))?;
    // a second program in one process keeps the log of the first
    let _ = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_target(false)
        .without_time()
        .try_init();
    Ok(())
}

/// The kernel's configuration for a command.
pub(super) fn configuration(app: &App, command: &Command) -> Config {
    let common = match command {
        Command::Sim(args) => &args.common,
        Command::Live(args) => &args.common,
        #[cfg(feature = "manager")]
        Command::Worker(args) => return super::worker::configuration(app, args),
        #[cfg(feature = "mosaik")]
        Command::Mosaik(args) => &args.common,
        #[cfg(feature = "serve")]
        Command::Serve(args) => &args.common,
        _ => return app.config.clone(),
    };
    configure(app.config.clone(), common)
}

pub(super) fn configure(mut config: Config, common: &Common) -> Config {
    config.seed = common.seed.unwrap_or(config.seed);
    config.shuffle = common.shuffle.or(config.shuffle);
    config.epoch = common.start.unwrap_or(config.epoch);
    config.policy = common.policy.unwrap_or(config.policy);
    config.without.clone_from(&common.without);
    config
}

#[cfg(any(feature = "mosaik", feature = "serve"))]
pub(super) fn interrupted() -> Ended {
    eprintln!("interrupted");
    Ended::Interrupted
}

/// The first `Ctrl-C` asks the run to end, the second one ends the program.
fn watch_ctrl_c(interrupt: Interrupt) {
    let watch = async move {
        if tokio::signal::ctrl_c().await.is_ok() {
            interrupt.set();
        }
        if tokio::signal::ctrl_c().await.is_ok() {
            eprintln!("interrupted twice");
            std::process::exit(INTERRUPTED.into());
        }
    };
    // on a thread of its own: agents may keep this one busy
    std::thread::spawn(move || {
        if let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() {
            runtime.block_on(watch);
        }
    });
}

pub(super) fn set_up(app: &App, world: &Container, common: &Common, tape: &Tape) -> Result<(), String> {
    for policy in &app.policies {
        policy(world);
    }
    world.enter(|| (app.build)(world)).map_err(|error| format!("the set-up failed: {error}"))?;
    arrange(world.kernel(), &common.faults, tape)
}

/// Says which agents were to be left out and have never been there.
pub(super) fn tell_missed(kernel: &Kernel, tape: &Tape) {
    let missed =
        kernel.config().without.iter().filter(|path| !tape.is_quiet() && kernel.find(path).is_none());
    for path in missed {
        tracing::warn!("no agent {path:?} was there to be left out");
    }
}

fn check_end(config: &Config, until: Time) -> Result<(), Ended> {
    if until >= config.start {
        return Ok(());
    }
    Err(Ended::Usage(format!("--until {until} is before the run begins, at {}", config.start)))
}

/// The world of a simulated run, and how it ended.
pub(super) struct Simulated {
    pub(super) world: Container,
    pub(super) properties: Rc<Properties>,
    pub(super) result: Result<(), RunError>,
}

/// Runs the scenario in simulated time and says nothing.
pub(super) async fn run_simulated(
    app: &App,
    config: Config,
    args: &Sim,
    tape: &Tape,
    interrupt: Interrupt,
    progress: impl FnMut(Time),
) -> Result<Simulated, Ended> {
    let params = params::parse(&args.common.params).map_err(Ended::Usage)?;
    let access = args.network.access(tape.is_playing())?;
    check_end(&config, args.until)?;
    let world = Container::new(config).map_err(|error| Ended::Failed(error.to_string()))?;
    tape.attach(world.kernel());
    (app.prepare)(&world, &params).map_err(Ended::Usage)?;
    let pace = args.pace.filter(|_| !tape.is_playing());
    let mut free = FreeRun::new(interrupt.clone()).tape(tape.clone());
    let mut paced = Paced::new(pace.unwrap_or(1.0), interrupt).tape(tape.clone());
    let live = if pace.is_some() { paced.live() } else { free.live() };
    // agents of simulated time may call others elsewhere: it stands meanwhile
    let node = access.join(app, &world, &live, tape).await.map_err(Ended::Failed)?;
    set_up(app, &world, &args.common, tape).map_err(Ended::Failed)?;
    if let Some(path) = args.common.without.iter().find(|path| world.kernel().find(path).is_none()) {
        return Err(Ended::Usage(format!("no agent {path:?} is here to be left out")));
    }
    let properties = Rc::new(Properties::new(tape.clone()));
    world.kernel().provide(properties.clone());
    let result = match pace {
        None => free.run(world.kernel(), args.until, progress).await.map(drop),
        Some(_) => {
            if let Some(allowed) = args.strict {
                paced = paced.strict(allowed);
            }
            let result = paced.run(world.kernel(), args.until, progress).await.map(drop);
            let lag = paced.lag();
            if lag.late > 0 {
                let worst = isochrone_sim::display_span(lag.worst);
                tracing::warn!("{} events were late, the worst by {worst}", lag.late);
            }
            result
        }
    };
    drop((free, paced));
    if let Some(node) = node {
        node.shutdown(args.network.grace).await;
    }
    let result = result.and_then(|()| match args.progress_since {
        None => Ok(()),
        Some(since) => world.kernel().check_progress(since).map_err(RunError::Sim),
    });
    Ok(Simulated { world, properties, result })
}

async fn simulate(app: &App, args: &Sim, taping: &Taping<'_>, interrupt: Interrupt) -> Result<(), Ended> {
    let mut config = configure(app.config.clone(), &args.common);
    let clock = if args.pace.is_some() { "paced" } else { "free" };
    let tape = taping.tape(app, &mut config, clock, &args.common.record)?;
    let (from, started) = (config.start, Instant::now());
    let progress = Progress::new(from, args.until);
    let run = run_simulated(app, config, args, &tape, interrupt, |now| progress.show(now)).await?;
    drop(progress);
    conclude(&run.world, (from, started), &tape, run.result)
}

async fn go_live(app: &App, args: &Live, taping: &Taping<'_>, interrupt: Interrupt) -> Result<(), Ended> {
    let params = params::parse(&args.common.params).map_err(Ended::Usage)?;
    let access = args.network.access(taping.is_replay())?;
    let mut config = configure(app.config.clone(), &args.common);
    Wall::configure(&mut config);
    config.epoch = args.common.start.unwrap_or(config.epoch);
    check_end(&config, args.until.unwrap_or(Time::MAX))?;
    let tape = taping.tape(app, &mut config, "wall", &args.common.record)?;
    let world = Container::new(config).map_err(|error| Ended::Failed(error.to_string()))?;
    tape.attach(world.kernel());
    (app.prepare)(&world, &params).map_err(Ended::Usage)?;
    let (wall, live) = Wall::new(interrupt);
    // first, so that the set-up knows where its agents are for others
    let mut node = access.join(app, &world, &live, &tape).await.map_err(Ended::Failed)?;
    set_up(app, &world, &args.common, &tape).map_err(Ended::Failed)?;
    let (from, started) = (world.now(), Instant::now());
    let mut wall = wall.max_lag(args.max_lag).tape(tape.clone());
    let mut result = wall.play(world.kernel()).await;
    if tape.is_resumed() && result.is_ok() {
        node = access.join(app, &world, &live, &tape).await.map_err(Ended::Failed)?;
    }
    if result.is_ok() {
        result = wall.run(world.kernel(), args.until.unwrap_or(Time::MAX)).await;
    }
    // whoever still waits hears that the run is over
    drop(wall);
    if let Some(node) = node {
        node.shutdown(args.network.grace).await;
    }
    conclude(&world, (from, started), &tape, result)
}

/// What the reason of a run's end begins with, if that is an error.
pub(super) const BECAUSE_OF: &str = "it failed: ";

/// Why a run has ended, for its journal.
pub(super) fn ended<E: std::fmt::Display>(result: &Result<(), E>, well: &str) -> String {
    result.as_ref().map_or_else(|error| format!("{BECAUSE_OF}{error}"), |()| well.into())
}

/// Ends the recording, and says what became of the run.
pub(super) fn conclude(
    world: &Container,
    (from, started): (Time, Instant),
    tape: &Tape,
    result: Result<(), RunError>,
) -> Result<(), Ended> {
    let because = match &result {
        Err(RunError::Interrupted(_)) => INTERRUPT.into(),
        result => ended(result, "it was to end here"),
    };
    tell_missed(world.kernel(), tape);
    let written = tape.finish(world.kernel(), &because);
    if !tape.is_quiet() {
        tell(world, Summary::of(world.kernel(), from, started.elapsed()));
    }
    result?;
    written.map_err(|error| Ended::Failed(format!("the recording: {error}")))
}

/// Failures, dead letters and the summary.
fn tell(world: &Container, summary: Summary) {
    let reports = world.kernel().reports();
    // the first that escalated is the error of the run, which comes last
    let error = reports.iter().position(|report| report.outcome == Outcome::Escalated);
    for (_, report) in reports.iter().enumerate().filter(|(at, _)| Some(*at) != error) {
        eprintln!("{report}");
    }
    for letter in world.kernel().dead_letters().iter().take(5) {
        eprintln!("dead letter: {letter}");
    }
    for call in world.kernel().open_calls().iter().take(5) {
        eprintln!("still open: {call}");
    }
    for task in world.kernel().stray_tasks().iter().take(5) {
        eprintln!("note: {task}");
    }
    eprintln!("{summary}");
}

/// How a run under mosaik ends that does not fail.
#[cfg(feature = "mosaik")]
const WELL: &str = "mosaik said stop";

#[cfg(feature = "mosaik")]
async fn serve_mosaik(
    app: &Rc<App>,
    args: super::cli::Mosaik,
    taping: &Taping<'_>,
    interrupt: Interrupt,
) -> Result<(), Ended> {
    let access = args.network.access(taping.is_replay())?;
    let mut config = configure(app.config.clone(), &args.common);
    let tape = taping.tape(app, &mut config, "coupled", &args.common.record)?;
    let (joining, join) = Joining::new(app, access, &tape);
    let models = app.types.iter().map(|kind| {
        let any_inputs = app.offer.any_inputs.contains(&kind.name);
        (kind.name.clone(), (kind.vtable, mosaik::ModelOptions { public: kind.public, any_inputs }))
    });
    let models = models.collect();
    let given = params::parse(&args.common.params).map_err(Ended::Usage)?;
    let simulator = mosaik::Simulator {
        kind: args.kind.unwrap_or(app.offer.kind),
        api: args.api.unwrap_or(app.offer.api),
        mode: args.mode.unwrap_or(app.mode),
        models,
        extra: app.offer.extra.clone(),
        overrides: app.offer.overrides.clone(),
        log_steps: app.offer.log_steps,
        initial_event: args.initial_event,
        config,
        tape: tape.clone(),
        join,
        build: {
            let (app, tape, common) = (app.clone(), tape.clone(), args.common);
            Rc::new(move |world, setup| {
                (app.prepare)(world, &with(&given, &setup.params))?;
                set_up(&app, world, &common, &tape)
            })
        },
    };
    let failed = |error: ServeError| Ended::Failed(error.to_string());
    if tape.is_playing() {
        return finish(mosaik::replay(&simulator, interrupt).await, &tape, WELL);
    }
    match (&args.connect, &args.listen) {
        (Some(address), _) => {
            let stream = mosaik::connect(address).await.map_err(failed)?;
            let mut served = mosaik::serve(stream, &simulator, interrupt).await;
            joining.leave(served.coupling.as_mut()).await;
            finish(served, &tape, WELL)
        }
        (None, Some(address)) => {
            loop {
                let listener = mosaik::listen(address).await.map_err(failed)?;
                if let Ok(address) = listener.local_addr() {
                    eprintln!("waiting for mosaik at {address}");
                }
                let accepted = tokio::select! {
                    biased;
                    () = interrupt.wait() => return Err(interrupted()),
                    accepted = listener.accept() => accepted,
                };
                let (stream, _) = accepted.map_err(|error| Ended::Failed(format!("{address}: {error}")))?;
                let _ = stream.set_nodelay(true);
                // the next program of the scenario may wait at the same address
                drop(listener);
                let mut served = mosaik::serve(stream, &simulator, interrupt.clone()).await;
                joining.leave(served.coupling.as_mut()).await;
                // somebody who only looked whether there is a listener is no mosaik
                let looked = matches!(served.result, Err(ServeError::Lost(_)));
                let again = args.keep || (looked && served.coupling.is_none());
                match finish(served, &tape, WELL) {
                    Err(Ended::Failed(message)) if again => tracing::warn!("{message}"),
                    Err(ended) => return Err(ended),
                    Ok(()) if again => {}
                    Ok(()) => return Ok(()),
                }
            }
        }
        (None, None) => Err(Ended::Usage("say where mosaik is: HOST:PORT, or --listen HOST:PORT".into())),
    }
}

/// Parameters of the command line, overridden by those of the scenario.
#[cfg(feature = "mosaik")]
fn with(given: &Value, told: &Value) -> Value {
    let mut entries: Vec<_> = told.as_map().unwrap_or_default().to_vec();
    for (name, value) in given.as_map().unwrap_or_default() {
        if !entries.iter().any(|(known, _)| known == name) {
            entries.push((name.clone(), value.clone()));
        }
    }
    Value::Map(entries)
}

/// Ends the recording of a run under a simulator, and says what became of it.
#[cfg(any(feature = "mosaik", feature = "serve"))]
pub(super) fn finish(served: Served, tape: &Tape, well: &str) -> Result<(), Ended> {
    let mut written = Ok(());
    if let Some(coupling) = &served.coupling {
        let kernel = coupling.container().kernel();
        tell_missed(kernel, tape);
        written = tape.finish(kernel, &ended(&served.result, well));
        let (steps, _) = coupling.counts();
        if !tape.is_quiet() {
            eprintln!("{}", Summary::of(kernel, kernel.config().start, served.wall).steps(steps));
        }
    }
    match served.result {
        Ok(()) => written.map_err(|error| Ended::Failed(format!("the recording: {error}"))),
        Err(ServeError::Interrupted) => Err(interrupted()),
        Err(error) => Err(Ended::Failed(error.to_string())),
    }
}
