//! Calls over TCP loopback, in calls a second of wall time: ours, and what others make of the same socket.
//!
//! ```text
//!   client process, one thread               server process, one thread
//!   DEPTH tasks call add(n, 1) ──── one connection ────> answers
//! ```
//!
//! Why processes: each side has a core of its own, as on two machines; with one call in flight both share one, since on
//! two a virtual machine measures little but its wake-ups. Who is a child of this program re-executes it; tarpc is in
//! `benches/peers/`, a workspace of its own that is built when a row needs it (minutes, the first time); aiomas is the
//! one of the tests.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::Instant;

use isochrone::channel::Config;
use isochrone::channel::transport::ConnectOptions;
use isochrone::codec::Codec;
use isochrone::rpc::{Client, Server, Service};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::Row;
use crate::built::program;
use crate::peers as setup;

/// The argument that makes this program one end of a connection.
pub(crate) const CHILD: &str = "--rpc";

/// Calls a second, in thousands: ours must reach so many times the base.
pub(crate) const RATES: &[Row] = &[
    Row {
        name: "rpc_256_raw",
        ours: || ours("msgpack", 256, 300_000),
        base: || raw(256, 500_000),
        target: 0.45,
    },
    Row {
        name: "rpc_256_raw_json",
        ours: || ours("json", 256, 300_000),
        base: || raw(256, 500_000),
        target: 0.38,
    },
    Row { name: "rpc_1_raw", ours: || ours("msgpack", 1, 15_000), base: || raw(1, 15_000), target: 0.95 },
    Row {
        name: "rpc_256_tarpc",
        ours: || ours("msgpack", 256, 300_000),
        base: || tarpc(256, 150_000),
        target: 1.3,
    },
    Row { name: "rpc_1_tarpc", ours: || ours("msgpack", 1, 15_000), base: || tarpc(1, 15_000), target: 1.15 },
    Row {
        name: "rpc_to_aiomas",
        ours: || between(&aiomas("server"), &this(&["client", "msgpack"]), 1, 4_000),
        base: aiomas_alone,
        target: 1.5,
    },
    Row {
        name: "rpc_from_aiomas",
        ours: || between(&this(&["server", "msgpack"]), &aiomas("client"), 1, 4_000),
        base: aiomas_alone,
        target: 1.5,
    },
];

fn ours(codec: &str, depth: u32, count: u64) -> Option<f64> {
    between(&this(&["server", codec]), &this(&["client", codec]), depth, count)
}

fn raw(depth: u32, count: u64) -> f64 {
    ours("raw", depth, count).unwrap_or(f64::NAN)
}

fn tarpc(depth: u32, count: u64) -> f64 {
    let tarpc = |role: &str| Some(vec![peers()?.display().to_string(), role.to_owned()]);
    let rate = || between(&tarpc("server")?, &tarpc("client")?, depth, count);
    rate().unwrap_or(f64::NAN)
}

/// One call in flight: with many, each Python process fills a core of its own, and what the other end is made of does
/// not show.
fn aiomas_alone() -> f64 {
    between(&aiomas("server"), &aiomas("client"), 1, 4_000).unwrap_or(f64::NAN)
}

/// The command of a child of this program.
fn this(arguments: &[&str]) -> Vec<String> {
    let program = std::env::current_exe().expect("this program has a path").display().to_string();
    [&program, CHILD].into_iter().chain(arguments.iter().copied()).map(str::to_owned).collect()
}

fn aiomas(role: &str) -> Vec<String> {
    static PYTHON: OnceLock<PathBuf> = OnceLock::new();
    let script = setup::root().join("benches/peers/aiomas_calls.py");
    [PYTHON.get_or_init(setup::python), &script]
        .map(|path| path.display().to_string())
        .into_iter()
        .chain([role.to_owned()])
        .collect()
}

/// The program of `benches/peers/`; `None` if it cannot be built, as without a network.
fn peers() -> Option<&'static Path> {
    static PROGRAM: OnceLock<Option<PathBuf>> = OnceLock::new();
    let build = || program("benches/peers/Cargo.toml", &setup::target_dir().join("bench-peers"), "peers");
    PROGRAM.get_or_init(build).as_deref()
}

/// A process that ends with this.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Starts a process, on this core where that is possible.
fn start(command: &[String], core: usize) -> Process {
    static PINS: OnceLock<bool> = OnceLock::new();
    let pins = *PINS.get_or_init(|| {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let taskset = Command::new("taskset").arg("-V").stdout(Stdio::null()).stderr(Stdio::null()).status();
        cores > 1 && taskset.is_ok_and(|status| status.success())
    });
    let pinned = ["taskset".to_owned(), "-c".to_owned(), core.to_string()];
    let words: Vec<&String> = pinned.iter().filter(|_| pins).chain(command).collect();
    let child = Command::new(words[0]).args(&words[1..]).stdout(Stdio::piped()).spawn();
    Process(child.unwrap_or_else(|error| panic!("{}: {error}", words[0])))
}

/// What a process says first.
fn line(process: &mut Process) -> String {
    let mut line = String::new();
    let out = process.0.stdout.take().expect("piped");
    BufReader::new(out).read_line(&mut line).expect("it says something");
    line.trim().to_owned()
}

/// Calls a second, in thousands, from one program to another.
fn between(server: &[String], client: &[String], depth: u32, count: u64) -> Option<f64> {
    let (here, there) = if depth == 1 { (0, 0) } else { (0, 1) };
    let mut server = start(server, there);
    let address = line(&mut server);
    let call = [address, depth.to_string(), count.to_string()];
    let command: Vec<String> = client.iter().cloned().chain(call).collect();
    let said = line(&mut start(&command, here));
    let nanos: f64 = said.split(' ').next()?.parse().ok()?;
    Some(1e6 / nanos)
}

/// How much of the time Python computes when ours is at the other end.
pub(crate) fn shares() -> String {
    let mut server = start(&this(&["server", "msgpack"]), 0);
    let call = [line(&mut server), "1".to_owned(), "4000".to_owned()];
    let said = line(&mut start(&aiomas("client").into_iter().chain(call).collect::<Vec<_>>(), 0));
    let share = said.split(' ').nth(1).and_then(|share| share.parse().ok()).unwrap_or(f64::NAN);
    format!("  of the time of rpc_from_aiomas, {:.0} % are spent computing in Python", 100.0 * share)
}

/// Bytes on the wire for one call and its reply, with one call in flight and with 256.
pub(crate) fn bytes() -> Option<f64> {
    runtime().block_on(async {
        let mut server = Server::bind("127.0.0.1:0").await.ok()?;
        server.config.codec = Codec::MsgPack;
        let address = server.endpoint().to_string();
        let serving = tokio::spawn(server.serve(Service::of(Calc)));
        let client = connect(&address, Codec::MsgPack).await;
        let calc = CalcProxy::from(client.remote());
        let mut most: f64 = 0.0;
        for depth in [1, 256] {
            let counted = || {
                let counters = client.peer().counters();
                (counters.bytes_in + counters.bytes_out, counters.messages_out)
            };
            let (bytes, calls) = counted();
            run(&calc, depth, 20_000).await;
            let (bytes, calls) = (counted().0 - bytes, counted().1 - calls);
            most = most.max(bytes as f64 / calls as f64);
        }
        serving.abort();
        Some(most)
    })
}

struct Calc;

#[isochrone::service]
impl Calc {
    #[expose]
    fn add(&self, a: i64, b: i64) -> i64 {
        a + b
    }
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime")
}

async fn connect(address: &str, codec: Codec) -> Client {
    let mut config = Config::default();
    config.codec = codec;
    let options = ConnectOptions::default();
    Client::connect_with(address, &options, config, Service::new()).await.expect("a server")
}

/// `depth` tasks that share the calls.
async fn run(calc: &CalcProxy, depth: u64, count: u64) {
    let callers: Vec<_> = (0..depth)
        .map(|_| {
            let calc = calc.clone();
            tokio::spawn(async move {
                for n in 0..count.div_ceil(depth) {
                    let n = (n % 64) as i64;
                    assert_eq!(calc.add(n, 1).await, Ok(n + 1));
                }
            })
        })
        .collect();
    for caller in callers {
        caller.await.expect("a caller");
    }
}

/// What a child does: `server CODEC`, or `client CODEC ADDR DEPTH COUNT`, which prints ns per call.
pub(crate) fn child(arguments: &[&str]) {
    let number = |text: &str| text.parse().expect("a number");
    runtime().block_on(async {
        match arguments {
            ["server", "raw"] => raw_server().await,
            ["server", codec] => {
                let mut server = Server::bind("127.0.0.1:0").await.expect("a port");
                server.config.codec = named(codec);
                println!("{}", server.endpoint().to_string().trim_start_matches("tcp://"));
                server.serve(Service::of(Calc)).await;
            }
            ["client", "raw", address, depth, count] => {
                raw_client(address, number(depth), number(count)).await;
            }
            ["client", codec, address, depth, count] => {
                let client = connect(address, named(codec)).await;
                let (calc, depth, count) = (CalcProxy::from(client.remote()), number(depth), number(count));
                run(&calc, depth, count / 4).await;
                let start = Instant::now();
                run(&calc, depth, count).await;
                println!("{}", start.elapsed().as_nanos() as f64 / count as f64);
            }
            _ => panic!("not to be called by hand: {arguments:?}"),
        }
    });
}

fn named(codec: &str) -> Codec {
    if codec == "json" { Codec::Json } else { Codec::MsgPack }
}

/// The bytes of a raw message.
const FRAME: usize = 24;

async fn raw_server() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address: SocketAddr = listener.local_addr().expect("an address");
    println!("{address}");
    let (mut stream, _) = listener.accept().await.expect("a client");
    stream.set_nodelay(true).expect("a socket");
    let mut buffer = vec![0; 1 << 16];
    while let Ok(n @ 1..) = stream.read(&mut buffer).await {
        stream.write_all(&buffer[..n]).await.expect("the client");
    }
}

/// A window of frames in one write, and read back whole.
async fn raw_client(address: &str, depth: u64, count: u64) {
    let mut stream = TcpStream::connect(address).await.expect("a server");
    stream.set_nodelay(true).expect("a socket");
    let mut window = vec![7; FRAME * depth as usize];
    let mut start = Instant::now();
    for n in 0..(count / 4 + count).div_ceil(depth) {
        if n == (count / 4).div_ceil(depth) {
            start = Instant::now();
        }
        stream.write_all(&window).await.expect("the server");
        stream.read_exact(&mut window).await.expect("the server");
    }
    println!("{}", start.elapsed().as_nanos() as f64 / count as f64);
}
