//! `verify` finds what makes a run more than a function of its seed, and names the agent.

use std::process::{Command, Output};

use support::example;

mod support;

fn verify(leak: &str) -> (i32, String) {
    let param = format!("leak={leak}");
    let args = ["verify", "--seeds", "0..8", "--until", "20s", "--param", &param];
    let Output { status, stderr, .. } = Command::new(example("leaks")).args(args).output().expect("it runs");
    (status.code().expect("an exit code"), String::from_utf8(stderr).expect("text"))
}

#[track_caller]
fn is_caught(leak: &str, cause: &str) {
    let (code, text) = verify(leak);
    assert_eq!(code, 3, "{text}");
    assert!(text.contains("agent leaky"), "{text}");
    assert!(text.contains("first difference at event") && text.contains(cause), "{text}");
    let (_, line) = text.split_once("  reproduce ").expect("a line that repeats it");
    let words: Vec<&str> = line.split_whitespace().collect();
    let again = Command::new(words[0]).args(&words[1..]).output().expect("it runs");
    assert_eq!(again.status.code(), Some(3), "{line}\n{}", String::from_utf8_lossy(&again.stderr));
}

#[test]
fn an_agent_that_reads_the_systems_clock_is_caught() {
    is_caught("clock", "a reading of the wall clock");
}

#[test]
fn an_agent_that_measures_with_the_systems_clock_is_caught() {
    is_caught("stopwatch", "a span that was measured on the wall clock");
}

#[test]
fn an_agent_that_goes_through_a_hash_map_is_caught() {
    is_caught("map", "the same in another order");
}

#[test]
fn an_agent_that_adds_up_what_is_in_a_hash_map_is_caught() {
    is_caught("sum", "rounding: a sum in another order");
}

#[test]
fn an_agent_that_keeps_something_beyond_the_run_and_draws_once_more_is_caught() {
    is_caught("static", "an extra random draw");
}

#[test]
fn an_agent_that_draws_without_a_seed_is_caught() {
    is_caught("dice", "a number that no seed determines");
}

#[test]
fn an_agent_that_waits_with_tokios_select_is_caught() {
    is_caught("select", "`isochrone::select!`");
}

#[test]
fn an_agent_that_waits_with_the_biased_select_passes() {
    let (code, text) = verify("none");
    assert_eq!(code, 0, "{text}");
    assert!(text.contains("8 seeds, 8 runs each: every run is a function of its seed"), "{text}");
}
