//! The flags.

use std::ffi::OsString;
use std::ops::Range;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand};
use isochrone_sim::{Epoch, Policy, Time, parse_span};

use super::App;
use super::network::Network;
#[cfg(any(feature = "mosaik", feature = "serve"))]
use crate::coupling::Mode;
#[cfg(feature = "mosaik")]
use crate::coupling::mosaik::{Api, Kind};
use crate::journal::{Fsync, Level, OnFailure};
use crate::replay::Fault;
#[cfg(feature = "serve")]
use crate::{channel::Endpoint, coupling::rpc::OwnerLoss};

#[derive(Debug, Parser)]
pub(super) struct Cli {
    #[command(subcommand)]
    pub(super) command: Command,
    /// the command line without the program's name
    #[arg(skip)]
    pub(super) arguments: Vec<String>,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Runs the scenario in simulated time, as fast as possible
    Sim(Sim),
    /// Runs the scenario on the wall clock, until Ctrl-C
    Live(Live),
    /// Runs under a master in another process, a program of aiomas or of ours, which creates agents by the manager at
    /// URL/0 and moves their time
    #[cfg(feature = "manager")]
    Worker(Worker),
    /// Runs a recorded run again, without a network and without a simulator, and compares: exit code 0 the same, 3 it
    /// differs, 4 the journal is damaged, 5 the program or its configuration is another one
    Replay(Replay),
    /// Replays a run up to an event and lets it go on from there with another seed: what would have happened? Of a run whose
    /// time the outside moves (live, worker, mosaik, serve) the recorded input is kept: what agents then ask the outside is
    /// answered if they asked it at that time in the recorded run, and refused (`NotRecorded`) if not
    Fork(Fork),
    /// Replays a run that was killed to the end of its recording, and goes on from there: with its next simulator (serve), its
    /// next master (worker), or on the wall clock (live)
    Resume(Resume),
    /// Compares two journals: exit code 0 the same, 3 the first difference with what is around it
    Diff(Diff),
    /// Runs the scenario, or a recorded run, again and again with each seed, and names the agent and the event at which a run
    /// differs from another with the same seed: exit code 3
    Verify(Verify),
    /// Searches seeds and faults for a run of the scenario, or of a recording's inputs, that fails: exit code 3 and the line
    /// that repeats it
    Explore(Explore),
    /// Makes a failing run smaller: drops the faults, the calls and requests from outside, and the agents that it does not need
    Shrink(Shrink),
    /// Runs as a simulator under mosaik, which starts it (`cmd`) or connects to it (`connect`)
    #[cfg(feature = "mosaik")]
    Mosaik(Mosaik),
    /// Runs under any simulator that can make an RPC: it connects and steps the agents
    #[cfg(feature = "serve")]
    Serve(Serve),
}

impl Command {
    /// What to log.
    pub(super) fn log(&self) -> &str {
        match self {
            Command::Sim(args) => &args.common.log,
            Command::Live(args) => &args.common.log,
            #[cfg(feature = "manager")]
            Command::Worker(args) => &args.common.log,
            #[cfg(feature = "mosaik")]
            Command::Mosaik(args) => &args.common.log,
            #[cfg(feature = "serve")]
            Command::Serve(args) => &args.common.log,
            Command::Replay(args) => &args.log,
            Command::Fork(args) => &args.log,
            Command::Resume(args) => &args.log,
            Command::Diff(_) => "warn",
            Command::Verify(args) => &args.sim.common.log,
            Command::Explore(args) => &args.sim.common.log,
            Command::Shrink(args) => &args.log,
        }
    }
}

#[derive(Clone, Debug, Args)]
pub(super) struct Common {
    /// Seed of all random streams; default: the program's own, or 0
    #[arg(long, allow_hyphen_values = true, value_parser = seed)]
    pub(super) seed: Option<u64>,
    /// UTC date of time zero, as 2016-05-22 or 2016-05-22T06:00:00Z
    #[arg(long, value_name = "DATE", value_parser = epoch)]
    pub(super) start: Option<Epoch>,
    /// Permutes, by this seed, the order that the laws leave open: what breaks under a seed has a race
    #[arg(long, value_name = "SEED", allow_hyphen_values = true, value_parser = seed)]
    pub(super) shuffle: Option<u64>,
    /// What to log to stderr: error, warn, info, debug, trace, or per module (isochrone::coupling=debug)
    #[arg(long, value_name = "FILTER", default_value = "warn")]
    pub(super) log: String,
    /// What to do with a failing agent: stop it, restart it by its constructor, or escalate (end the run)
    #[arg(long, value_name = "POLICY", value_parser = policy)]
    pub(super) policy: Option<Policy>,
    /// A parameter of the scenario, as name=value; can be repeated
    #[arg(long = "param", value_name = "NAME=VALUE")]
    pub(super) params: Vec<String>,
    /// Does something to an agent: WHEN:AGENT:crash, :err, :pause:SPAN or :restart:SPAN; can be repeated
    #[arg(long = "fault", value_name = "FAULT")]
    pub(super) faults: Vec<Fault>,
    /// Leaves an agent out: it is gone as soon as it has been created; can be repeated
    #[arg(long, value_name = "AGENT")]
    pub(super) without: Vec<String>,
    #[command(flatten)]
    pub(super) record: Record,
}

#[derive(Clone, Debug, Args)]
pub(super) struct Record {
    /// Records the run into this journal: `replay` runs it again
    #[arg(long = "record", value_name = "FILE")]
    pub(super) path: Option<PathBuf>,
    /// How much is recorded: inputs (enough to replay), events (the default: a difference is named where it happens),
    /// full (with all values)
    #[arg(long = "record-level", value_name = "LEVEL", default_value = "events", requires = "path")]
    pub(super) level: Level,
    /// When the journal is forced to the disk: never, step or always
    #[arg(long, value_name = "WHEN", value_parser = fsync, requires = "path")]
    pub(super) fsync: Option<Fsync>,
    /// What happens when the journal cannot be written, as on a full disk: stop (the run ends with an error) or go-on
    /// (unrecorded from there on, which is said)
    #[arg(long, value_name = "WHAT", default_value = "stop", value_parser = on_failure, requires = "path")]
    pub(super) when_full: OnFailure,
}

#[cfg(feature = "manager")]
#[derive(Debug, Args)]
#[command(mut_arg("bind", |bind| bind.required(true)))]
#[command(mut_args(needs_bind))]
pub(super) struct Worker {
    #[command(flatten)]
    pub(super) common: Common,
    #[command(flatten)]
    pub(super) network: Network,
    /// Where the clock stands at first: seconds, as aiomas counts them (-1), or a span (15min)
    #[arg(long, value_name = "TIME", default_value = "0", allow_hyphen_values = true, value_parser = moment)]
    pub(super) init_time: Time,
    /// Ends with the standard input: when the process that has started this one is gone
    #[arg(long)]
    pub(super) with_parent: bool,
}

#[cfg(feature = "manager")]
fn moment(text: &str) -> Result<Time, String> {
    match text.parse::<f64>() {
        Ok(seconds) => crate::manager::Moment::Seconds(seconds).time().map_err(|error| error.to_string()),
        Err(_) => time(text),
    }
}

#[derive(Debug, Args)]
pub(super) struct Replay {
    /// The journal
    pub(super) path: PathBuf,
    /// Stops at the first event after this time, and says what it is
    #[arg(long, value_name = "SPAN", value_parser = time)]
    pub(super) until: Option<Time>,
    /// Stops at this event, and says what it is
    #[arg(long, value_name = "EVENT")]
    pub(super) break_at: Option<u64>,
    /// The program is another one on purpose: only what leaves the run is compared, not how agents came to it
    #[arg(long)]
    pub(super) against: bool,
    /// Replays even if the program or its configuration is another one
    #[arg(long)]
    pub(super) force: bool,
    /// What to log to stderr
    #[arg(long, value_name = "FILTER", default_value = "warn")]
    pub(super) log: String,
}

#[derive(Clone, Debug, Args)]
#[command(mut_args(needs_bind))]
pub(super) struct Sim {
    #[command(flatten)]
    pub(super) common: Common,
    /// Where to end: 1d, 15min, 1h30min, 90s
    #[arg(long, value_name = "SPAN", default_value = "1d", allow_hyphen_values = true, value_parser = time)]
    pub(super) until: Time,
    /// Keeps pace with the wall clock: simulated seconds per second
    #[arg(long, value_name = "FACTOR", value_parser = factor)]
    pub(super) pace: Option<f64>,
    /// With --pace: an error when the run is behind by more than this
    #[arg(long, value_name = "SPAN", requires = "pace", value_parser = span)]
    pub(super) strict: Option<Duration>,
    #[command(flatten)]
    pub(super) network: Network,
    /// An error if whoever waits for an answer at this time still waits for it at the end
    #[arg(long, value_name = "SPAN", value_parser = time)]
    pub(super) progress_since: Option<Time>,
}

#[derive(Debug, Args)]
pub(super) struct Fork {
    /// The journal
    pub(super) path: PathBuf,
    /// The event before which the run parts
    #[arg(long, value_name = "EVENT")]
    pub(super) at: u64,
    /// Seed of what is drawn from there on, and of the order if that is shuffled
    #[arg(long, allow_hyphen_values = true, value_parser = seed)]
    pub(super) seed: u64,
    /// Where the journal of the fork goes
    #[arg(long, value_name = "FILE")]
    pub(super) record: PathBuf,
    /// Also if the program or its configuration is another one
    #[arg(long)]
    pub(super) force: bool,
    /// What to log to stderr
    #[arg(long, value_name = "FILTER", default_value = "warn")]
    pub(super) log: String,
}

#[derive(Debug, Args)]
pub(super) struct Resume {
    /// The journal, which is continued
    pub(super) path: PathBuf,
    /// Where its agents are called from now on; default: where they were
    #[arg(long, value_name = "URL", value_parser = super::network::url)]
    pub(super) bind: Option<String>,
    /// Where its next simulator connects to (`serve`); default: as it was recorded
    #[cfg(feature = "serve")]
    #[arg(long, value_name = "HOST:PORT", value_parser = endpoint)]
    pub(super) listen: Option<Endpoint>,
    /// Also if the program or its configuration is another one
    #[arg(long)]
    pub(super) force: bool,
    /// What to log to stderr
    #[arg(long, value_name = "FILTER", default_value = "warn")]
    pub(super) log: String,
}

#[derive(Debug, Args)]
pub(super) struct Diff {
    /// One journal
    pub(super) first: PathBuf,
    /// The other
    pub(super) second: PathBuf,
}

#[derive(Clone, Debug, Args)]
pub(super) struct Verify {
    #[command(flatten)]
    pub(super) sim: Sim,
    /// Which seeds, as 0..64: of the random streams and of the order that the laws leave open
    #[arg(long, value_name = "FROM..TO", default_value = "0..64", value_parser = seeds)]
    pub(super) seeds: Range<u64>,
    /// The recorded run that is repeated, with the inputs that it had: for programs that a simulator, a master or the wall's
    /// clock drives. Its own command line counts
    #[arg(long, value_name = "FILE")]
    pub(super) journal: Option<PathBuf>,
    /// How often each seed is run
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u32).range(2..))]
    pub(super) times: u32,
}

#[derive(Clone, Debug, Args)]
pub(super) struct Explore {
    #[command(flatten)]
    pub(super) sim: Sim,
    /// Which seeds, as 0..10000: of the random streams and of the order that the laws leave open
    #[arg(long, value_name = "FROM..TO", default_value = "0..1000", value_parser = seeds)]
    pub(super) seeds: Range<u64>,
    /// The recorded run that is searched, with the inputs that it had: for programs that a simulator, a master or the wall's
    /// clock drives. Its own command line counts
    #[arg(long, value_name = "FILE", conflicts_with = "liveness")]
    pub(super) journal: Option<PathBuf>,
    /// Lets faults happen to agents: which kinds, how many, when and whom is drawn for each run
    #[arg(long)]
    pub(super) swarm: bool,
    /// After --until, without faults, for so long: whoever waits by then and still waits at the end makes no progress
    #[arg(long, value_name = "SPAN", value_parser = span)]
    pub(super) liveness: Option<Duration>,
    /// Programs that search at the same time
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=64))]
    pub(super) jobs: u32,
    /// Goes on after the first failure
    #[arg(long)]
    pub(super) keep_going: bool,
    /// Where the journals of failing runs go
    #[arg(long, value_name = "FOLDER", default_value = "target/explore")]
    pub(super) keep: PathBuf,
    /// Tells its findings to the program that has started it
    #[arg(long, hide = true)]
    pub(super) worker: bool,
}

#[derive(Debug, Args)]
pub(super) struct Shrink {
    /// The journal of a run that has failed
    pub(super) path: PathBuf,
    /// Where the journal of the smaller run goes; default: beside it, as NAME.min.jrn
    #[arg(long, value_name = "FILE")]
    pub(super) to: Option<PathBuf>,
    /// What to log to stderr
    #[arg(long, value_name = "FILTER", default_value = "error")]
    pub(super) log: String,
}

#[derive(Debug, Args)]
#[command(mut_args(needs_bind))]
pub(super) struct Live {
    #[command(flatten)]
    pub(super) common: Common,
    /// Where to end; default: at Ctrl-C
    #[arg(long, value_name = "SPAN", allow_hyphen_values = true, value_parser = time)]
    pub(super) until: Option<Time>,
    /// How far behind the wall the run may be before its clock jumps
    #[arg(long, value_name = "SPAN", default_value = "5s", value_parser = span)]
    pub(super) max_lag: Duration,
    #[command(flatten)]
    pub(super) network: Network,
}

#[cfg(feature = "mosaik")]
#[derive(Debug, Args)]
#[command(mut_args(needs_bind))]
pub(super) struct Mosaik {
    #[command(flatten)]
    pub(super) common: Common,
    /// Where mosaik listens: its `cmd` gives %(addr)s
    #[arg(value_name = "HOST:PORT", required_unless_present = "listen", conflicts_with = "listen")]
    pub(super) connect: Option<String>,
    /// Waits here for mosaik to connect (`connect`), and serves one run
    #[arg(long, value_name = "HOST:PORT")]
    pub(super) listen: Option<String>,
    /// With --listen: serves run after run
    // not `requires = "listen"`: clap drops that where HOST:PORT conflicts with it
    #[arg(long, conflicts_with = "connect")]
    pub(super) keep: bool,
    /// How far agents run in a step: exact, window=15min, or ahead
    #[arg(long)]
    pub(super) mode: Option<Mode>,
    /// How mosaik schedules this simulator: hybrid, time-based or event-based
    #[arg(long = "type", value_name = "TYPE")]
    pub(super) kind: Option<Kind>,
    /// With --type event-based: the scenario calls `world.set_initial_event`, so events may be pending at its start
    #[arg(long)]
    pub(super) initial_event: bool,
    /// Version of mosaik's simulator interface: 3.0 or 2.2
    #[arg(long, value_name = "VERSION")]
    pub(super) api: Option<Api>,
    #[command(flatten)]
    pub(super) network: Network,
}

#[cfg(feature = "serve")]
#[derive(Debug, Args)]
#[command(mut_arg("codec", |codec| codec.help(
    "How requests are written, and messages of agents to others: json, msgpack or blosc"
)))]
#[command(mut_arg("insecure_bind", |insecure| insecure.help(
    "Lets plain TCP listen beyond this machine: whoever gets there can step the agents, and with --bind call them"
)))]
#[command(mut_arg("bind", |bind| bind.help(
    "Lets agents be called, and call others, besides: tcp://host:port, ipc://[path] or local://name. For each run a line \
     on stdout, `agents at tcp://127.0.0.1:40123`, tells the real address"
)))]
pub(super) struct Serve {
    #[command(flatten)]
    pub(super) common: Common,
    /// Where the simulator connects to; port 0 takes a free one. The first line on stdout, `listening at tcp://127.0.0.1:40123`,
    /// tells the real address
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:0", value_parser = endpoint)]
    pub(super) listen: Endpoint,
    /// Serves run after run
    #[arg(long)]
    pub(super) keep: bool,
    /// When the simulator that steps the agents is gone without `stop`: stop (the program fails), or wait for the next one,
    /// which goes on from there
    #[arg(long, value_name = "stop|wait", default_value = "stop")]
    pub(super) on_owner_loss: OwnerLoss,
    /// How far agents run in a step: exact, window=15min, or ahead
    #[arg(long)]
    pub(super) mode: Option<Mode>,
    #[command(flatten)]
    pub(super) network: Network,
}

/// What all runs have, of the command line of one.
pub(super) fn common(app: &App, arguments: &[String]) -> Result<Common, String> {
    let wrong = |error: clap::Error| format!("the recorded command line is no longer understood: {error}");
    match parse(app, arguments).map_err(wrong)?.command {
        Command::Sim(args) => Ok(args.common),
        Command::Live(args) => Ok(args.common),
        #[cfg(feature = "manager")]
        Command::Worker(args) => Ok(args.common),
        #[cfg(feature = "mosaik")]
        Command::Mosaik(args) => Ok(args.common),
        #[cfg(feature = "serve")]
        Command::Serve(args) => Ok(args.common),
        _ => Err("the recorded command line is no run".into()),
    }
}

/// What is of no use without a network.
fn needs_bind(arg: clap::Arg) -> clap::Arg {
    match arg.get_id().as_str() {
        "codec" | "insecure_bind" => arg.requires("bind"),
        _ => arg,
    }
}

pub(super) fn parse(
    app: &App,
    args: impl IntoIterator<Item: Into<OsString> + Clone>,
) -> Result<Cli, clap::Error> {
    // clap wants names that live as long as the program; there is one per process
    let name: &'static str = Box::leak(app.name.clone().into_boxed_str());
    let command = Cli::command().name(name).bin_name(name).about(app.about.clone()).subcommand_required(true);
    let args: Vec<OsString> = args.into_iter().map(Into::into).collect();
    let arguments = args.iter().skip(1).map(|argument| argument.to_string_lossy().into_owned()).collect();
    Ok(Cli { arguments, ..Cli::from_arg_matches(&command.try_get_matches_from(args)?)? })
}

fn seeds(text: &str) -> Result<Range<u64>, String> {
    let wrong = || format!("{text:?} are no seeds: write FROM..TO, as 0..64");
    let (from, to) = text.split_once("..").ok_or_else(wrong)?;
    let (from, to) = (from.parse().map_err(|_| wrong())?, to.parse().map_err(|_| wrong())?);
    if from < to { Ok(from..to) } else { Err(wrong()) }
}

fn seed(text: &str) -> Result<u64, String> {
    text.parse().map_err(|_| format!("{text:?} is no seed: write a whole number from 0 to {}", u64::MAX))
}

fn fsync(text: &str) -> Result<Fsync, String> {
    match text {
        "never" => Ok(Fsync::Never),
        "step" => Ok(Fsync::Step),
        "always" => Ok(Fsync::Always),
        _ => Err(format!("{text:?} is no time to sync: write never, step or always")),
    }
}

fn on_failure(text: &str) -> Result<OnFailure, String> {
    match text {
        "stop" => Ok(OnFailure::Stop),
        "go-on" => Ok(OnFailure::GoOn),
        _ => Err(format!("{text:?} is not what can be done: write stop or go-on")),
    }
}

fn time(text: &str) -> Result<Time, String> {
    text.parse::<Time>().map_err(|error| error.to_string())
}

#[cfg(feature = "serve")]
fn endpoint(text: &str) -> Result<Endpoint, String> {
    let text = if text.contains("://") { text.to_string() } else { format!("tcp://{text}") };
    text.parse::<Endpoint>().map_err(|error| error.to_string())
}

pub(super) fn span(text: &str) -> Result<Duration, String> {
    parse_span(text).map_err(|error| error.to_string())
}

fn epoch(text: &str) -> Result<Epoch, String> {
    Epoch::parse(text).map_err(|error| error.to_string())
}

fn factor(text: &str) -> Result<f64, String> {
    let factor: f64 = text.parse().map_err(|_| format!("{text:?} is no number"))?;
    if factor.is_finite() && factor > 0.0 { Ok(factor) } else { Err("the factor must be positive".into()) }
}

/// As [`policy`] reads it.
pub(super) fn policy_text(policy: Policy) -> &'static str {
    match policy {
        Policy::Stop => "stop",
        Policy::Restart { .. } => "restart",
        _ => "escalate",
    }
}

fn policy(text: &str) -> Result<Policy, String> {
    match text {
        "stop" => Ok(Policy::Stop),
        "restart" => Ok(Policy::Restart { backoff: Duration::from_secs(1), max: 8 }),
        "escalate" => Ok(Policy::Escalate),
        _ => Err(format!("{text:?} is no policy: write stop, restart or escalate")),
    }
}
