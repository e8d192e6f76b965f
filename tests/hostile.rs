//! Hostile bytes against a server of ours, alone and beside good clients: `tests/peers/hostile/run.py` says of each case
//! what must happen, and that the server answers afterwards.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use isochrone::channel::Config;
use isochrone::channel::transport::ConnectOptions;
use isochrone::codec::Codec;
use isochrone::rpc::{Client, Service};
use tokio::task::JoinSet;

#[path = "peers/setup.rs"]
mod setup;

/// Good clients at work during the attack.
const CLIENTS: usize = 20;

/// Calls that each of them has in flight.
const IN_FLIGHT: i64 = 8;

#[tokio::test]
async fn hostile_json_hurts_nobody() {
    attack("json", Codec::Json).await;
}

#[tokio::test]
async fn hostile_msgpack_hurts_nobody() {
    attack("msgpack", Codec::MsgPack).await;
}

#[tokio::test]
async fn hostile_blosc_hurts_nobody() {
    attack("blosc", Codec::MsgPackBlosc).await;
}

/// The example as a process of its own, which ends with this.
struct Target {
    process: Child,
    address: String,
}

impl Target {
    fn start(codec: &str) -> Target {
        let test = std::env::current_exe().expect("a test knows where it is");
        let profile = test.ancestors().nth(2).expect("target/PROFILE/deps/TEST");
        let example = profile.join("examples/hostile_target").with_extension(std::env::consts::EXE_EXTENSION);
        let mut process = Command::new(&example)
            .args(["--codec", codec, "--listen", "127.0.0.1:0"])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{}: {error}; `cargo build --examples`", example.display()));
        let mut said = String::new();
        BufReader::new(process.stdout.take().expect("piped")).read_line(&mut said).expect("it says where");
        let address = said.trim().rsplit("tcp://").next().expect("an address").to_owned();
        Target { process, address }
    }

    /// Runs all cases, and fails with what was said.
    fn attack(&self, codec: &str) {
        let (host, port) = self.address.rsplit_once(':').expect("host:port");
        let script = setup::root().join("tests/peers/hostile/run.py");
        let out = Command::new(setup::python()).arg(script).args([codec, host, port]).output();
        let out = out.expect("the interpreter was just made");
        let said = String::from_utf8_lossy(&out.stdout);
        assert!(said.ends_with("0 failed\n"), "{said}{}", String::from_utf8_lossy(&out.stderr));
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

async fn attack(name: &'static str, codec: Codec) {
    let target = Target::start(name);
    target.attack(name);

    let (over, right) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let mut clients = JoinSet::new();
    for n in 0..CLIENTS {
        let mut config = Config::default();
        config.codec = codec;
        let options = ConnectOptions::default();
        let client = Client::connect_with(&target.address, &options, config, Service::new()).await.unwrap();
        clients.spawn(good_client(client, n as i64, over.clone(), right.clone()));
    }
    let attacker = std::thread::spawn(move || {
        // also when a case fails
        let _over = Over(over);
        target.attack(name);
        target
    });
    while let Some(client) = clients.join_next().await {
        client.expect("a good client got a wrong answer");
    }
    let right = right.load(Ordering::Relaxed);
    println!("{name}: {right} answers beside the attack, all right");
    assert!(right > 100 * CLIENTS as u64);
    drop(attacker.join().expect("a case failed beside good clients"));
}

/// Ends the good clients' work when it is dropped.
struct Over(Arc<AtomicBool>);

impl Drop for Over {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Calls until it is over; each answer must be right.
async fn good_client(client: Client, n: i64, over: Arc<AtomicBool>, right: Arc<AtomicU64>) {
    let mut round = 0;
    while !over.load(Ordering::Relaxed) {
        let calls = (0..IN_FLIGHT).map(|k| client.call("add").arg(n << 32 | round).arg(k).returning::<i64>());
        let sums = futures::future::join_all(calls).await;
        for (sum, k) in sums.into_iter().zip(0..) {
            assert_eq!(sum, Ok((n << 32 | round) + k));
        }
        round += IN_FLIGHT;
        right.fetch_add(IN_FLIGHT as u64, Ordering::Relaxed);
    }
    assert_eq!(client.call("ping").returning::<String>().await, Ok("pong".to_owned()));
}
