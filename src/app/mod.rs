//! The command line that every program with agents gets.
//!
//! Why: a scenario is written once and run in every way: simulated, live, under a co-simulator. So the program says what
//! its agents are and how they are set up, and [`App::main`] does the rest: flags, logs, progress, `Ctrl-C`, summary, exit
//! codes.
//!
//! | exit code | meaning |
//! |-----------|---------|
//! | 0   | the run came to its end |
//! | 1   | it failed: an agent escalated, a law was broken, mosaik was lost |
//! | 2   | the command line was wrong |
//! | 3   | a replayed run went on otherwise than it was recorded; what was searched for was found |
//! | 4   | a journal is damaged |
//! | 5   | a journal is of another program, or of another build or configuration of this one |
//! | 130 | `Ctrl-C` ended a simulated run early |

mod branch;
mod cli;
mod explore;
mod failure;
mod network;
mod params;
mod progress;
mod record;
mod replay;
mod run;
#[cfg(feature = "serve")]
mod serve;
mod shrink;
mod sieve;
mod summary;
mod trial;
mod verify;
#[cfg(feature = "manager")]
mod worker;

use std::error::Error;
use std::fmt;
use std::process::ExitCode;
use std::rc::Rc;

use isochrone_sim::{Config, Policy};
use serde::de::DeserializeOwned;

use crate::agent::{Agent, Container, Vtable};
use crate::codec::Value;
use crate::container::Binding;
use crate::coupling::Mode;
#[cfg(feature = "mosaik")]
use crate::coupling::mosaik;
pub use summary::Summary;

/// What a scenario's set-up returns.
pub type Built = Result<(), Box<dyn Error>>;

type Build = Rc<dyn Fn(&Container) -> Built>;
type Prepare = Rc<dyn Fn(&Container, &Value) -> Result<(), String>>;
type Bind = Rc<dyn Fn(Binding<'_>) -> Binding<'_>>;
type Policies = Vec<Rc<dyn Fn(&Container)>>;

/// A program with agents.
///
/// ```no_run
/// use isochrone::prelude::*;
///
/// struct Clock;
///
/// #[agent]
/// impl Clock {
///     #[every(seconds = 1)]
///     fn tick(&mut self, cx: &Ctx) {
///         println!("it is {}", cx.now());
///     }
/// }
///
/// fn main() -> ExitCode {
///     App::new("clocks").scenario(|world| { world.add("clock", Clock)?; Ok(()) }).main()
/// }
/// ```
#[must_use = "a program does nothing until `main` runs it"]
pub struct App {
    name: String,
    about: String,
    types: Vec<Type>,
    build: Build,
    prepare: Prepare,
    policies: Policies,
    config: Config,
    mode: Mode,
    network: Bind,
    #[cfg(feature = "mosaik")]
    offer: Offer,
}

#[cfg_attr(
    not(any(feature = "manager", feature = "mosaik", feature = "serve")),
    allow(dead_code, reason = "only others create agents by name")
)]
struct Type {
    name: String,
    vtable: &'static Vtable,
    #[cfg_attr(
        not(any(feature = "mosaik", feature = "serve")),
        allow(dead_code, reason = "a master may create all")
    )]
    public: bool,
}

/// What only mosaik wants to know.
#[cfg(feature = "mosaik")]
#[derive(Default)]
struct Offer {
    kind: mosaik::Kind,
    api: mosaik::Api,
    extra: std::collections::BTreeMap<String, mosaik::Extra>,
    any_inputs: Vec<String>,
    log_steps: bool,
    overrides: Option<Value>,
}

impl fmt::Debug for App {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "App({:?})", self.name)
    }
}

impl App {
    /// A program of this name; it is also the name of its container, and so part of every agent's identity.
    pub fn new(name: &str) -> Self {
        App {
            name: name.into(),
            about: format!("{name}: a program of agents"),
            types: Vec::new(),
            build: Rc::new(|_| Ok(())),
            prepare: Rc::new(params::none),
            policies: Vec::new(),
            config: Config::new(name),
            mode: Mode::default(),
            network: Rc::new(|binding| binding),
            #[cfg(feature = "mosaik")]
            offer: Offer::default(),
        }
    }

    /// The sentence that `--help` begins with.
    pub fn about(mut self, about: &str) -> Self {
        self.about = about.into();
        self
    }

    /// Makes a type of agents known under a name: to simulators, and to the masters of workers, which create such agents by
    /// their `#[constructor]`. A name is any text, Python's `package.module:Class` included.
    pub fn agent<A: Agent>(mut self, name: &str) -> Self {
        self.types.push(Type { name: name.into(), vtable: Vtable::of::<A>(), public: true });
        self
    }

    /// As [`agent`](App::agent), for agents that only other agents create: simulators see them as children.
    pub fn child<A: Agent>(mut self, name: &str) -> Self {
        self.types.push(Type { name: name.into(), vtable: Vtable::of::<A>(), public: false });
        self
    }

    /// What is there before the run begins. It is called once per run.
    pub fn scenario(mut self, build: impl Fn(&Container) -> Built + 'static) -> Self {
        self.build = Rc::new(build);
        self
    }

    /// The parameters of a run: `--param name=value` on the command line, the arguments of mosaik's `world.start`. The set-up
    /// reads them as `world.shared::<P>()`, agents as `cx.shared::<P>()`. A struct refuses names it does not have.
    pub fn params<P: DeserializeOwned + 'static>(mut self) -> Self {
        self.prepare = Rc::new(params::provide::<P>);
        self
    }

    /// What happens to agents that fail; default: the run ends. `--policy` overrides it.
    pub fn policy(mut self, policy: Policy) -> Self {
        self.config.policy = policy;
        self
    }

    /// What happens to agents of one type that fail, whatever the program's policy is.
    pub fn supervise<A: Agent>(mut self, policy: Policy) -> Self {
        self.policies.push(Rc::new(move |world| world.supervise::<A>(policy)));
        self
    }

    /// Changes the kernel's configuration: limits, start of the clock.
    pub fn configure(mut self, change: impl FnOnce(&mut Config)) -> Self {
        change(&mut self.config);
        self
    }

    /// Changes how a live run is put on the network: custom types, services beside the agents, an allow-list, limits. The command
    /// line's flags come after it.
    pub fn network(mut self, change: impl Fn(Binding<'_>) -> Binding<'_> + 'static) -> Self {
        self.network = Rc::new(change);
        self
    }

    /// How far agents run in a step under a simulator; `--mode` overrides it.
    pub fn mode(mut self, mode: Mode) -> Self {
        self.mode = mode;
        self
    }

    /// How mosaik schedules the program; `--type` overrides it.
    #[cfg(feature = "mosaik")]
    pub fn mosaik_type(mut self, kind: mosaik::Kind) -> Self {
        self.offer.kind = kind;
        self
    }

    /// A method that mosaik's scenarios may call on the simulator.
    #[cfg(feature = "mosaik")]
    pub fn extra(
        mut self,
        name: &str,
        method: impl Fn(&Container, crate::rpc::Args) -> Result<Value, crate::rpc::CallError> + 'static,
    ) -> Self {
        self.offer.extra.insert(name.into(), Rc::new(method));
        self
    }

    /// Keeps all steps for [`mosaik::StepLog`]: for tests and for looking into a run.
    #[cfg(feature = "mosaik")]
    pub fn log_steps(mut self) -> Self {
        self.offer.log_steps = true;
        self
    }

    /// Lets mosaik connect inputs that the model does not name.
    #[cfg(feature = "mosaik")]
    pub fn any_inputs(mut self, model: &str) -> Self {
        self.offer.any_inputs.push(model.into());
        self
    }

    /// Replaces entries of the description mosaik gets; dicts are merged.
    #[cfg(feature = "mosaik")]
    pub fn meta(mut self, overrides: Value) -> Self {
        self.offer.overrides = Some(overrides);
        self
    }

    /// Runs the program as its command line says.
    pub fn main(self) -> ExitCode {
        self.run(std::env::args_os())
    }

    /// Runs the program with a command line of the caller's; the first argument is its name.
    pub fn run(self, args: impl IntoIterator<Item: Into<std::ffi::OsString> + Clone>) -> ExitCode {
        match cli::parse(&self, args) {
            Ok(cli) => run::run(self, cli),
            Err(error) => {
                // clap's own: help and version are no failures
                let _ = error.print();
                ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2))
            }
        }
    }
}
