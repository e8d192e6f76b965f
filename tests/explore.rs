//! A rare race is searched for by seed, comes back smaller, and with one line that repeats it every time.

use std::path::Path;
use std::process::{Command, Output};

use isochrone::journal::{Reader, Record};
use support::example;

mod support;

fn race(folder: &Path, args: &[&str]) -> (i32, String) {
    let Output { status, stdout, stderr } =
        Command::new(example("race")).current_dir(folder).args(args).output().expect("it runs");
    let text = [stdout, stderr].map(|text| String::from_utf8(text).expect("text")).concat();
    (status.code().expect("an exit code"), text)
}

/// What follows a word at the beginning of a line.
fn told(text: &str, word: &str) -> String {
    let line = text.lines().find_map(|line| line.trim_start().strip_prefix(word));
    line.unwrap_or_else(|| panic!("no {word} in:\n{text}")).trim().to_owned()
}

#[test]
fn a_lost_update_is_found_shrunk_and_fails_every_time() {
    let folder = tempfile::tempdir().unwrap();
    let (code, text) =
        race(folder.path(), &["explore", "--seeds", "0..1000", "--until", "12s", "--jobs", "2"]);
    assert_eq!(code, 3, "{text}");
    assert!(text.contains("\"no deposit is lost\" does not hold"), "{text}");
    let journal = told(&text, "journal").split(' ').next().unwrap().to_owned();

    let (code, text) = race(folder.path(), &["shrink", &journal]);
    assert_eq!(code, 0, "{text}");
    // two tellers ask for the balance, are answered, and set it; the last is not answered any more
    let smaller = folder.path().join(told(&text, "journal"));
    let sent = Reader::open(&smaller).unwrap().map(Result::unwrap);
    let sent = sent.filter(|entry| matches!(entry.record, Record::Sent { .. })).count();
    assert!(sent <= 4, "{sent} messages: {text}");

    let line = told(&text, "reproduce");
    let words: Vec<&str> = line.split(' ').skip(1).collect();
    for _ in 0..20 {
        let (code, text) = race(folder.path(), &words);
        assert_eq!(code, 1, "{text}");
        assert!(text.contains("no deposit is lost"), "{text}");
    }
    let (code, text) = race(folder.path(), &["replay", smaller.to_str().unwrap()]);
    assert_eq!(code, 0, "the journal is of that very run: {text}");
    assert!(text.contains("the run failed"), "{text}");
}

#[test]
fn with_a_swarm_of_faults_the_race_is_found_sooner_and_needs_few_of_them() {
    let folder = tempfile::tempdir().unwrap();
    let args = ["explore", "--seeds", "0..1000", "--until", "12s", "--swarm", "--liveness", "20s"];
    let (code, text) = race(folder.path(), &args);
    assert_eq!(code, 3, "{text}");
    let found = told(&text, "reproduce");
    let journal = told(&text, "journal").split(' ').next().unwrap().to_owned();
    let (_, text) = race(folder.path(), &["shrink", &journal]);
    let faults = |line: &str| line.matches("--fault").count();
    let smaller = told(&text, "reproduce");
    assert!(faults(&found) > 1 && faults(&smaller) <= 1, "{found}\n{smaller}");
}

#[test]
fn a_search_that_finds_nothing_keeps_nothing_and_says_what_it_has_seen() {
    let folder = tempfile::tempdir().unwrap();
    let (code, text) = race(folder.path(), &["explore", "--seeds", "0..20", "--until", "12s"]);
    assert_eq!(code, 0, "{text}");
    assert!(text.contains("20 runs, 0 faults, 0 failures"), "{text}");
    assert!(text.contains("\"the last teller finds all others' money\" held 20 times of 240"), "{text}");
    assert!(!folder.path().join("target").exists());
}

#[test]
fn a_state_that_a_search_has_never_seen_is_a_failure() {
    let folder = tempfile::tempdir().unwrap();
    let args = ["explore", "--seeds", "0..3", "--until", "3s"];
    let (code, text) = race(folder.path(), &args);
    assert_eq!(code, 3, "{text}");
    assert!(text.contains("never held") && text.contains("3 runs, 0 faults, 0 failures"), "{text}");
}
