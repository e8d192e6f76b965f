//! The promise: `isochrone demo` keeps the transformer within its rating whatever the seed and the order, and says so
//! by checks that are computed; the same run twice is the same to the last bit.

use std::error::Error;
use std::path::PathBuf;
use std::process::{Command, Output};

/// Runs the demo; the report goes to a file of the test's own.
fn demo(name: &str, arguments: &[&str]) -> Result<Output, Box<dyn Error>> {
    let report = report(name);
    let mut command = Command::new(env!("CARGO_BIN_EXE_isochrone"));
    Ok(command.arg("demo").args(arguments).arg("--report").arg(report).output()?)
}

fn report(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("demo").join(name).join("report.html")
}

/// What a run that has to succeed prints.
fn said(name: &str, arguments: &[&str]) -> Result<String, Box<dyn Error>> {
    let output = demo(name, arguments)?;
    let text = String::from_utf8(output.stdout)?;
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {}\n{text}\n{complaint}", output.status);
    Ok(text)
}

fn fingerprint(text: &str) -> Option<&str> {
    text.lines().find_map(|line| line.strip_prefix("fingerprint:"))?.split_whitespace().next()
}

const ALL_OK: &str =
    "checks: energy balance ok, every call for proposals answered or timed out ok, limit kept ok";

#[test]
fn a_week_keeps_the_limit_and_the_report_shows_it() -> Result<(), Box<dyn Error>> {
    let text = said("week", &["--check-order"])?;
    assert_eq!(text.lines().last(), Some(ALL_OK), "{text}");
    assert!(text.lines().any(|line| line.starts_with("order:") && line.ends_with(" events ok")), "{text}");
    let page = std::fs::read_to_string(report("week"))?;
    for wanted in [
        "negotiated",
        "One negotiation",
        "call for proposals",
        "award",
        "confirm",
        "fingerprint",
        "limit kept",
    ] {
        assert!(page.contains(wanted), "no {wanted:?} in the report");
    }
    Ok(())
}

#[test]
fn every_seed_and_a_shuffled_order_pass_all_checks_and_the_rules_of_order() -> Result<(), Box<dyn Error>> {
    let mut fingerprints = Vec::new();
    for seed in 1..=20 {
        let seed = seed.to_string();
        for shuffle in [&[][..], &["--shuffle", "5"]] {
            let arguments = [&["--days", "1", "--check-order", "--seed", &seed], shuffle].concat();
            let text = said("seeds", &arguments)?;
            assert_eq!(text.lines().last(), Some(ALL_OK), "{arguments:?}:\n{text}");
            if shuffle.is_empty() {
                fingerprints.extend(fingerprint(&text).map(str::to_owned));
            }
        }
    }
    assert_eq!(fingerprints.len(), 20);
    fingerprints.sort();
    fingerprints.dedup();
    assert_eq!(fingerprints.len(), 20, "two seeds with one fingerprint");
    Ok(())
}

#[test]
fn twice_the_same_run_is_the_same_to_the_last_bit_and_watching_changes_nothing() -> Result<(), Box<dyn Error>>
{
    let arguments = ["--days", "1", "--seed", "7"];
    let first = said("twice", &arguments)?;
    assert!(fingerprint(&first).is_some_and(|text| text.len() == 16), "{first}");
    assert_eq!(fingerprint(&first), fingerprint(&said("twice", &arguments)?));
    let watched = said("twice", &[&arguments[..], &["--check-order"]].concat())?;
    assert_eq!(fingerprint(&first), fingerprint(&watched));
    Ok(())
}

#[test]
fn copies_do_not_disturb_the_first_grid() -> Result<(), Box<dyn Error>> {
    let table = |text: &str| text.lines().skip(2).take(5).map(str::to_owned).collect::<Vec<_>>();
    let (one, three) = (said("one", &["--days", "1"])?, said("three", &["--days", "1", "--copies", "3"])?);
    assert_eq!(table(&one), table(&three));
    assert!(three.contains("87 agents") && three.lines().last() == Some(ALL_OK), "{three}");
    Ok(())
}

#[test]
fn a_senseless_command_line_is_refused() -> Result<(), Box<dyn Error>> {
    for arguments in [&["--days", "0"][..], &["--days", "8"], &["--copies", "0"], &["--seed", "x"]] {
        assert_eq!(demo("refused", arguments)?.status.code(), Some(2), "{arguments:?}");
    }
    Ok(())
}
