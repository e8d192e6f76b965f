//! Runs that go on where a recording ends: after their program was killed, or with another seed. And recordings side by
//! side.

use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use support::example;

mod support;

fn run(folder: &Path, program: &str, args: &[&str]) -> (i32, String) {
    let Output { status, stdout, stderr } =
        Command::new(example(program)).current_dir(folder).args(args).output().expect("it runs");
    let text = [stdout, stderr].map(|text| String::from_utf8(text).expect("text")).concat();
    (status.code().expect("an exit code"), text)
}

#[track_caller]
fn good(folder: &Path, program: &str, args: &[&str]) -> String {
    let (code, text) = run(folder, program, args);
    assert_eq!(code, 0, "{args:?}: {text}");
    text
}

fn fingerprint(text: &str) -> String {
    text.lines().find_map(|line| line.strip_prefix("fingerprint ")).expect(text).to_owned()
}

const SIM: [&str; 7] = ["sim", "--until", "12s", "--seed", "3", "--record", "whole.jrn"];

#[test]
fn a_run_whose_recording_was_cut_anywhere_resumes_to_the_same_end() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let whole = fingerprint(&good(folder, "race", &SIM));
    let bytes = fs::read(folder.join("whole.jrn")).unwrap();
    for part in [30, 50, 51, 80, 99] {
        // as `kill -9` leaves it
        fs::write(folder.join("cut.jrn"), &bytes[..bytes.len() * part / 100]).unwrap();
        let text = good(folder, "race", &["resume", "cut.jrn"]);
        assert_eq!(fingerprint(&text), whole, "cut at {part} %: {text}");
        let text = good(folder, "race", &["diff", "whole.jrn", "cut.jrn"]);
        assert!(text.contains("the same"), "{text}");
        good(folder, "race", &["replay", "cut.jrn"]);
    }
    let (code, text) = run(folder, "race", &["resume", "whole.jrn"]);
    assert!(code != 0 && text.contains("ended"), "{text}");
}

#[test]
fn a_live_run_that_was_killed_goes_on_and_its_journal_replays() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let mut live = Command::new(example("ping_pong"))
        .current_dir(folder)
        .args(["live", "--until", "2s", "--record", "live.jrn"])
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let begun = || fs::metadata(folder.join("live.jrn")).is_ok_and(|journal| journal.len() > 1_500);
    while !begun() && live.try_wait().unwrap().is_none() {
        std::thread::sleep(Duration::from_millis(10));
    }
    live.kill().unwrap();
    live.wait().unwrap();
    let text = good(folder, "ping_pong", &["replay", "live.jrn"]);
    assert!(text.contains("has no end"), "{text}");
    good(folder, "ping_pong", &["resume", "live.jrn"]);
    let text = good(folder, "ping_pong", &["replay", "live.jrn"]);
    assert!(text.contains("the same"), "{text}");
}

#[test]
fn a_fork_has_the_past_of_its_run_and_another_future_and_replays() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    // deposits are drawn at the start: the fork is before all but the first of these
    let sim = ["sim", "--until", "12s", "--seed", "3", "--shuffle", "3", "--record", "whole.jrn"];
    let whole = fingerprint(&good(folder, "race", &sim));
    let fork = ["fork", "whole.jrn", "--at", "16", "--seed", "9", "--record", "fork.jrn"];
    let forked = fingerprint(&good(folder, "race", &fork));
    assert_ne!(forked, whole);
    let text = good(folder, "race", &["replay", "fork.jrn"]);
    assert_eq!(fingerprint(&text), forked);
    let (code, text) = run(folder, "race", &["diff", "whole.jrn", "fork.jrn"]);
    assert_eq!(code, 3, "{text}");
    assert!(text.contains("after 26 records that are the same"), "all start alike: {text}");
    // what the fork has led to, not that it is one
    assert!(text.contains("fork.jrn is a fork of whole.jrn at event 16, with seed 9\n"), "{text}");
    assert!(!text.contains("reseed") && !text.contains("Packed"), "{text}");
    let block = text.split("first difference at event ").nth(1).expect(&text);
    let sentence = |head: &str| block.lines().find_map(|line| line.trim().strip_prefix(head)).expect(&text);
    assert!(sentence("expected ").trim().starts_with("teller_"), "{text}");
    assert_ne!(sentence("expected ").trim(), sentence("actual ").trim(), "{text}");
    let (_, text) = run(folder, "race", &["diff", "fork.jrn", "whole.jrn"]);
    assert!(text.contains("fork.jrn is a fork of whole.jrn at event 16, with seed 9\n"), "{text}");
}

/// A run that draws nothing more and has no order to shuffle goes on as before under any seed.
#[test]
fn a_fork_that_changed_nothing_is_told_to_be_a_fork_and_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    good(folder, "race", &SIM);
    good(folder, "race", &["fork", "whole.jrn", "--at", "60", "--seed", "9", "--record", "fork.jrn"]);
    let text = good(folder, "race", &["diff", "whole.jrn", "fork.jrn"]);
    assert!(text.contains("fork.jrn is a fork of whole.jrn at event 60, with seed 9\nthe same, "), "{text}");
}

#[test]
fn what_a_run_that_goes_on_needs_and_does_not_have_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let sim = ["sim", "--until", "5s", "--record", "few.jrn", "--record-level", "inputs"];
    good(folder, "ping_pong", &sim);
    let (code, text) = run(folder, "ping_pong", &["resume", "few.jrn"]);
    assert!(code == 2 && text.contains("record it with --record-level events"), "{text}");
}
