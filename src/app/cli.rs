//! The flags.

use std::ffi::OsString;
use std::time::Duration;

use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand};
use isochrone_sim::{Epoch, Policy, Time, parse_span};

use super::App;
use crate::coupling::Mode;
#[cfg(feature = "mosaik")]
use crate::coupling::mosaik::{Api, Kind};
#[cfg(feature = "serve")]
use crate::{channel::Endpoint, codec::Codec, coupling::rpc::OwnerLoss};

#[derive(Debug, Parser)]
pub(super) struct Cli {
    #[command(subcommand)]
    pub(super) command: Command,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Runs the scenario in simulated time, as fast as possible
    Sim(Sim),
    /// Runs the scenario on the wall clock, until Ctrl-C
    Live(Live),
    /// Runs as a simulator under mosaik, which starts it (`cmd`) or connects to it (`connect`)
    #[cfg(feature = "mosaik")]
    Mosaik(Mosaik),
    /// Runs under any simulator that can make an RPC: it connects and steps the agents
    #[cfg(feature = "serve")]
    Serve(Serve),
}

#[derive(Debug, Args)]
pub(super) struct Common {
    /// Seed of all random streams; default: the program's own, or 0
    #[arg(long)]
    pub(super) seed: Option<u64>,
    /// UTC date of time zero, as 2016-05-22 or 2016-05-22T06:00:00Z
    #[arg(long, value_name = "DATE", value_parser = epoch)]
    pub(super) start: Option<Epoch>,
    /// Permutes, by this seed, the order that the laws leave open: what breaks under a seed has a race
    #[arg(long, value_name = "SEED")]
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
}

#[derive(Debug, Args)]
pub(super) struct Sim {
    #[command(flatten)]
    pub(super) common: Common,
    /// Where to end: 1d, 15min, 1h30min, 90s
    #[arg(long, value_name = "SPAN", default_value = "1d", value_parser = time)]
    pub(super) until: Time,
    /// Keeps pace with the wall clock: simulated seconds per second
    #[arg(long, value_name = "FACTOR", value_parser = factor)]
    pub(super) pace: Option<f64>,
    /// With --pace: an error when the run is behind by more than this
    #[arg(long, value_name = "SPAN", requires = "pace", value_parser = span)]
    pub(super) strict: Option<Duration>,
}

#[derive(Debug, Args)]
pub(super) struct Live {
    #[command(flatten)]
    pub(super) common: Common,
    /// Where to end; default: at Ctrl-C
    #[arg(long, value_name = "SPAN", value_parser = time)]
    pub(super) until: Option<Time>,
    /// How far behind the wall the run may be before its clock jumps
    #[arg(long, value_name = "SPAN", default_value = "5s", value_parser = span)]
    pub(super) max_lag: Duration,
}

#[cfg(feature = "mosaik")]
#[derive(Debug, Args)]
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
}

#[cfg(feature = "serve")]
#[derive(Debug, Args)]
pub(super) struct Serve {
    #[command(flatten)]
    pub(super) common: Common,
    /// Where the simulator connects to; port 0 takes a free one. The first line on stdout, `listening at tcp://127.0.0.1:40123`,
    /// tells the real address
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:0", value_parser = endpoint)]
    pub(super) listen: Endpoint,
    /// Lets it listen beyond this machine: whoever can connect can step the agents
    #[arg(long)]
    pub(super) insecure_bind: bool,
    /// How requests are written: json, msgpack or blosc
    #[arg(long, default_value_t)]
    pub(super) codec: Codec,
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
}

pub(super) fn parse(
    app: &App,
    args: impl IntoIterator<Item: Into<OsString> + Clone>,
) -> Result<Cli, clap::Error> {
    // clap wants names that live as long as the program; there is one per process
    let name: &'static str = Box::leak(app.name.clone().into_boxed_str());
    let command = Cli::command().name(name).bin_name(name).about(app.about.clone()).subcommand_required(true);
    Cli::from_arg_matches(&command.try_get_matches_from(args)?)
}

fn time(text: &str) -> Result<Time, String> {
    text.parse::<Time>().map_err(|error| error.to_string())
}

#[cfg(feature = "serve")]
fn endpoint(text: &str) -> Result<Endpoint, String> {
    let text = if text.contains("://") { text.to_string() } else { format!("tcp://{text}") };
    text.parse::<Endpoint>().map_err(|error| error.to_string())
}

fn span(text: &str) -> Result<Duration, String> {
    parse_span(text).map_err(|error| error.to_string())
}

fn epoch(text: &str) -> Result<Epoch, String> {
    Epoch::parse(text).map_err(|error| error.to_string())
}

fn factor(text: &str) -> Result<f64, String> {
    let factor: f64 = text.parse().map_err(|_| format!("{text:?} is no number"))?;
    if factor.is_finite() && factor > 0.0 { Ok(factor) } else { Err("the factor must be positive".into()) }
}

fn policy(text: &str) -> Result<Policy, String> {
    match text {
        "stop" => Ok(Policy::Stop),
        "restart" => Ok(Policy::Restart { backoff: Duration::from_secs(1), max: 8 }),
        "escalate" => Ok(Policy::Escalate),
        _ => Err(format!("{text:?} is no policy: write stop, restart or escalate")),
    }
}
