//! The promise: the demo's agents keep the transformer within its rating under the real mosaik too, with loads from
//! mosaik-csv and pandapower's grid, and decide there what they decide in the demo.

use std::error::Error;
use std::process::Command;

#[path = "../../tests/peers/setup.rs"]
mod setup;

/// The numbers of a line that begins so.
fn numbers(text: &str, line: &str) -> Option<Vec<f64>> {
    let rest = text.lines().find_map(|found| found.strip_prefix(line))?;
    Some(rest.split_whitespace().filter_map(|word| word.parse().ok()).collect())
}

#[test]
fn a_day_under_mosaik_is_a_day_of_the_demo() -> Result<(), Box<dyn Error>> {
    let program = env!("CARGO_BIN_EXE_isochrone");
    let output = Command::new(setup::python())
        .arg(setup::root().join("examples/mosaik/scenario.py"))
        .args(["--days", "1", "--seed", "1", "--agents", &format!("{program} agents mosaik %(addr)s")])
        .output()?;
    let said = String::from_utf8_lossy(&output.stdout);
    let complained = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}\n{said}\n{complained}", output.status);
    assert_eq!(numbers(&said, "steps"), Some(vec![96.0]), "{said}");
    let peak = numbers(&said, "transformer, peak").unwrap_or_default();
    assert!(peak.first().is_some_and(|kva| *kva > 150.0 && *kva <= 160.0), "{said}");

    let report = setup::target_dir().join("tmp/demo/mosaik.html");
    let demo = Command::new(program)
        .args(["demo", "--days", "1", "--seed", "1", "--report"])
        .arg(report)
        .output()?;
    let demo = String::from_utf8(demo.stdout)?;
    // the lowest and the highest voltage of the day, in the demo's last column and in mosaik's last line
    let column = |line| numbers(&demo, line).and_then(|columns| columns.last().copied());
    let ours = [column("lowest voltage, pu"), column("highest voltage, pu")].map(Option::unwrap_or_default);
    let theirs = numbers(&said, "voltage").unwrap_or_default();
    assert!(
        theirs.len() == 2 && (ours[0] - theirs[0]).abs() < 2e-4 && (ours[1] - theirs[1]).abs() < 2e-4,
        "{demo}\n{said}"
    );
    Ok(())
}
