//! A run on the network: its flags.

#[cfg(any(feature = "mosaik", feature = "serve"))]
use std::cell::RefCell;
use std::io::Write;
use std::rc::Rc;
use std::time::Duration;

use clap::Args;

use super::App;
use super::cli::span;
use super::run::Ended;
use crate::agent::{Container, local};
use crate::channel::Endpoint;
#[cfg(feature = "tls")]
use crate::channel::transport::{Tls, TlsFloor};
use crate::clock::Live;
use crate::codec::Codec;
use crate::container::{AllowList, Later, Node, Recorded};
#[cfg(any(feature = "mosaik", feature = "serve"))]
use crate::coupling::{Coupling, Join};
use crate::replay::Tape;

#[derive(Clone, Debug, Args)]
pub(super) struct Network {
    /// Lets agents be called, and call others: tcp://host:port, ipc://[path] or local://name. A line on stdout,
    /// `listening at tcp://127.0.0.1:40123`, tells the real address
    #[arg(long, value_name = "URL", value_parser = url)]
    bind: Option<String>,
    /// Where others find it, if that is not where it listens; port 0 stands for the one it listens on
    #[arg(long, value_name = "URL", requires = "bind", value_parser = url)]
    advertise: Option<String>,
    /// How messages are written, the same for all: json, msgpack or blosc
    #[arg(long, value_name = "CODEC", default_value_t)]
    pub(super) codec: Codec,
    /// Encrypts TCP: files of the authority's certificate, the own one, and its key (see `isochrone cert`)
    #[cfg(feature = "tls")]
    #[arg(long, value_name = "CA,CERT,KEY", requires = "bind")]
    tls: Option<String>,
    /// The oldest version of TLS that is spoken: 1.2 (all that aiomas knows) or 1.3
    #[cfg(feature = "tls")]
    #[arg(long, value_name = "VERSION", default_value = "1.2", requires = "tls")]
    min_tls: TlsFloor,
    /// Lets plain TCP listen beyond this machine: everybody who gets there may call everything
    #[arg(long)]
    pub(super) insecure_bind: bool,
    /// Lets peers of this identity call these paths, and nobody anything else: dns:*.example.org=agents/*/bid; can be repeated
    #[arg(long, value_name = "IDENTITY=PATH", requires = "bind", value_parser = rule)]
    allow: Vec<(String, String)>,
    /// How long what was accepted may take at the end
    #[arg(long, value_name = "SPAN", default_value = "5s", value_parser = span, requires = "bind")]
    pub(super) grace: Duration,
}

/// Checked here, for it is the command line that is wrong.
pub(super) fn url(text: &str) -> Result<String, String> {
    text.parse::<Endpoint>().map(|_| text.into()).map_err(|error| error.to_string())
}

fn rule(text: &str) -> Result<(String, String), String> {
    // an identity may hold `=`, a path does not
    let (identity, path) =
        text.rsplit_once('=').ok_or_else(|| format!("{text:?} is no rule: write IDENTITY=PATH"))?;
    Ok((identity.into(), path.into()))
}

impl Network {
    /// What the flags stand for: the files are read that they name, unless the run is replayed, which needs no network.
    #[cfg_attr(
        not(feature = "tls"),
        expect(unused_variables, clippy::unnecessary_wraps, reason = "no files")
    )]
    pub(super) fn access(&self, is_replayed: bool) -> Result<Access, Ended> {
        #[cfg(feature = "tls")]
        let tls = match &self.tls {
            Some(files) if !is_replayed => {
                let wrong = |error| Ended::Usage(format!("--tls {files}: {error}"));
                Some(Tls::from_list(files, self.min_tls).map_err(wrong)?)
            }
            _ => None,
        };
        Ok(Access {
            flags: self.clone(),
            #[cfg(feature = "tls")]
            tls,
            numbers: false,
            says: "listening at",
        })
    }

    /// At another address than was recorded.
    pub(super) fn rebind(&mut self, url: Option<&String>) {
        if let Some(url) = url {
            self.bind = Some(url.clone());
        }
    }

    /// Whether it is on the network at all.
    pub(super) fn is_bound(&self) -> bool {
        self.bind.is_some()
    }
}

/// What a container gets on the network with.
#[derive(Clone, Debug)]
pub(super) struct Access {
    flags: Network,
    #[cfg(feature = "tls")]
    tls: Option<Tls>,
    /// Whether agents are known by their numbers.
    pub(super) numbers: bool,
    /// The words before its address on stdout.
    pub(super) says: &'static str,
}

impl Access {
    /// Where to listen: a run that goes on has the port that it had, for its peers look for it there.
    fn address(&self, bind: &str, world: &Container) -> String {
        let before = world.enter(local::shared::<Later>).and_then(|later| later.bound.clone());
        match (bind.parse(), before) {
            (Ok(Endpoint::Tcp { host, port: 0 }), Some(Endpoint::Tcp { port, .. }))
                if self.flags.advertise.is_none() =>
            {
                Endpoint::Tcp { host, port }.to_string()
            }
            _ => bind.into(),
        }
    }

    /// Puts the container on the network, if it is to be there.
    pub(super) async fn join(
        &self,
        app: &App,
        world: &Container,
        live: &Live,
        tape: &Tape,
    ) -> Result<Option<Node>, String> {
        let (flags, numbers) = (&self.flags, self.numbers);
        let Some(address) = &flags.bind else { return Ok(None) };
        if tape.is_playing() {
            // what came and went over the network is in the recording
            let (bound, connections) = tape.network();
            let bound: Option<Endpoint> = bound.and_then(|text| text.parse().ok());
            let local = || Endpoint::Local { name: world.kernel().config().name.clone() };
            let later = Rc::new(Later::new(bound.clone(), connections));
            world.kernel().provide(later.clone());
            world.kernel().provide(Recorded::outside(bound.unwrap_or_else(local), numbers, later));
            return Ok(None);
        }
        let address = &self.address(address, world);
        let mut binding = (app.network)(world.bind(address))
            .numbers(numbers)
            .codec(flags.codec)
            .listen(|options| options.insecure_bind |= flags.insecure_bind);
        if let Some(advertise) = &flags.advertise {
            binding = binding.advertise(advertise);
        }
        #[cfg(feature = "tls")]
        if let Some(tls) = &self.tls {
            binding = binding.tls(tls.clone());
        }
        if !flags.allow.is_empty() {
            let list = flags.allow.iter().fold(AllowList::new(), |list, (who, what)| list.rule(who, what));
            binding = binding.allow(list);
        }
        let node = binding.serve(live).await.map_err(|error| error.to_string())?;
        // one line, and at once: scripts wait for it
        let mut stdout = std::io::stdout();
        let told = writeln!(stdout, "{} {}", self.says, node.endpoint()).and_then(|()| stdout.flush());
        told.map_err(|error| format!("the address could not be printed: {error}"))?;
        Ok(Some(node))
    }
}

/// The network of runs that begin when a simulator says so.
#[cfg(any(feature = "mosaik", feature = "serve"))]
pub(super) struct Joining {
    node: Rc<RefCell<Option<Node>>>,
    grace: Duration,
}

#[cfg(any(feature = "mosaik", feature = "serve"))]
impl Joining {
    /// What a run joins by, and what lets it leave.
    pub(super) fn new(app: &Rc<App>, access: Access, tape: &Tape) -> (Self, Join) {
        let joining = Joining { node: Rc::default(), grace: access.flags.grace };
        let shared = Rc::new((app.clone(), tape.clone(), joining.node.clone(), access));
        let join = Join::new(move |world, live| {
            let shared = shared.clone();
            Box::pin(async move {
                let (app, tape, node, access) = &*shared;
                node.replace(access.join(app, world, live, tape).await?);
                Ok(())
            })
        });
        (joining, join)
    }

    /// Leaves when the run is over; whoever still waits hears that it is.
    pub(super) async fn leave(&self, coupling: Option<&mut Coupling>) {
        if let Some(coupling) = coupling {
            coupling.close();
        }
        let node = self.node.take();
        if let Some(node) = node {
            node.shutdown(self.grace).await;
        }
    }
}
