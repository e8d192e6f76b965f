//! Each example runs and prints what its header promises. The mosaik ones run in tests/mosaik.rs.

use std::process::{Command, Output};

mod support;

fn run(example: &str, arguments: &[&str]) -> (String, String) {
    let Output { status, stdout, stderr } =
        Command::new(support::example(example)).args(arguments).output().expect("the example runs");
    let (stdout, stderr) = (String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap());
    assert!(status.success(), "{example} {arguments:?}: {status}\n{stdout}\n{stderr}");
    (stdout, stderr)
}

fn fingerprint(stderr: &str) -> &str {
    stderr.lines().find_map(|line| line.strip_prefix("fingerprint ")).expect("a summary")
}

#[test]
fn the_first_agent_keeps_its_room_warm_and_its_neighbour_asks_every_ten_minutes() {
    let (stdout, stderr) = run("first_agent", &["sim", "--until", "1h"]);
    let expected =
        "10min: 19.0 °C\n20min: 19.2 °C\n30min: 19.4 °C\n40min: 19.0 °C\n50min: 19.2 °C\n1h: 19.4 °C\n";
    assert_eq!(stdout, expected);
    assert!(stderr.starts_with("2 agents, 6 messages, "), "{stderr}");
}

#[test]
fn the_thread_ring_ends_at_exactly_one_hundred_seconds() {
    let (stdout, _) = run("thread_ring", &[]);
    let expected = "100001 messages, 200001 activations; the clock stands at 100.000000000 s\n";
    assert_eq!(stdout, expected);
}

#[test]
fn ping_pong_prints_the_same_lines_live_and_simulated_and_has_the_same_fingerprint() {
    let simulated = run("ping_pong", &["sim", "--until", "10s"]);
    let live = run("ping_pong", &["live", "--until", "2s"]);
    let lines: Vec<_> = simulated.0.lines().collect();
    assert_eq!(lines.len(), 10);
    assert_eq!((lines[0], lines[9]), ("rally 1 at 100ms", "rally 10 at 1s"));
    assert_eq!(simulated.0, live.0);
    assert_eq!(fingerprint(&simulated.1), fingerprint(&live.1));
}

#[test]
fn the_sensors_of_supervision_fail_and_the_policy_decides() {
    let (stopped, reports) = run("supervision", &["sim", "--until", "1h", "--policy", "stop"]);
    assert_eq!(stopped.lines().count(), 6);
    assert!(
        reports.contains("agent sensor_0 failed at 6min in `read`: SensorError: the wire came off (stopped)"),
        "{reports}"
    );
    let (restarted, reports) = run("supervision", &["sim", "--until", "1h", "--policy", "restart"]);
    assert!(
        reports.contains(
            "agent sensor_0 failed at 6min in `read`: SensorError: the wire came off (restarts at 6m01s)"
        ),
        "{reports}"
    );
    let readings = |text: &str| -> u32 {
        text.lines()
            .last()
            .and_then(|line| line.split([':', ' ']).nth(2)?.parse().ok())
            .expect("a number of readings")
    };
    assert!(readings(&restarted) > readings(&stopped), "{restarted}{stopped}");
}
