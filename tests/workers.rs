//! What worker processes promise: `examples/workers.rs`, driven from here.
#![cfg(all(unix, feature = "manager"))]

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use isochrone::channel::Config as ChannelConfig;
use isochrone::channel::transport::ConnectOptions;
use isochrone::clock::Interrupt;
use isochrone::codec::{Types, to_value};
use isochrone::container::{Binding, SameProcess};
use isochrone::manager::{ManagerProxy, Registry, Worker, WorkerError, Workers};
use isochrone::prelude::*;
use isochrone::rpc::{Client, Remote, Service};
use net::Running;
use support::{block_on, example};

#[path = "support/net.rs"]
#[allow(dead_code, reason = "each test uses its part")]
mod net;
#[path = "support/mod.rs"]
mod support;

const WORKER: [&str; 4] = ["worker", "--bind", "tcp://127.0.0.1:0", "--with-parent"];

type Lines = Arc<Mutex<Vec<(String, String)>>>;

/// Workers, and what they say.
fn workers() -> (Workers, Lines) {
    let lines = Lines::default();
    let said = lines.clone();
    let tell = move |name: &str, line: &str| said.lock().unwrap().push((name.into(), line.into()));
    (Workers::of(example("workers")).output(tell), lines)
}

/// The manager of a new worker.
async fn start(workers: &mut Workers, name: &str) -> Remote {
    let endpoint = workers.start(name, WORKER).await.unwrap_or_else(|error| panic!("{error}"));
    let mut config = ChannelConfig::default();
    config.types = Types::container([""; 0]);
    let options = ConnectOptions::default();
    let client = Client::connect_with(&endpoint.to_string(), &options, config, Service::new()).await.unwrap();
    client.peer().proxy("agents/0")
}

async fn house(manager: &Remote) -> Remote {
    let spawned = manager.call("spawn").arg("plant.house:House").arg(3600);
    let (house, _): (Remote, String) = spawned.returning().await.unwrap();
    house
}

type Readings = (usize, Option<f64>, Option<f64>);

#[test]
fn time_is_set_when_the_agents_are_done_and_ours_may_say_a_time_again() {
    block_on(async {
        let (mut workers, said) = workers();
        let manager = start(&mut workers, "north").await;
        let house = house(&manager).await;
        let set = |time: &str| manager.call("set_time").arg(time);
        for _ in 0..3 {
            set("15min").await.unwrap();
            let readings: Readings = house.call("readings").returning().await.unwrap();
            assert_eq!(readings, (900, Some(1.0), Some(900.0)));
        }
        let error = set("14min").await.unwrap_err();
        assert_eq!(error.to_string(), "ValueError: Time must be >= 15min but is 14min");
        // to the nanosecond
        set("900.000000001s").await.unwrap();
        set("900.000000001s").await.unwrap();
        let error = manager.call("set_time").arg(900).await.unwrap_err();
        assert_eq!(error.to_string(), "ValueError: Time must be > 15m00.000000001s but is 900");
        let error = set("soon").await.unwrap_err();
        assert_eq!(error.kind(), "TypeError");
        assert_eq!(workers.names().collect::<Vec<_>>(), ["north"]);
        assert_eq!(workers.stop(secs(10)).await, [""; 0]);
        let said = said.lock().unwrap();
        assert!(said.iter().any(|(name, line)| name == "north" && line.contains("simulated in")), "{said:?}");
    });
}

#[test]
fn the_example_tells_what_its_workers_do_and_which_one_is_lost() {
    let out = Command::new(example("workers")).output().unwrap();
    let (stdout, stderr) = (String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr));
    assert!(out.status.success(), "{stdout}\n{stderr}");
    let lines: Vec<&str> = stdout.lines().collect();
    assert!(lines.contains(&"at    1h north has used 3.500 kWh, read 3600 times"), "{stdout}");
    assert!(lines.contains(&"worker south has ended: exit status: 0"), "{stdout}");
    assert!(lines.iter().any(|line| line.starts_with("north does not answer: Disconnected")), "{stdout}");
    assert!(stderr.lines().any(|line| line.starts_with("south | ")), "{stderr}");
}

/// Asks its master each second.
struct Asker {
    master: Proxy,
    answers: Vec<f64>,
}

#[agent]
impl Asker {
    #[constructor]
    fn new(master: Proxy) -> Self {
        Asker { master, answers: Vec::new() }
    }

    #[every(seconds = 1)]
    async fn ask(this: This<Self>) -> Result<(), CallError> {
        let master = this.with(|me| me.master.clone());
        let answer = master.call("price").returning().await?;
        this.with(|me| me.answers.push(answer));
        Ok(())
    }

    #[expose]
    fn answers(&self) -> Vec<f64> {
        self.answers.clone()
    }
}

#[derive(Default)]
struct Market {
    asked: f64,
}

#[agent]
impl Market {
    #[expose]
    fn price(&mut self) -> f64 {
        self.asked += 1.0;
        self.asked
    }
}

/// Over a socket, though all are in this process.
fn socket(binding: Binding<'_>) -> Binding<'_> {
    binding.same_process(SameProcess::Socket)
}

#[test]
fn agents_ask_their_master_while_it_waits_for_them() {
    net::run(async {
        let market = |world: &Container| drop(world.add("market", Market::default()).unwrap());
        let master = Running::start("master", "tcp://127.0.0.1:0", socket, market).await;
        let world = Container::new(Config::new("worker")).unwrap();
        let types = Registry::default().with::<Asker>("Asker");
        let mut worker = Worker::new(&world, types, Interrupt::default()).unwrap();
        let node = socket(world.bind("tcp://127.0.0.1:0").numbers(true)).serve(&worker.live()).await.unwrap();
        let drive = async {
            let url = node.address("0").to_string();
            let manager: ManagerProxy = master.world.connect(&url, secs(5)).await?;
            let me =
                master.world.enter(|| "local://master/market".parse::<Proxy>().map(|me| to_value(&me)))?;
            let (_, address) = manager.spawn("Asker".into(), Args::default().arg(me.unwrap())).await?;
            manager.set_time((Time::ZERO + secs(10)).into()).await?;
            let asker: Proxy = master.world.connect(&address, Duration::ZERO).await?;
            let answers: Vec<f64> = asker.call("answers").returning().await?;
            manager.stop().await?;
            Ok::<_, CallError>(answers)
        };
        let (ran, answers) = tokio::join!(worker.run(), drive);
        ran.unwrap();
        assert_eq!(answers, Ok((1..=10).map(f64::from).collect()));
        node.shutdown(secs(1)).await;
        master.stop().await;
    });
}

/// Fails after a while.
struct Fuse;

#[agent]
impl Fuse {
    #[constructor]
    fn new() -> Self {
        Fuse
    }

    #[start]
    async fn burn(this: This<Self>) {
        this.sleep(secs(300)).await;
        panic!("it has blown");
    }
}

#[test]
fn a_master_hears_which_agent_has_ended_the_run_while_it_set_the_time() {
    net::run(async {
        let master = Running::start("master", "tcp://127.0.0.1:0", socket, |_| ()).await;
        let world = Container::new(Config::new("worker")).unwrap();
        let types = Registry::default().with::<Fuse>("Fuse");
        let mut worker = Worker::new(&world, types, Interrupt::default()).unwrap();
        let node = socket(world.bind("tcp://127.0.0.1:0").numbers(true)).serve(&worker.live()).await.unwrap();
        let drive = async {
            let manager: ManagerProxy = master.world.connect(&node.address("0").to_string(), secs(5)).await?;
            manager.spawn("Fuse".into(), Args::default()).await?;
            manager.set_time((Time::ZERO + secs(900)).into()).await
        };
        let (ran, set) = tokio::join!(worker.run(), drive);
        let (failed, heard) = (ran.unwrap_err().to_string(), set.unwrap_err().to_string());
        assert!(failed.contains("failed at 5min in `burn`: it has blown"), "{failed}");
        assert!(heard.contains(&failed), "{heard}");
        node.shutdown(secs(1)).await;
        master.stop().await;
    });
}

#[test]
fn what_is_not_registered_is_not_spawned() {
    block_on(async {
        let (mut workers, _) = workers();
        let manager = start(&mut workers, "north").await;
        let refused = async |args: Args| manager.call("spawn").args(args).await.unwrap_err().to_string();
        let unknown = refused(Args::default().arg("os:system").arg("true")).await;
        let expected = "LookupError: no type of agents is registered here as \"os:system\"; there are: plant.house:House";
        assert_eq!(unknown, expected);
        let missing = refused(Args::default().arg("plant.house:House")).await;
        assert_eq!(missing, "TypeError: new() missing 1 required positional argument: 'kw'");
        workers.stop(secs(10)).await;
    });
}

#[test]
fn a_killed_worker_is_reported_by_its_name_and_the_others_go_on() {
    block_on(async {
        let (mut workers, _) = workers();
        let (north, south) = (start(&mut workers, "north").await, start(&mut workers, "south").await);
        let (lost, kept) = (house(&north).await, house(&south).await);
        kill(workers.process("north").unwrap());
        let gone = workers.gone().await;
        assert_eq!(gone.name, "north");
        assert!(gone.to_string().starts_with("worker north has ended: signal: 9"), "{gone}");
        assert_eq!(lost.call("kwh").await.unwrap_err().kind(), "Disconnected");
        south.call("set_time").arg("1min").await.unwrap();
        assert_eq!(kept.call("kwh").returning::<f64>().await, Ok(60.0));
        // the name is free again
        start(&mut workers, "north").await;
        let taken = workers.start("north", WORKER).await.unwrap_err();
        assert!(matches!(taken, WorkerError::Taken { .. }), "{taken}");
        assert_eq!(workers.stop(secs(10)).await, [""; 0]);
    });
}

#[test]
fn a_worker_that_does_not_come_up_says_why() {
    block_on(async {
        let (mut workers, _) = workers();
        let error = workers.start("north", ["worker"]).await.unwrap_err().to_string();
        assert!(
            error.starts_with("worker north ended (exit status: 2)") && error.contains("--bind"),
            "{error}"
        );
        let mut silent = Workers::of("sleep").patience(millis(50));
        let error = silent.start("south", ["60"]).await.unwrap_err();
        assert!(matches!(error, WorkerError::Silent { .. }), "{error}");
        let error = Workers::of("/nowhere/at/all").start("west", WORKER).await.unwrap_err().to_string();
        assert!(error.starts_with("worker west: /nowhere/at/all could not be started"), "{error}");
    });
}

#[test]
fn workers_end_with_their_parent_however_that_dies() {
    let mut command = Command::new(example("workers"));
    command.arg("--wait").stdout(Stdio::piped()).stderr(Stdio::null());
    let mut parent = command.spawn().unwrap();
    let mut processes = Vec::new();
    for line in BufReader::new(parent.stdout.take().unwrap()).lines().map_while(Result::ok) {
        if let Some((_, process)) =
            line.split_once(" is process ").filter(|_| !line.starts_with("the master"))
        {
            processes.push(process.parse::<u32>().unwrap());
        }
        if line == "waiting" {
            break;
        }
    }
    assert_eq!(processes.len(), 2);
    assert!(processes.iter().all(|process| runs(*process)));
    parent.kill().unwrap();
    parent.wait().unwrap();
    let deadline = Instant::now() + Duration::from_secs(20);
    while processes.iter().any(|process| runs(*process)) {
        assert!(Instant::now() < deadline, "an orphan of {processes:?} runs on");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn kill(process: u32) {
    assert!(Command::new("kill").args(["-9", &process.to_string()]).status().unwrap().success());
}

fn runs(process: u32) -> bool {
    let asked = Command::new("kill").args(["-0", &process.to_string()]).stderr(Stdio::null()).status();
    asked.unwrap().success()
}
