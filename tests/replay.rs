//! `replay` as a program: its exit codes, and what it says.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use support::example;

mod support;

fn run(folder: &Path, program: &str, args: &[&str]) -> (i32, String) {
    let Output { status, stdout, stderr } =
        Command::new(example(program)).current_dir(folder).args(args).output().expect("it runs");
    let text = [stdout, stderr].map(|text| String::from_utf8_lossy(&text).into_owned()).concat();
    (status.code().expect("an exit code"), text)
}

#[test]
fn every_level_of_every_way_to_run_replays_with_exit_code_0() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    for level in ["inputs", "events", "full"] {
        for (n, way) in [
            &["sim", "--until", "5s"][..],
            &["sim", "--until", "1s", "--pace", "10"],
            &["live", "--until", "300ms"],
        ]
        .into_iter()
        .enumerate()
        {
            let journal = format!("{level}-{n}.jrn");
            let args = [way, &["--seed", "5", "--record", &journal, "--record-level", level]].concat();
            let (code, text) = run(folder, "ping_pong", &args);
            assert_eq!(code, 0, "{args:?}: {text}");
            let (code, text) = run(folder, "ping_pong", &["replay", &journal]);
            assert_eq!(code, 0, "{args:?}: {text}");
            assert!(text.contains("the same"), "{text}");
        }
    }
}

#[test]
fn a_stop_that_lies_beyond_the_end_is_said_to_be_there() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    run(folder, "ping_pong", &["sim", "--until", "2s", "--seed", "5", "--record", "run.jrn"]);
    let (code, text) = run(folder, "ping_pong", &["replay", "run.jrn", "--break-at", "4"]);
    assert!(code == 0 && text.contains("the same up to event 4 at "), "{text}");
    assert!(!text.contains("to stop at"), "{text}");
    let reader = isochrone::journal::Reader::open(folder.join("run.jrn")).unwrap();
    let last = reader.last().unwrap().unwrap().event;
    let there = format!("to stop at: the last event that was recorded is {last}, at 2s");
    for (flag, beyond) in [("--break-at", "no event 4000"), ("--until", "nothing after 1h")] {
        let value = beyond.rsplit(' ').next().unwrap();
        let (code, text) = run(folder, "ping_pong", &["replay", "run.jrn", flag, value]);
        assert_eq!(code, 0, "as without it: {text}");
        assert!(text.contains(&format!("run.jrn: there is {beyond} {there}")), "{text}");
    }
}

#[test]
fn a_run_that_fails_replays_as_the_run_that_fails() {
    let folder = tempfile::tempdir().unwrap();
    let sim = ["sim", "--until", "12s", "--seed", "95", "--shuffle", "95", "--record", "fails.jrn"];
    let (code, recorded) = run(folder.path(), "race", &sim);
    assert_eq!(code, 1, "{recorded}");
    let (code, text) = run(folder.path(), "race", &["replay", "fails.jrn"]);
    assert_eq!(code, 0, "{text}");
    assert!(text.contains("the run failed: agent account failed at"), "{text}");
}

#[test]
fn a_damaged_journal_is_exit_code_4_wherever_the_damage_is() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    run(folder, "ping_pong", &["sim", "--until", "5s", "--record", "whole.jrn"]);
    let whole = fs::read(folder.join("whole.jrn")).unwrap();
    for at in [20, 700, whole.len() / 2, whole.len() - 5] {
        let mut bytes = whole.clone();
        bytes[at] ^= 0x10;
        fs::write(folder.join("damaged.jrn"), bytes).unwrap();
        let (code, text) = run(folder, "ping_pong", &["replay", "damaged.jrn"]);
        assert_eq!(code, 4, "byte {at}: {text}");
        assert!(text.contains("damaged"), "{text}");
    }
    let (code, text) = run(folder, "ping_pong", &["replay", "missing.jrn"]);
    assert!(code == 1 && text.contains("missing.jrn"), "{text}");
}

#[test]
fn another_program_or_configuration_is_exit_code_5_and_what_differs() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    run(folder, "ping_pong", &["sim", "--until", "5s", "--record", "run.jrn"]);
    let (code, text) = run(folder, "race", &["replay", "run.jrn"]);
    assert_eq!(code, 5, "{text}");
    assert!(text.contains("program: ping_pong became race"), "{text}");
}
