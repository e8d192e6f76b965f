//! A program on the wall clock and on the network: `live --bind`.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};

use net::run;

#[path = "support/aiomas.rs"]
#[allow(dead_code, reason = "each test uses its part")]
mod aiomas;
#[path = "support/net.rs"]
#[allow(dead_code, reason = "each test uses its part")]
mod net;
mod support;

struct Live(Child);

impl Drop for Live {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The first agent, live; and what it said of its address.
fn first_agent(args: &[&str]) -> (Live, String) {
    let mut command = Command::new(support::example("first_agent"));
    command.arg("live").args(args).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = Live(command.spawn().unwrap());
    let mut line = String::new();
    BufReader::new(child.0.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
    (child, line.trim_end().strip_prefix("listening at ").unwrap_or_else(|| panic!("{line:?}")).to_string())
}

#[cfg(unix)]
#[test]
fn a_program_of_aiomas_calls_the_agents_of_a_live_program_until_ctrl_c() {
    let (mut live, address) = first_agent(&["--bind", "tcp://localhost:0", "--codec", "msgpack"]);
    assert!(address.starts_with("tcp://localhost:") && !address.ends_with(":0"), "{address}");
    let call = |agent: &str, method: &str| {
        let (there, url) = (format!("127.0.0.1:{}", aiomas::free_port()), format!("{address}/{agent}"));
        run(aiomas::run(&["connect", &there, &url, method, "--codec", "msgpack"]))
    };
    let said = call("room", "temperature");
    assert!(said.contains(r#""result": 20.0"#), "{said}");
    let said = call("1", "temperature");
    assert!(said.contains("LookupError"), "the neighbour exposes nothing: {said}");
    let said = call("cellar", "temperature");
    assert!(said.contains("does not exist"), "{said}");
    let interrupted = Command::new("kill").args(["-INT", &live.0.id().to_string()]).status().unwrap();
    assert!(interrupted.success());
    let mut told = String::new();
    live.0.stderr.take().unwrap().read_to_string(&mut told).unwrap();
    assert!(live.0.wait().unwrap().success(), "{told}");
    assert!(told.contains("2 agents"), "{told}");
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
    assert_eq!(refused(&["--bind", "localhost:0"], "tcp://host:port"), Some(1));
    assert_eq!(refused(&["--advertise", "tcp://a:1"], "--bind"), Some(2));
    assert_eq!(
        refused(&["--bind", "tcp://localhost:0", "--codec", "xml"], "json, msgpack or blosc"),
        Some(2)
    );
    assert_eq!(refused(&["--bind", "tcp://localhost:0", "--allow", "everybody"], "IDENTITY=PATH"), Some(2));
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
    let there = format!("127.0.0.1:{}", aiomas::free_port());
    let said = run(aiomas::run(&["connect", &there, &format!("tcp://127.0.0.1:{port}/room"), "temperature"]));
    assert!(said.contains(r#""result": 20.0"#), "{said}");
}
