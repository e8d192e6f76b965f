//! A process to try other implementations of aiomas's protocol against: the commands, arguments and output of
//! `tests/peers/aiomas/aiomas_peer.py`, which is the real aiomas, made of Isochrone. Any of the two programs can take any
//! of the roles.
//!
//! ```text
//!   aiomas_peer server  ADDR                             RPC service: add, echo, fail, slow, call_back, get_sub, sub/whoami
//!   aiomas_peer client  ADDR PATH [ARGS [KWARGS]]        one call, prints {"result": ..} or {"exception": ..}
//!   aiomas_peer agents  ADDR [-n 3]                      container with n agents, prints their addresses
//!   aiomas_peer connect ADDR URL METHOD [ARGS]           container at ADDR calls an agent elsewhere
//!   aiomas_peer manager ADDR [--start DATE]              container that a master drives, which spawns "aiomas_peer:Ag"
//!
//!   cargo run --example aiomas_peer -- agents localhost:5555 --codec msgpack
//! ```
//!
//! ADDR is `host:port`, or the path of a Unix socket; ARGS and KWARGS are JSON. `--codec json|msgpack|blosc`; `--tls
//! CA,CERT,KEY` names three files in PEM; `--pass-self` makes the calling agent the first argument. Servers print READY when
//! they listen.

use std::error::Error;
use std::time::Duration;

use clap::{Parser, ValueEnum};
use isochrone::channel::Config as ChannelConfig;
use isochrone::channel::transport::{ConnectOptions, ListenOptions};
#[cfg(feature = "tls")]
use isochrone::channel::transport::{Tls, TlsFloor};
use isochrone::clock::{Interrupt, Live, Wall};
use isochrone::codec::{Codec, Limits, Types, Value, json, to_value};
use isochrone::container::{Binding, Node};
use isochrone::manager::{Moment, Registry, Worker};
use isochrone::prelude::*;
use isochrone::rpc::{Client, Own, Peer, Remote, Server, Service};
use isochrone::service;
use isochrone::sim::Epoch;

const PATIENCE: Duration = Duration::from_secs(5);

#[derive(Parser)]
struct Cli {
    command: Command,
    /// host:port, or the path of a Unix socket
    addr: String,
    rest: Vec<String>,
    #[arg(long, value_enum, default_value = "json")]
    codec: CodecName,
    /// Files in PEM: the authority, the own certificate, its key
    #[arg(long, value_name = "CA,CERT,KEY")]
    tls: Option<String>,
    /// Agents there are
    #[arg(short, default_value_t = 3)]
    n: u32,
    /// Date of time zero
    #[arg(long, default_value = "2016-01-01T00:00:00")]
    start: String,
    /// Makes the calling agent the first argument
    #[arg(long)]
    pass_self: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum Command {
    Server,
    Client,
    Agents,
    Connect,
    Manager,
}

#[derive(Clone, Copy, ValueEnum)]
enum CodecName {
    Json,
    Msgpack,
    Blosc,
}

impl From<CodecName> for Codec {
    fn from(name: CodecName) -> Codec {
        match name {
            CodecName::Json => Codec::Json,
            CodecName::Msgpack => Codec::MsgPack,
            CodecName::Blosc => Codec::MsgPackBlosc,
        }
    }
}

struct Sub;

#[service]
impl Sub {
    #[expose]
    fn whoami(&self) -> String {
        "sub".into()
    }
}

struct Calc;

#[service]
impl Calc {
    #[expose]
    fn add(&self, a: Value, #[default(Value::Int(0))] b: Value) -> Result<Value, CallError> {
        match (a.as_i64(), b.as_i64(), a.as_f64(), b.as_f64()) {
            (Some(a), Some(b), ..) => Ok(Value::from(a + b)),
            (.., Some(a), Some(b)) => Ok(Value::from(a + b)),
            _ => Err(CallError::type_error(format!("cannot add {a} and {b}"))),
        }
    }

    #[expose]
    fn echo(&self, all: Args) -> Result<Value, CallError> {
        echo(&all)
    }

    #[expose]
    fn fail(&self, #[default("boom".into())] msg: String) -> Result<(), CallError> {
        Err(CallError::new("ValueError", msg))
    }

    #[expose]
    async fn slow(&self, t: f64, #[default(Value::Null)] r: Value) -> Value {
        tokio::time::sleep(Duration::try_from_secs_f64(t).unwrap_or_default()).await;
        r
    }

    #[expose]
    async fn call_back(
        &self,
        proxy: Remote,
        #[default("ping".into())] method: String,
        rest: Args,
    ) -> Result<Value, CallError> {
        proxy.call(&method).args(rest).await
    }

    #[expose]
    fn get_sub(&self, peer: &Peer) -> Result<Value, CallError> {
        let own: Own = peer.own("sub")?;
        to_value(&own).map_err(|error| CallError::type_error(error.to_string()))
    }
}

fn calc() -> Service {
    Service::of(Calc).with("sub", Sub)
}

#[derive(Default)]
struct Ag {
    kept: Option<Proxy>,
}

#[agent]
impl Ag {
    #[constructor]
    fn new() -> Self {
        Ag::default()
    }

    #[expose]
    async fn ping(this: This<Self>) -> String {
        let address = this.proxy().untyped().address();
        format!("pong from {}", address.unwrap_or_default())
    }

    #[expose]
    fn echo(&self, all: Args) -> Result<Value, CallError> {
        echo(&all)
    }

    #[expose]
    fn when(&self, date: Value) -> Value {
        match date {
            Value::Date(date) => Value::Date(date.checked_add_days(chrono::Days::new(1)).unwrap_or(date)),
            other => other,
        }
    }

    #[expose]
    fn keep(&mut self, proxy: Proxy) {
        self.kept = Some(proxy);
    }

    #[expose]
    async fn call_kept(this: This<Self>, method: String, rest: Args) -> Result<Value, CallError> {
        let kept = this.with(|me| me.kept.clone());
        kept.ok_or_else(|| CallError::new("ValueError", "nobody was kept"))?.call(&method).args(rest).await
    }

    #[expose]
    async fn call_back(
        this: This<Self>,
        proxy: Proxy,
        #[default("ping".into())] method: String,
        rest: Args,
    ) -> Result<Value, CallError> {
        let _ = this;
        proxy.call(&method).args(rest).await
    }

    #[expose]
    async fn sleep_until(this: This<Self>, t: Moment) -> Result<(String, Value), CallError> {
        let until = t.time()?;
        if until <= this.now() {
            return Err(CallError::new("ValueError", format!("Date \"{t}\" is in the past")));
        }
        this.sleep_until(until).await;
        let now = to_value(&Moment::in_seconds(this.now()));
        Ok(("woken".into(), now.map_err(|error| CallError::type_error(error.to_string()))?))
    }

    #[expose]
    async fn call(this: This<Self>, url: String, method: String, rest: Args) -> Result<Value, CallError> {
        let _ = this;
        Proxy::connect(&url, Duration::ZERO).await?.call(&method).args(rest).await
    }
}

fn echo(all: &Args) -> Result<Value, CallError> {
    to_value(all).map_err(|error| CallError::type_error(error.to_string()))
}

/// One line of JSON; what JSON cannot say is said in words.
fn show(value: &Value) {
    let mut line = Vec::new();
    match json::encode(value, &mut line) {
        Ok(()) => println!("{}", String::from_utf8_lossy(&line)),
        Err(_) => println!("{value}"),
    }
}

fn endpoint(addr: &str) -> String {
    if addr.contains('/') { format!("ipc://[{addr}]") } else { format!("tcp://{addr}") }
}

/// What went wrong, as the program that runs on aiomas says it.
fn told(error: &CallError) -> Value {
    let key = if error.kind() == CallError::DISCONNECTED { "connection" } else { "exception" };
    Value::map([(key, error.to_aiomas())])
}

fn read(text: Option<&String>) -> Result<Value, Box<dyn Error>> {
    Ok(json::decode(text.map_or("null", String::as_str).as_bytes(), &Limits::default())?)
}

fn args(positional: Value, keyword: &Value) -> Args {
    let keyword = keyword.as_map().unwrap_or_default();
    let named = |(name, value): &(Value, Value)| Some((name.as_str()?.to_owned(), value.clone()));
    Args::new(positional.as_list().unwrap_or_default().to_vec(), keyword.iter().filter_map(named).collect())
}

impl Cli {
    #[cfg(feature = "tls")]
    fn tls(&self) -> Result<Option<Tls>, Box<dyn Error>> {
        Ok(self.tls.as_ref().map(|files| Tls::from_list(files, TlsFloor::V1_2)).transpose()?)
    }

    async fn server(&self) -> Result<(), Box<dyn Error>> {
        #[allow(unused_mut, reason = "without the feature `tls` nothing changes it")]
        let mut options = ListenOptions::default();
        #[cfg(feature = "tls")]
        options.tls.clone_from(&self.tls()?);
        let mut server = Server::bind_with(&endpoint(&self.addr), options).await?;
        server.config.codec = self.codec.into();
        println!("READY");
        server.serve(calc()).await;
        Ok(())
    }

    async fn client(&self) -> Result<(), Box<dyn Error>> {
        #[allow(unused_mut, reason = "without the feature `tls` nothing changes it")]
        let mut options = ConnectOptions::default();
        #[cfg(feature = "tls")]
        options.tls.clone_from(&self.tls()?);
        let mut config = ChannelConfig::default();
        config.codec = self.codec.into();
        config.types = Types::rpc([""; 0]);
        let client = Client::connect_with(&endpoint(&self.addr), &options, config, calc()).await?;
        let path = self.rest.first().ok_or("client needs the PATH of a method")?;
        let args = args(read(self.rest.get(1))?, &read(self.rest.get(2))?);
        match client.call(path).args(args).await {
            Ok(result) => show(&Value::map([("result", result)])),
            Err(error) => show(&told(&error)),
        }
        client.close().await;
        Ok(())
    }

    /// A container on the wall clock.
    fn container(&self) -> Result<(Container, Wall, Live), Box<dyn Error>> {
        let mut config = Config::new("aiomas_peer");
        config.policy = Policy::Stop;
        Wall::configure(&mut config);
        let (wall, live) = Wall::new(Interrupt::default());
        Ok((Container::new(config)?, wall, live))
    }

    async fn bind(&self, world: &Container, live: &Live) -> Result<Node, Box<dyn Error>> {
        let binding: Binding<'_> = world.bind(&endpoint(&self.addr)).codec(self.codec.into()).numbers(true);
        #[cfg(feature = "tls")]
        let binding = match self.tls()? {
            Some(tls) => binding.tls(tls),
            None => binding,
        };
        Ok(binding.serve(live).await?)
    }

    async fn agents(&self) -> Result<(), Box<dyn Error>> {
        let (world, mut wall, live) = self.container()?;
        let node = self.bind(&world, &live).await?;
        for number in 0..self.n {
            world.add_unnamed(Ag::default())?;
            show(&Value::from(node.address(&number.to_string()).to_string()));
        }
        println!("READY");
        Ok(wall.run(world.kernel(), Time::MAX).await?)
    }

    async fn connect(&self) -> Result<(), Box<dyn Error>> {
        let (world, mut wall, live) = self.container()?;
        let node = self.bind(&world, &live).await?;
        let [url, method, ..] = &self.rest[..] else { return Err("connect needs URL and METHOD".into()) };
        let me = world.add_unnamed(Ag::default())?;
        let given = args(read(self.rest.get(2))?, &Value::Null);
        let args = world.enter(|| if self.pass_self { Args::default().arg(&me).and(given) } else { given });
        let call = async {
            let proxy: AgProxy = match world.connect(url, PATIENCE).await {
                Ok(proxy) => proxy,
                Err(error) => return Value::map([("connection", error.to_aiomas())]),
            };
            match proxy.untyped().call(method).args(args).await {
                Ok(result) => {
                    Value::map([("proxy", Value::from(format!("AgProxy('{url}')"))), ("result", result)])
                }
                Err(error) => told(&error),
            }
        };
        isochrone::select! {
            shown = call => show(&shown),
            ended = wall.run(world.kernel(), Time::MAX) => ended?,
        }
        node.shutdown(PATIENCE).await;
        Ok(())
    }

    async fn manager(&self) -> Result<(), Box<dyn Error>> {
        let mut config = Config::new("aiomas_peer");
        config.policy = Policy::Stop;
        config.start = Time::ZERO - secs(1);
        config.epoch = Epoch::parse(&self.start).or_else(|_| Epoch::parse(&format!("{}Z", self.start)))?;
        let world = Container::new(config)?;
        let types = Registry::default().with::<Ag>("aiomas_peer:Ag");
        let mut worker = Worker::new(&world, types, Interrupt::default())?;
        let node = self.bind(&world, &worker.live()).await?;
        println!("READY");
        worker.run().await?;
        node.shutdown(PATIENCE).await;
        Ok(())
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let cli = Cli::parse();
    if cli.tls.is_some() && !cfg!(feature = "tls") {
        return Err("--tls needs the feature `tls`".into());
    }
    match cli.command {
        Command::Server => cli.server().await,
        Command::Client => cli.client().await,
        Command::Agents => cli.agents().await,
        Command::Connect => cli.connect().await,
        Command::Manager => cli.manager().await,
    }
}
