//! After its program was killed a run goes on with the next simulator, the next master, at the place where it was.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::{fs, thread};

use isochrone::channel::{Config as ChannelConfig, Connection};
use isochrone::codec::{Types, Value};
use isochrone::prelude::*;
use isochrone::rpc::Client;
use tokio::net::TcpStream;

use crate::net::run;
use crate::program::{Night, app, ask, at, good};
use crate::support::example;

/// A journal whose writer was killed.
fn cut(night: &Night, part: usize) -> String {
    let bytes = fs::read(night.path("run.jrn")).unwrap();
    fs::write(night.path("cut.jrn"), &bytes[..bytes.len() * part / 100]).unwrap();
    night.path("cut.jrn")
}

/// Steps two traders to the end, from where they stand; returns what the run was.
async fn drive(socket: &Path) -> (Value, Value) {
    let mut connection = Connection::new(at(socket).await, ChannelConfig::default());
    let mut say = async |text: String| ask(&mut connection, &text, |_| Value::Null).await;
    let described = say(r#"["sim/describe", [], {}]"#.into()).await;
    let unanswered = say(r#"["sim/unanswered", [], {}]"#.into()).await;
    if described.get("agents").and_then(Value::as_map).is_some_and(|agents| agents.len() == 1) {
        say(r#"["sim/create", ["Trader", 2], {}]"#.into()).await;
    }
    let now = described.get("now").and_then(Value::as_i64).unwrap() / 1_000_000_000;
    for second in now + 1..20 {
        let price = r#"{"trader_0": {"price": {"market": 7.0}}}"#;
        say(format!(r#"["sim/step", ["{second}s", {price}], {{}}]"#)).await;
    }
    (unanswered, say(r#"["sim/stop", [], {}]"#.into()).await)
}

#[test]
fn a_run_at_the_simulators_door_that_was_cut_anywhere_goes_on_to_the_same_end() {
    let night = Night::new();
    let (socket, listen) = night.socket();
    let serve = |args: Vec<String>| {
        let door = thread::spawn(move || app(&args.iter().map(String::as_str).collect::<Vec<_>>()));
        let told = run(drive(&socket));
        assert_eq!(door.join().unwrap(), "ExitCode(unix_exit_status(0))");
        told
    };
    let args = ["serve", "--listen", &listen, "--seed", "4", "--record", &night.path("run.jrn")];
    let (unanswered, whole) = serve(args.map(str::to_owned).to_vec());
    assert!(unanswered.is_null());
    for part in [50, 63, 77, 90] {
        let journal = cut(&night, part);
        let (unanswered, again) = serve(vec!["resume".into(), journal.clone()]);
        assert_eq!(again.get("fingerprint"), whole.get("fingerprint"), "cut at {part} %");
        // the step that was the last, and what it would have said
        let request = unanswered.get("request").and_then(Value::as_str).expect("a step");
        assert!(request.starts_with("sim/step("), "{request}");
        let now = unanswered.get("reply").and_then(|reply| reply.get("now")?.as_i64()).unwrap();
        assert_eq!(request, format!("sim/step(\"{}s\")", now / 1_000_000_000));
        good(&["replay", &journal]);
    }
}

/// A proxy from before the cut leads to where it did, by the connections of now.
#[test]
fn a_run_that_goes_on_finds_its_peers_again() {
    let night = Night::new();
    let (peer, there) = (night.path("peer"), format!("ipc://[{}]", night.path("peer")));
    let (socket, listen) = night.socket();
    let own = format!("ipc://[{}]", night.path("own"));
    let peers = thread::spawn({
        let there = there.clone();
        move || app(&["worker", "--bind", &there])
    });
    let step = |second: i64| {
        let call = format!(r#"{{"trader_0": {{"call": {{"somebody": "{there}/maker"}}}}}}"#);
        format!(r#"["sim/step", ["{second}s", {call}], {{}}]"#)
    };
    let drive = async |from: i64| -> Vec<String> {
        let mut connection = Connection::new(at(&socket).await, ChannelConfig::default());
        if from == 0 {
            ask(&mut connection, r#"["sim/create", ["Trader"], {}]"#, |_| Value::Null).await;
        }
        let mut answers = Vec::new();
        for second in from..from + 6 {
            let reading = ask(&mut connection, &step(second), |_| Value::Null).await;
            answers.push(reading.get("events").unwrap().to_string());
        }
        ask(&mut connection, r#"["sim/stop", [], {}]"#, |_| Value::Null).await;
        answers
    };
    let args = ["serve", "--listen", &listen, "--bind", &own, "--record", &night.path("run.jrn")];
    let mut args = args.map(str::to_owned).to_vec();
    run(async {
        at(Path::new(&peer)).await;
    });
    for from in [0, 6] {
        let door = thread::spawn(move || app(&args.iter().map(String::as_str).collect::<Vec<_>>()));
        let answers = run(drive(from));
        assert_eq!(door.join().unwrap(), "ExitCode(unix_exit_status(0))");
        // 10 or 11, 20 or 21, ..: it is the same peer
        let marks = |(n, answer): (usize, &String)| answer.contains(&format!(",{}", from as usize + n + 1));
        assert!(answers.iter().enumerate().all(marks), "{answers:?}");
        assert!(!answers.concat().contains("Disconnected"), "{answers:?}");
        if from == 0 {
            // without the `stop`
            let bytes = fs::read(night.path("run.jrn")).unwrap();
            let end = bytes.windows(8).position(|window| window == b"sim/stop").unwrap();
            fs::write(night.path("run.jrn"), &bytes[..end]).unwrap();
        }
        args = vec!["resume".into(), night.path("run.jrn")];
    }
    good(&["replay", &night.path("run.jrn")]);
    run(async {
        let mut master = Connection::new(at(Path::new(&peer)).await, ChannelConfig::default());
        ask(&mut master, r#"["agents/0/stop", [], {}]"#, |_| Value::Null).await;
    });
    peers.join().unwrap();
}

/// A program that serves, and where it says that it does.
struct Door {
    program: Child,
    told: Vec<String>,
}

impl Door {
    fn start(folder: &Path, name: &str, args: &[&str], says: &[&str]) -> Door {
        let mut program = Command::new(example(name))
            .current_dir(folder)
            .args(args)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(program.stdout.take().unwrap()).lines().map(Result::unwrap);
        let mut hear = |says: &&str| {
            let mut heard = lines.by_ref().filter_map(|line| line.strip_prefix(*says).map(str::to_owned));
            heard.next().expect("it says where it is")
        };
        let told = says.iter().map(&mut hear).collect();
        Door { program, told }
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        // one that a failed test leaves is ended
        let _ = self.program.kill();
    }
}

#[test]
fn a_door_that_was_killed_opens_again_where_it_was() {
    let night = Night::new();
    let folder = Path::new(&night.path("run.jrn")).parent().unwrap().to_owned();
    let serve = ["serve", "--bind", "tcp://127.0.0.1:0", "--record", "run.jrn", "--on-owner-loss", "wait"];
    let says = ["listening at tcp://", "agents at "];
    let mut door = Door::start(&folder, "plant_controller", &serve, &says);
    let agents = door.told[1].clone();
    run(async {
        let stream = TcpStream::connect(&door.told[0]).await.unwrap();
        let mut connection = Connection::new(stream, ChannelConfig::default());
        for request in [r#"["sim/create", ["Thermostat"], {}]"#, r#"["sim/step", ["1h"], {}]"#] {
            ask(&mut connection, request, |_| Value::Null).await;
        }
        door.program.kill().unwrap();
    });
    door.program.wait().unwrap();
    let resume = ["resume", "run.jrn", "--listen", "127.0.0.1:0"];
    let mut door = Door::start(&folder, "plant_controller", &resume, &says);
    assert_eq!(door.told[1], agents, "where peers know it");
    run(async {
        let stream = TcpStream::connect(&door.told[0]).await.unwrap();
        let mut connection = Connection::new(stream, ChannelConfig::default());
        let mut say = async |request: &str| ask(&mut connection, request, |_| Value::Null).await;
        assert_eq!(say(r#"["clock/time", [], {}]"#).await, Value::Int(3_600_000_000_000));
        let inputs = r#"{"thermostat_0": {"celsius": {"room": 15.0}}}"#;
        let reading = say(&format!(r#"["sim/step", ["2h", {inputs}], {{}}]"#)).await;
        assert_eq!(reading.get("now"), Some(&Value::Int(7_200_000_000_000)));
        say(r#"["sim/stop", [], {}]"#).await;
    });
    assert!(door.program.wait().unwrap().success());
    let mut replay = Command::new(example("plant_controller"));
    assert!(replay.current_dir(&folder).args(["replay", "run.jrn"]).status().unwrap().success());
}

/// The simulator had said that it was done: nobody is waited for.
#[test]
fn a_run_that_was_to_end_ends() {
    let night = Night::new();
    let (socket, listen) = night.socket();
    let record = night.path("run.jrn");
    let door = thread::spawn(move || app(&["serve", "--listen", &listen, "--record", &record]));
    run(drive(&socket));
    door.join().unwrap();
    let bytes = fs::read(night.path("run.jrn")).unwrap();
    let end = bytes.windows(8).rposition(|window| window == b"sim/stop").unwrap();
    fs::write(night.path("run.jrn"), &bytes[..end + 12]).unwrap();
    good(&["resume", &night.path("run.jrn")]);
    good(&["replay", &night.path("run.jrn")]);
}

#[test]
fn a_live_run_that_was_killed_is_called_again_where_it_was() {
    let night = Night::new();
    let folder = Path::new(&night.path("run.jrn")).parent().unwrap().to_owned();
    let live = ["live", "--bind", "tcp://127.0.0.1:0", "--until", "8s", "--record", "run.jrn"];
    let says = ["listening at "];
    let call = |address: &str| {
        run(async {
            let mut config = ChannelConfig::default();
            config.types = Types::container([""; 0]);
            let client =
                Client::connect_with(address, &Default::default(), config, Default::default()).await.unwrap();
            client.peer().proxy("agents/room").call("temperature").await.unwrap()
        })
    };
    let mut program = Door::start(&folder, "first_agent", &live, &says);
    let address = program.told[0].clone();
    let celsius = call(&address);
    program.program.kill().unwrap();
    program.program.wait().unwrap();
    let mut program = Door::start(&folder, "first_agent", &["resume", "run.jrn"], &says);
    assert_eq!(program.told[0], address);
    assert_eq!(call(&address), celsius);
    assert!(program.program.wait().unwrap().success());
    let mut replay = Command::new(example("first_agent"));
    assert!(replay.current_dir(&folder).args(["replay", "run.jrn"]).status().unwrap().success());
    let called = night.inputs("run.jrn").iter().filter(|input| input.starts_with("temperature")).count();
    assert_eq!(called, 2);
}

#[test]
fn a_worker_that_was_cut_anywhere_goes_on_with_its_next_master() {
    let night = Night::new();
    let (socket, bind) = night.socket();
    let drive = async |socket: &Path, from: i64| -> Vec<Value> {
        at(socket).await;
        let mut config = ChannelConfig::default();
        config.types = Types::container([""; 0]);
        let url = format!("ipc://[{}]", socket.display());
        let client =
            Client::connect_with(&url, &Default::default(), config, Default::default()).await.unwrap();
        let manager = client.peer().proxy("agents/0");
        if from == 0 {
            for _ in 0..2 {
                manager.call("spawn").arg("Trader").await.unwrap();
            }
        }
        let mut bids = Vec::new();
        for second in from + 1..20 {
            manager.call("set_time").arg(format!("{second}s")).await.unwrap();
            bids.push(client.peer().proxy("agents/2").call("set_price").arg(second).await.unwrap());
        }
        // its address is where it is now
        let (_, address): (Value, String) = manager.call("spawn").arg("Trader").returning().await.unwrap();
        assert!(address.starts_with(&url), "{address}");
        manager.call("stop").await.unwrap();
        bids
    };
    let record = night.path("run.jrn");
    let worker = thread::spawn({
        let bind = bind.clone();
        move || app(&["worker", "--bind", &bind, "--seed", "4", "--record", &record])
    });
    let whole = run(drive(&socket, 0));
    assert_eq!(worker.join().unwrap(), "ExitCode(unix_exit_status(0))");
    for part in [50, 66, 82] {
        let journal = cut(&night, part);
        let before = night.inputs("cut.jrn");
        let from = before.iter().filter(|input| input.starts_with("set_time")).count() as i64;
        // where it was, and elsewhere
        let there = if part == 66 { night.path("elsewhere") } else { socket.display().to_string() };
        let worker = thread::spawn({
            let (journal, bind) = (journal.clone(), format!("ipc://[{there}]"));
            move || app(&["resume", &journal, "--bind", &bind])
        });
        let bids = run(drive(Path::new(&there), from));
        assert_eq!(worker.join().unwrap(), "ExitCode(unix_exit_status(0))");
        assert!(bids.len() > 1 && whole.ends_with(&bids[1..]), "cut at {part} %: {bids:?} of {whole:?}");
        good(&["replay", &journal]);
    }
}

#[test]
fn a_run_that_cannot_go_on_says_why_and_what_to_do() {
    let night = Night::new();
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let record = night.path("run.jrn");
    let mosaik = thread::spawn({
        let port = port.clone();
        move || app(&["mosaik", "--listen", &port, "--record", &record])
    });
    run(async {
        let stream = loop {
            match TcpStream::connect(&port).await {
                Ok(stream) => break stream,
                Err(_) => tokio::time::sleep(millis(5)).await,
            }
        };
        let mut connection = Connection::new(stream, ChannelConfig::default());
        ask(&mut connection, r#"["init", ["Traders"], {"time_resolution": 1.0}]"#, |_| Value::Null).await;
    });
    mosaik.join().unwrap();
    assert_eq!(app(&["resume", &night.path("run.jrn")]), "ExitCode(unix_exit_status(2))");
}
