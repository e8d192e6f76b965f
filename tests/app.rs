//! The command line that every program gets, as its users meet it: processes, exit codes, what is printed where.

use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

mod support;

/// Exit code, standard output, standard error.
type Ran = (Option<i32>, String, String);

fn command(example: &str, line: &str) -> Command {
    let mut command = Command::new(support::example(example));
    command.args(line.split_whitespace()).stdin(Stdio::null());
    command
}

fn run(example: &str, line: &str) -> Ran {
    let Output { status, stdout, stderr } = command(example, line).output().expect("the example runs");
    (status.code(), String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap())
}

fn fingerprint(stderr: &str) -> String {
    let line = stderr.lines().find_map(|line| line.strip_prefix("fingerprint "));
    line.unwrap_or_else(|| panic!("no fingerprint in {stderr:?}")).to_string()
}

#[test]
fn help_teaches_the_ways_to_run_and_their_flags() {
    let (code, stdout, _) = run("supervision", "--help");
    assert_eq!(code, Some(0));
    for part in ["Sensors that fail at random", "sim ", "live ", "mosaik ", "Usage: supervision"] {
        assert!(stdout.contains(part), "{part:?} in {stdout}");
    }
    for (mode, flags) in [
        ("sim", "--until --seed --start --shuffle --log --policy --param --pace --strict"),
        ("live", "--until --seed --start --max-lag --policy --param"),
        ("mosaik", "--listen --keep --mode --type --api HOST:PORT"),
        ("serve", "--listen --insecure-bind --codec --keep --on-owner-loss --mode --seed HOST:PORT"),
    ] {
        let (code, stdout, _) = run("supervision", &format!("{mode} --help"));
        assert_eq!(code, Some(0));
        for flag in flags.split_whitespace() {
            assert!(stdout.contains(flag), "{flag} in {stdout}");
        }
    }
}

#[test]
fn a_wrong_command_line_exits_with_2_and_says_what_is_wrong() {
    for (line, said) in [
        ("", "Usage"),
        ("simulate", "simulate"),
        ("sim --unti 1h", "--unti"),
        ("sim --until tomorrow", "tomorrow"),
        ("sim --seed x", "'x'"),
        ("sim --seed -5", "\"-5\" is no seed: write a whole number from 0 to"),
        ("live --shuffle -5", "\"-5\" is no seed"),
        ("sim --until -5s", "--until -5s is before the run begins, at 0s"),
        ("sim --until=-5s", "before the run begins"),
        ("live --until -1h", "--until -1h is before the run begins"),
        ("sim --policy forgive", "stop, restart or escalate"),
        ("sim --start yesterday", "yesterday"),
        ("sim --pace 0", "positive"),
        ("sim --strict 1s", "--pace"),
        ("live --max-lag -1s", "-1"),
        ("mosaik", "HOST:PORT"),
        ("mosaik 127.0.0.1:5 --listen 127.0.0.1:5", "cannot be used with"),
        ("mosaik 127.0.0.1:5 --mode sideways", "exact, window=15min or ahead"),
        ("mosaik --keep 127.0.0.1:5", "--keep"),
        ("serve --on-owner-loss cry", "stop or wait"),
        ("serve --codec morse", "json, msgpack or blosc"),
        ("serve --listen nowhere", "nowhere"),
        ("serve --mode sideways", "exact, window=15min or ahead"),
        ("serve --param sensor=3", r#"there is no parameter "sensor""#),
        ("sim --param sensors", "name=value"),
        ("sim --param sensor=3", r#"there is no parameter "sensor": it takes sensors, risk"#),
        ("sim --param sensors=many", "sensors"),
        ("live --param sensor=3", r#"there is no parameter "sensor""#),
    ] {
        let (code, stdout, stderr) = run("supervision", line);
        assert_eq!(code, Some(2), "{line:?}: {stderr}");
        assert!(stderr.contains(said), "{line:?} said {stderr:?}");
        assert_eq!(stdout, "", "{line:?}");
    }
    let (code, _, stderr) = run("first_agent", "sim --param sensors=3");
    assert_eq!((code, stderr.trim()), (Some(2), r#"error: there is no parameter "sensors": it takes none"#));
}

#[test]
fn a_simulated_run_ends_with_a_summary_on_stderr_and_exit_code_0() {
    let (code, stdout, stderr) = run("first_agent", "sim --until 1h");
    assert_eq!(code, Some(0));
    assert_eq!(stdout.lines().count(), 6, "what agents print is all of it: {stdout}");
    for part in [
        "2 agents, 6 messages",
        "activations",
        "1h simulated in",
        "0 dead letters",
        "0 failures",
        "fingerprint ",
    ] {
        assert!(stderr.contains(part), "{part:?} in {stderr}");
    }
    assert_eq!(fingerprint(&stderr).len(), 16);
}

#[test]
fn the_fingerprint_is_the_same_twice_and_another_one_with_another_seed() {
    let print =
        |line: &str| fingerprint(&run("supervision", &format!("sim --until 2h --policy restart {line}")).2);
    let first = print("");
    assert_eq!(print(""), first);
    assert_eq!(print("--seed 0"), first, "the default is written in the help");
    assert_ne!(print("--seed 1"), first);
    assert_ne!(print("--param sensors=4"), first);
    assert_eq!(print("--start 2016-05-22"), first, "the calendar is no part of the trace");
    // first_agent draws nothing
    let of = |line: &str| fingerprint(&run("first_agent", line).2);
    assert_eq!(of("sim --until 1h --seed 1"), of("sim --until 1h --seed 2"));
}

#[test]
fn a_paced_run_is_the_same_run_only_slower() {
    let free = run("supervision", "sim --until 1h --policy stop");
    let started = Instant::now();
    let paced = run("supervision", "sim --until 1h --policy stop --pace 7200");
    assert!(started.elapsed() >= Duration::from_millis(500));
    assert_eq!((paced.0, &paced.1), (free.0, &free.1));
    assert_eq!(fingerprint(&paced.2), fingerprint(&free.2));
}

#[test]
fn a_failing_agent_ends_the_run_with_exit_code_1_and_a_line_that_names_agent_time_and_task() {
    let (code, _, stderr) = run("supervision", "sim --until 1h");
    assert_eq!(code, Some(1));
    let expected = "error: agent sensor_0 failed at 6min in `read`: SensorError: the wire came off";
    assert_eq!(stderr.lines().last(), Some(expected));
    assert_eq!(stderr.matches("the wire came off").count(), 1, "told once: {stderr}");
    fingerprint(&stderr);
    let (code, _, stderr) = run("supervision", "sim --until 1h --policy escalate");
    assert_eq!((code, stderr.lines().last()), (Some(1), Some(expected)));
}

#[test]
fn a_failing_agent_under_stop_and_restart_is_a_report_and_exit_code_0() {
    for (policy, outcome) in [("stop", "(stopped)"), ("restart", "(restarts at 6m01s)")] {
        let (code, stdout, stderr) = run("supervision", &format!("sim --until 1h --policy {policy}"));
        assert_eq!(code, Some(0), "{stderr}");
        let expected =
            format!("agent sensor_0 failed at 6min in `read`: SensorError: the wire came off {outcome}");
        assert!(stderr.lines().any(|line| line == expected), "{stderr}");
        assert_eq!(stdout.lines().count(), 6, "the run goes on");
        assert!(!stderr.contains("error:"), "{stderr}");
    }
}

#[test]
fn parameters_reach_the_scenario() {
    let (_, stdout, stderr) = run("supervision", "sim --until 10min --param sensors=20 --param risk=0");
    assert_eq!(stdout.split(" readings").next(), Some("10min: 180"), "{stdout}");
    assert!(stderr.starts_with("21 agents, 200 messages"), "{stderr}");
}

#[test]
fn without_mosaik_at_its_address_a_simulator_exits_with_1_and_says_so() {
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let (code, stdout, stderr) = run("mosaik_reference", &format!("mosaik {nobody}"));
    assert_eq!((code, stdout.as_str()), (Some(1), ""));
    assert!(stderr.starts_with(&format!("error: {nobody}: mosaik cannot be reached there: ")), "{stderr}");
    assert_eq!(stderr.lines().count(), 1, "{stderr}");
    let (code, _, stderr) = run("mosaik_reference", "mosaik nowhere");
    assert_eq!(code, Some(1));
    assert!(stderr.contains("nowhere"), "{stderr}");
}

#[cfg(unix)]
mod ctrl_c {
    use std::io::Read;
    use std::process::Child;
    use std::thread;

    use super::*;

    /// Sends SIGINT once the program has been running for a while, and waits for its end.
    fn interrupt(mut child: Child, after: Duration) -> Ran {
        // read all along: a program whose pipe is full waits for its reader, and hears nothing
        let (stdout, stderr) = (read_all(child.stdout.take()), read_all(child.stderr.take()));
        thread::sleep(after);
        let kill = Command::new("kill").args(["-INT", &child.id().to_string()]).status().expect("kill");
        assert!(kill.success(), "the program had ended before");
        let sent = Instant::now();
        let status = loop {
            if let Some(status) = child.try_wait().unwrap() {
                break status;
            }
            if sent.elapsed() > Duration::from_secs(20) {
                let _ = child.kill();
                panic!("Ctrl-C was not heard");
            }
            thread::sleep(Duration::from_millis(5));
        };
        (status.code(), stdout.join().unwrap(), stderr.join().unwrap())
    }

    fn read_all(pipe: Option<impl Read + Send + 'static>) -> thread::JoinHandle<String> {
        thread::spawn(move || {
            let mut text = String::new();
            pipe.expect("a pipe").read_to_string(&mut text).expect("text");
            text
        })
    }

    fn start(example: &str, line: &str) -> Child {
        let mut command = command(example, line);
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the example runs")
    }

    /// Long enough for a program to have set its handler, on a loaded machine too.
    const A_WHILE: Duration = Duration::from_secs(1);

    #[test]
    fn ctrl_c_is_the_normal_end_of_a_live_run() {
        let (code, stdout, stderr) = interrupt(start("ping_pong", "live"), A_WHILE);
        assert_eq!(code, Some(0), "{stderr}");
        assert!(stdout.starts_with("rally 1 at 100ms\n"), "{stdout}");
        assert!(stderr.contains("2 agents, ") && stderr.contains("simulated in"), "{stderr}");
        fingerprint(&stderr);
    }

    #[test]
    fn ctrl_c_ends_a_simulated_run_with_the_summary_and_130() {
        // 273 years of a reading a minute take minutes
        let (code, _, stderr) =
            interrupt(start("supervision", "sim --until 100000d --param risk=0 --param sensors=1"), A_WHILE);
        assert_eq!(code, Some(130), "{stderr}");
        assert!(stderr.starts_with("2 agents, "), "{stderr}");
        assert!(stderr.lines().last().unwrap().starts_with("interrupted at "), "{stderr}");
        fingerprint(&stderr);
    }

    #[test]
    fn ctrl_c_ends_a_paced_run_that_sleeps_and_programs_that_wait_for_a_simulator() {
        let (code, _, stderr) = interrupt(start("first_agent", "sim --pace 1"), A_WHILE);
        assert_eq!(code, Some(130), "{stderr}");
        fingerprint(&stderr);
        let (code, _, stderr) = interrupt(start("mosaik_reference", "mosaik --listen 127.0.0.1:0"), A_WHILE);
        assert_eq!(code, Some(130), "{stderr}");
        let (code, stdout, stderr) = interrupt(start("mosaik_reference", "serve --keep"), A_WHILE);
        assert_eq!(code, Some(130), "{stderr}");
        assert!(stdout.starts_with("listening at tcp://127.0.0.1:"), "{stdout}");
    }
}
