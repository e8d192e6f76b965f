//! A program on the wall clock and on the network: `live --bind`.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;

use aiomas::programs::{Program, free_port};
use isochrone::prelude::*;
use net::run;

#[path = "support/aiomas.rs"]
#[allow(dead_code, reason = "each test uses its part")]
mod aiomas;
#[cfg(feature = "tls")]
#[path = "support/authority.rs"]
#[allow(dead_code, reason = "each test uses its part")]
mod authority;
#[path = "support/net.rs"]
#[allow(dead_code, reason = "each test uses its part")]
mod net;
#[path = "support/strangers.rs"]
#[allow(dead_code, reason = "each test uses its part")]
mod strangers;
mod support;

/// The first agent, live; and what it said of its address.
fn first_agent(args: &[&str]) -> (Program, String) {
    let program = Program::start(Command::new(support::example("first_agent")).arg("live").args(args));
    let line = program.line();
    (program, line.strip_prefix("listening at ").unwrap_or_else(|| panic!("{line:?}")).to_string())
}

#[cfg(unix)]
#[test]
fn a_program_of_aiomas_calls_the_agents_of_a_live_program_until_ctrl_c() {
    let (live, address) = first_agent(&["--bind", "tcp://localhost:0", "--codec", "msgpack"]);
    assert!(address.starts_with("tcp://localhost:") && !address.ends_with(":0"), "{address}");
    let call = |agent: &str, method: &str| {
        let (there, url) = (format!("127.0.0.1:{}", free_port()), format!("{address}/{agent}"));
        run(aiomas::run(&["connect", &there, &url, method, "--codec", "msgpack"]))
    };
    let said = call("room", "temperature");
    assert!(said.contains(r#""result": 20.0"#), "{said}");
    let said = call("1", "temperature");
    assert!(said.contains("LookupError"), "the neighbour exposes nothing: {said}");
    let said = call("cellar", "temperature");
    assert!(said.contains("does not exist"), "{said}");
    live.interrupt();
    let ended = live.ended();
    assert!(ended.status.success() && ended.complained.concat().contains("2 agents"), "{ended:?}");
}

#[test]
fn what_cannot_be_bound_is_said_with_the_remedy() {
    let refused = |args: &[&str], says: &str| {
        let output = Command::new(support::example("first_agent")).arg("live").args(args).output().unwrap();
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && text.contains(says), "{text}");
        output.status.code()
    };
    assert_eq!(refused(&["--bind", "tcp://0.0.0.0:0"], "--insecure-bind"), Some(1));
    // what is wrong on the command line is no failed run
    assert_eq!(refused(&["--bind", "localhost:0"], "tcp://host:port"), Some(2));
    #[cfg(feature = "tls")]
    for files in ["ca.pem,none.pem,none.key", "ca.pem"] {
        assert_eq!(refused(&["--bind", "tcp://localhost:0", "--tls", files], files), Some(2));
    }
    assert_eq!(refused(&["--codec", "json"], "--bind"), Some(2));
    assert_eq!(refused(&["--bind", "tcp://localhost:0", "--advertise", "a:1"], "tcp://host:port"), Some(2));
    assert_eq!(refused(&["--advertise", "tcp://a:1"], "--bind"), Some(2));
    assert_eq!(
        refused(&["--bind", "tcp://localhost:0", "--codec", "xml"], "json, msgpack or blosc"),
        Some(2)
    );
    assert_eq!(refused(&["--bind", "tcp://localhost:0", "--allow", "everybody"], "IDENTITY=PATH"), Some(2));
}

/// Broken once: nobody heard why, for whoever sends such a frame hears of the end only.
#[cfg(unix)]
#[test]
fn who_was_cut_and_why_is_on_the_log() {
    let (live, address) = first_agent(&["--bind", "tcp://127.0.0.1:0"]);
    let mut stream = TcpStream::connect(address.strip_prefix("tcp://").unwrap()).unwrap();
    let from = stream.local_addr().unwrap();
    stream.write_all(&100_000_u32.to_be_bytes()).unwrap();
    assert_eq!(stream.read(&mut [0]).unwrap_or(0), 0, "it is cut");
    live.interrupt();
    let told = live.ended().complained.join("\n");
    let says = format!(
        "{from}: the peer announced a frame of 100000 bytes, the limit is 65536 until its first valid message"
    );
    assert!(told.contains(&says), "{told}");
}

#[test]
fn where_it_is_found_may_be_told_apart_from_where_it_listens() {
    let (_live, address) = first_agent(&[
        "--bind",
        "tcp://0.0.0.0:0",
        "--insecure-bind",
        "--advertise",
        "tcp://grid.example.org:0",
    ]);
    let port = address.strip_prefix("tcp://grid.example.org:").unwrap_or_else(|| panic!("{address}"));
    assert_ne!(port, "0");
    let there = format!("127.0.0.1:{}", free_port());
    let said = run(aiomas::run(&["connect", &there, &format!("tcp://127.0.0.1:{port}/room"), "temperature"]));
    assert!(said.contains(r#""result": 20.0"#), "{said}");
}

/// Meets somebody elsewhere, passes itself, and is called.
#[derive(Default)]
struct Friend {
    peer: String,
    heard: Vec<f64>,
}

#[agent]
impl Friend {
    #[every(millis = 50)]
    async fn talk(this: This<Self>) -> Result<(), CallError> {
        let peer = Proxy::connect(&this.with(|me| me.peer.clone()), secs(5)).await?;
        let told: f64 = peer.call("call_back").arg(this.proxy()).arg(1.5).returning().await?;
        this.with(|me| me.heard.push(told));
        peer.call("note").arg(told).send();
        Ok(())
    }

    #[expose]
    fn double(&mut self, x: f64) -> f64 {
        2.0 * x
    }
}

#[test]
fn a_live_run_on_the_network_is_replayed_without_one() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("run.jrn").display().to_string();
    let app = |peer: String| {
        App::new("friends").scenario(move |world| {
            world.add("friend", Friend { peer: peer.clone(), heard: Vec::new() })?;
            Ok(())
        })
    };
    let peer = run(async {
        let stranger = strangers::start().await;
        let (peer, record) = (stranger.address("stranger"), path.clone());
        let there = peer.clone();
        let (ended, live) = tokio::sync::oneshot::channel();
        std::thread::spawn(move || {
            let args =
                ["friends", "live", "--bind", "tcp://127.0.0.1:0", "--until", "700ms", "--record", &record];
            ended.send(format!("{:?}", app(there).run(args)))
        });
        assert_eq!(live.await.unwrap(), format!("{:?}", ExitCode::SUCCESS));
        stranger.stop().await;
        peer
    });
    // nobody is there any more
    let replayed = app(peer).run(["friends", "replay", &path]);
    assert_eq!(format!("{replayed:?}"), format!("{:?}", ExitCode::SUCCESS));
    let journal = isochrone::journal::Reader::open(std::path::Path::new(&path)).unwrap();
    let calls = journal
        .filter(|entry| matches!(entry.as_ref().unwrap().record, isochrone::journal::Record::Call { .. }));
    assert!(calls.count() > 3, "the stranger has called back");
}

/// Broken once: the files were read, which are not on the desk where the night is replayed.
#[cfg(feature = "tls")]
#[test]
fn an_encrypted_run_is_replayed_without_its_certificates() {
    let dir = tempfile::tempdir().unwrap();
    let files = authority::Authority::new().files(dir.path(), &["localhost"], "localhost");
    let path = dir.path().join("run.jrn").display().to_string();
    let live = ["--bind", "tcp://localhost:0", "--tls", &files, "--until", "200ms", "--record", &path];
    first_agent(&live).0.finish();
    for file in files.split(',') {
        std::fs::remove_file(file).unwrap();
    }
    let mut replay = Command::new(support::example("first_agent"));
    let ended = Program::start(replay.args(["replay", &path])).ended();
    assert!(ended.status.success(), "{ended:?}");
}

#[test]
fn agents_of_simulated_time_talk_to_others_too_and_the_port_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let (ended, told) = std::sync::mpsc::channel();
    let paths = [0, 1].map(|n| dir.path().join(format!("{n}.jrn")).display().to_string());
    let record = paths.clone();
    run(async {
        let stranger = strangers::start().await;
        let peer = stranger.address("stranger");
        let simulated = std::thread::spawn(move || {
            for path in &record {
                let peer = peer.clone();
                let app = App::new("friends").scenario(move |world| {
                    world.add("friend", Friend { peer: peer.clone(), heard: Vec::new() })?;
                    Ok(())
                });
                let args =
                    ["friends", "sim", "--bind", "tcp://127.0.0.1:0", "--until", "500ms", "--record", path];
                ended.send(format!("{:?}", app.run(args))).unwrap();
            }
        });
        while !simulated.is_finished() {
            tokio::time::sleep(millis(5)).await;
        }
        stranger.stop().await;
    });
    assert_eq!(told.iter().collect::<Vec<_>>(), vec![format!("{:?}", ExitCode::SUCCESS); 2]);
    let fingerprint = |path: &String| {
        let journal = isochrone::journal::Reader::open(std::path::Path::new(path)).unwrap();
        let end = journal.filter_map(|entry| match entry.unwrap().record {
            isochrone::journal::Record::End { fingerprint, .. } => Some(fingerprint),
            _ => None,
        });
        end.last().unwrap()
    };
    assert_eq!(fingerprint(&paths[0]), fingerprint(&paths[1]));
}
