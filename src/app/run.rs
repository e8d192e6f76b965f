//! The runs behind the flags.

use std::process::ExitCode;
use std::time::Instant;

use isochrone_sim::{Config, Outcome, Time};

use super::cli::{Cli, Command, Common, Live, Sim};
use super::progress::Progress;
use super::summary::Summary;
use super::{App, params};
use crate::agent::Container;
use crate::clock::{FreeRun, Interrupt, Paced, RunError, Wall};
use crate::codec::Value;
#[cfg(feature = "mosaik")]
use crate::coupling::mosaik;

const FAILED: u8 = 1;
const INTERRUPTED: u8 = 130;

pub(super) fn run(app: App, cli: Cli) -> ExitCode {
    let common = match &cli.command {
        Command::Sim(sim) => &sim.common,
        Command::Live(live) => &live.common,
        #[cfg(feature = "mosaik")]
        Command::Mosaik(mosaik) => &mosaik.common,
        #[cfg(feature = "serve")]
        Command::Serve(serve) => &serve.common,
    };
    if let Err(message) = start_log(&common.log) {
        eprintln!("error: {message}");
        return ExitCode::from(2);
    }
    let config = configure(app.config.clone(), common);
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("error: the runtime could not be started: {error}");
            return ExitCode::from(FAILED);
        }
    };
    let local = tokio::task::LocalSet::new();
    let result = local.block_on(&runtime, async {
        let interrupt = Interrupt::default();
        watch_ctrl_c(interrupt.clone());
        match cli.command {
            Command::Sim(sim) => simulate(&app, config, &sim, interrupt).await,
            Command::Live(live) => go_live(&app, config, &live, interrupt).await,
            #[cfg(feature = "mosaik")]
            Command::Mosaik(args) => serve_mosaik(app, config, args, interrupt).await,
            #[cfg(feature = "serve")]
            Command::Serve(args) => super::serve::serve(app, config, args, interrupt).await,
        }
    });
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(Ended::Interrupted) => ExitCode::from(INTERRUPTED),
        Err(Ended::Failed(message)) => {
            eprintln!("error: {message}");
            ExitCode::from(FAILED)
        }
        Err(Ended::Usage(message)) => {
            eprintln!("error: {message}");
            ExitCode::from(2)
        }
    }
}

pub(super) enum Ended {
    Failed(String),
    Usage(String),
    Interrupted,
}

impl From<RunError> for Ended {
    fn from(error: RunError) -> Self {
        match error {
            RunError::Interrupted(at) => {
                eprintln!("interrupted at {at}");
                Ended::Interrupted
            }
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

fn configure(mut config: Config, common: &Common) -> Config {
    config.seed = common.seed.unwrap_or(config.seed);
    config.shuffle = common.shuffle.or(config.shuffle);
    config.epoch = common.start.unwrap_or(config.epoch);
    config.policy = common.policy.unwrap_or(config.policy);
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

fn build(app: &App, config: Config, params: &Value) -> Result<Container, Ended> {
    let world = Container::new(config).map_err(|error| Ended::Failed(error.to_string()))?;
    // here they come from the command line alone
    (app.prepare)(&world, params).map_err(Ended::Usage)?;
    set_up(app, &world).map_err(Ended::Failed)?;
    Ok(world)
}

pub(super) fn set_up(app: &App, world: &Container) -> Result<(), String> {
    for policy in &app.policies {
        policy(world);
    }
    world.enter(|| (app.build)(world)).map_err(|error| format!("the set-up failed: {error}"))
}

async fn simulate(app: &App, config: Config, args: &Sim, interrupt: Interrupt) -> Result<(), Ended> {
    let params = params::parse(&args.common.params).map_err(Ended::Usage)?;
    let world = build(app, config, &params)?;
    let (from, started) = (world.now(), Instant::now());
    let progress = Progress::new(from, args.until);
    let result = match args.pace {
        None => {
            FreeRun::new(interrupt).run(world.kernel(), args.until, |now| progress.show(now)).await.map(drop)
        }
        Some(factor) => {
            let mut paced = Paced::new(factor, interrupt);
            if let Some(allowed) = args.strict {
                paced = paced.strict(allowed);
            }
            let result = paced.run(world.kernel(), args.until, |now| progress.show(now)).await.map(drop);
            let lag = paced.lag();
            if lag.late > 0 {
                let worst = isochrone_sim::display_span(lag.worst);
                tracing::warn!("{} events were late, the worst by {worst}", lag.late);
            }
            result
        }
    };
    drop(progress);
    tell(&world, Summary::of(world.kernel(), from, started.elapsed()));
    Ok(result?)
}

async fn go_live(app: &App, mut config: Config, args: &Live, interrupt: Interrupt) -> Result<(), Ended> {
    let params = params::parse(&args.common.params).map_err(Ended::Usage)?;
    let epoch = args.common.start;
    Wall::configure(&mut config);
    config.epoch = epoch.unwrap_or(config.epoch);
    let world = build(app, config, &params)?;
    let (from, started) = (world.now(), Instant::now());
    let (wall, _live) = Wall::new(interrupt);
    let mut wall = wall.max_lag(args.max_lag);
    let result = wall.run(world.kernel(), args.until.unwrap_or(Time::MAX)).await;
    tell(&world, Summary::of(world.kernel(), from, started.elapsed()));
    Ok(result?)
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

#[cfg(feature = "mosaik")]
async fn serve_mosaik(
    app: App,
    config: Config,
    args: super::cli::Mosaik,
    interrupt: Interrupt,
) -> Result<(), Ended> {
    let models = app.types.iter().map(|kind| {
        let any_inputs = app.offer.any_inputs.contains(&kind.name);
        (kind.name.clone(), (kind.vtable, mosaik::ModelOptions { public: kind.public, any_inputs }))
    });
    let models = models.collect();
    let given = params::parse(&args.common.params).map_err(Ended::Usage)?;
    let app = std::rc::Rc::new(app);
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
        build: {
            let app = app.clone();
            std::rc::Rc::new(move |world, setup| {
                (app.prepare)(world, &with(&given, &setup.params))?;
                set_up(&app, world)
            })
        },
    };
    let failed = |error: mosaik::ServeError| Ended::Failed(error.to_string());
    match (&args.connect, &args.listen) {
        (Some(address), _) => {
            let stream = mosaik::connect(address).await.map_err(failed)?;
            finish(mosaik::serve(stream, &simulator, interrupt).await)
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
                let served = mosaik::serve(stream, &simulator, interrupt.clone()).await;
                // somebody who only looked whether there is a listener is no mosaik
                let again = args.keep || served.coupling.is_none();
                match finish(served) {
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

#[cfg(feature = "mosaik")]
fn finish(served: mosaik::Served) -> Result<(), Ended> {
    if let Some(coupling) = &served.coupling {
        let kernel = coupling.container().kernel();
        let (steps, _) = coupling.counts();
        let summary = Summary::of(kernel, Time::ZERO, served.wall).steps(steps);
        eprintln!("{summary}");
    }
    match served.result {
        Ok(()) => Ok(()),
        Err(mosaik::ServeError::Interrupted) => Err(interrupted()),
        Err(error) => Err(Ended::Failed(error.to_string())),
    }
}
