//! The examples as simulators of the real mosaik: the scripts in `tests/peers/mosaik/`, against this build.
//!
//! Each test runs one script; what it prints is printed when it fails. The first run installs mosaik and pandapower
//! into the target directory, see `peers/setup.rs`.

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;

use isochrone::journal::{Reader, Record};

#[path = "support/example.rs"]
mod example;
#[path = "peers/setup.rs"]
mod setup;

#[test]
fn the_reference_model_gives_the_same_traces_as_pythons_when_mosaik_starts_it() {
    run("acceptance.py", &["--stock", "--cmd", &format!("{} mosaik %(addr)s", example("mosaik_reference"))]);
}

#[test]
fn the_reference_model_gives_the_same_traces_as_pythons_when_mosaik_connects_to_it() {
    let address = free_address();
    let spawn = format!("{} mosaik --listen {address}", example("mosaik_reference"));
    run("acceptance.py", &["--stock", "--connect", &address, "--spawn", &spawn]);
}

#[test]
fn modes_types_async_requests_failures_and_ends_are_what_more_py_expects() {
    run("more.py", &["--cmd", &format!("{} mosaik %(addr)s", example("mosaik_more"))]);
}

#[test]
fn batteries_in_rust_and_in_python_agree_on_a_day_of_a_low_voltage_grid() {
    run("e2e_energy.py", &["--cmd", &format!("{} mosaik %(addr)s", example("mosaik_battery"))]);
}

/// Runs a script of `tests/peers/mosaik/` and fails with what it printed.
fn run(script: &str, arguments: &[&str]) {
    let path = setup::root().join("tests/peers/mosaik").join(script);
    let out = Command::new(setup::python())
        .arg(path)
        .args(arguments)
        .current_dir(setup::root())
        .output()
        .expect("the interpreter was just made");
    let said = String::from_utf8_lossy(&out.stdout);
    let complained = String::from_utf8_lossy(&out.stderr);
    assert!(out.status.success(), "{script} {arguments:?}: {}\n{said}\n{complained}", out.status);
    println!("{said}");
}

fn example(name: &str) -> String {
    example::example(name).display().to_string()
}

/// An address where nobody listens right now.
fn free_address() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("it is bound").to_string()
}

/// Broken once: `Session::answer` did not record replies; then the changed battery was not noticed.
#[test]
fn the_energy_scenario_replays_without_python_and_a_changed_battery_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let journal = folder.path().join("energy.jrn");
    let battery = example("mosaik_battery");
    let command = format!("{battery} mosaik %(addr)s --record {}", journal.display());
    run("e2e_energy.py", &["--cmd", &command]);

    let (code, text) = replay(&battery, &journal, &[]);
    assert_eq!(code, 0, "{text}");
    assert!(text.contains("the same"), "{text}");

    let changed = changed_battery(folder.path());
    let (code, text) = replay(&changed, &journal, &[]);
    assert_eq!(code, 5, "{text}");
    assert!(text.contains("build executable: ") && text.contains(" became "), "{text}");

    let (code, text) = replay(&changed, &journal, &["--force"]);
    assert_eq!(code, 3, "{text}");
    let block = text.split("first difference").nth(1).expect("a block");
    assert!(block.contains("agent bat_") && block.contains("t = "), "{text}");
    let differs = block.lines().find(|line| line.trim_start().starts_with("differs")).expect("both values");
    assert!(
        differs.contains("value.bat_") && differs.contains(".p_bat: ") && differs.contains(" became "),
        "{text}"
    );
    assert!(block.contains("reproduce"), "{text}");

    let (code, text) = replay(&changed, &journal, &["--against"]);
    assert_eq!(code, 3, "what leaves the run is another thing: {text}");
}

/// A run of `more.py`, recorded.
fn recorded(folder: &Path, scenario: &str) -> PathBuf {
    let journal = folder.join("run.jrn");
    let command = format!("{} mosaik %(addr)s --record {}", example("mosaik_more"), journal.display());
    run("more.py", &["--only", scenario, "--cmd", &command]);
    journal
}

/// What mosaik asked, and the agents whose code ran.
fn asked(journal: &Path) -> (Vec<String>, Vec<String>) {
    let (mut asked, mut started) = (Vec::new(), Vec::new());
    for entry in Reader::open(journal).unwrap() {
        match entry.unwrap().record {
            Record::Request { content, .. } => asked.push(content.to_string()),
            Record::Started { agent } => started.push(agent.to_string()),
            _ => {}
        }
    }
    (asked, started)
}

fn ask(args: &[&str]) -> (i32, String) {
    let out = Command::new(example("mosaik_more")).args(args).output().unwrap();
    let text = [out.stdout, out.stderr].map(|text| String::from_utf8_lossy(&text).into_owned()).concat();
    (out.status.code().unwrap(), text)
}

#[test]
fn a_run_that_failed_under_mosaik_is_shrunk_to_the_input_that_an_agent_does_not_bear() {
    let folder = tempfile::tempdir().unwrap();
    let journal = recorded(folder.path(), "a_panic_under_escalate");
    let (before, started) = asked(&journal);
    assert!(before.len() == 6 && started == ["bomb_0", "bomb_1"], "{before:?} {started:?}");
    let smaller = folder.path().join("smaller.jrn");
    let paths = [&journal, &smaller].map(|path| path.display().to_string());
    let (code, text) = ask(&["shrink", &paths[0], "--to", &paths[1]]);
    assert_eq!(code, 0, "{text}");
    assert!(text.contains("agent bomb_0 failed at 50s in poke: boom"), "{text}");
    let (left, started) = asked(&smaller);
    assert_eq!(left.len(), 3, "init, create, and the step with the 13: {left:?}");
    assert!(left[2].starts_with("[\"step\"") && left[2].contains("[13]"), "{left:?}");
    assert_eq!(started, ["bomb_0"], "the other is left out");
    let (code, text) = ask(&["replay", &paths[1]]);
    assert_eq!(code, 0, "{text}");
}

#[test]
fn a_run_under_mosaik_is_forked_and_what_agents_ask_is_answered_as_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let journal = recorded(folder.path(), "async_get_related_entities_in_three_forms");
    let fork = folder.path().join("fork.jrn");
    let paths = [&journal, &fork].map(|path| path.display().to_string());
    let (code, text) = ask(&["fork", &paths[0], "--at", "12", "--seed", "9", "--record", &paths[1]]);
    assert_eq!(code, 0, "{text}");
    assert_eq!(asked(&fork), asked(&journal));
    let (code, text) = ask(&["replay", &paths[1]]);
    assert_eq!(code, 0, "{text}");
    let (code, text) = ask(&["diff", &paths[0], &paths[1]]);
    assert_eq!(code, 0, "{text}");
    // its agents draw nothing
    assert!(text.contains("is a fork of") && text.contains("the same, "), "{text}");
    let answered = Reader::open(&fork).unwrap().map(|entry| entry.unwrap());
    let answered = answered.filter(|entry| entry.event > 12 && matches!(entry.record, Record::Result { .. }));
    assert!(answered.count() > 0, "something was asked after the fork");
}

fn replay(program: &str, journal: &Path, flags: &[&str]) -> (i32, String) {
    // nothing but the program and the journal: no interpreter, no network
    let out = Command::new(program).arg("replay").arg(journal).args(flags).env_clear().output().unwrap();
    (out.status.code().unwrap(), String::from_utf8_lossy(&out.stderr).into_owned())
}

/// The example with another voltage at which it charges, built of what this test was built of.
fn changed_battery(folder: &Path) -> String {
    let source = fs::read_to_string(setup::root().join("examples/mosaik_battery.rs")).unwrap();
    let changed = source.replace("const HIGH_PU: f64 = 1.03;", "const HIGH_PU: f64 = 0.97;");
    assert_ne!(changed, source, "the constant is there");
    // a program of one file has no dependencies but ours
    let changed = changed.replace("use serde::", "use isochrone::serde::");
    let changed = changed.replace("#[serde(default)]", "#[serde(default, crate = \"isochrone::serde\")]");
    let (main, program) = (folder.join("mosaik_battery.rs"), folder.join("mosaik_battery"));
    fs::write(&main, changed).unwrap();
    let test = std::env::current_exe().expect("a test knows where it is");
    let deps = test.parent().expect("target/PROFILE/deps");
    let is_ours = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        name.starts_with("libisochrone-") && name.ends_with(".rlib")
    };
    let built = fs::read_dir(deps).unwrap().map(|entry| entry.unwrap().path()).filter(is_ours);
    let newest = built.max_by_key(|path| path.metadata().unwrap().modified().unwrap()).expect("our library");
    let compiled = Command::new(std::env::var("RUSTC").unwrap_or_else(|_| "rustc".into()))
        .args(["--edition", "2024", "-L", &format!("dependency={}", deps.display())])
        .args(["--extern", &format!("isochrone={}", newest.display()), "-o"])
        .args([&program, &main])
        .output()
        .expect("rustc");
    assert!(compiled.status.success(), "{}", String::from_utf8_lossy(&compiled.stderr));
    program.display().to_string()
}
