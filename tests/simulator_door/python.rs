//! Programs in Python that couple by RPC: on the standard library alone, and through aiomas.

use std::process::Command;

use crate::{setup, support};

/// Runs `examples/plant_by_rpc.py` and returns its lines.
fn plant(flags: &[&str]) -> Vec<String> {
    let out = Command::new(setup::python())
        .arg(setup::root().join("examples/plant_by_rpc.py"))
        .arg("--program")
        .arg(support::example("plant_controller"))
        .args(flags)
        .output()
        .expect("the interpreter was just made");
    let said = String::from_utf8_lossy(&out.stdout).into_owned();
    assert!(out.status.success(), "{}\n{said}\n{}", out.status, String::from_utf8_lossy(&out.stderr));
    said.lines().map(str::to_string).collect()
}

fn shows_all(lines: &[String]) {
    let said = [
        "ok: 96 timers saw what was written for their instant",
        "ok: the same fingerprint twice",
        "ok: the owner killed in the middle of a step was reported, and the next one went on",
        "ok: the owner killed in the middle of a step was reported, and the program ended with exit code 1",
    ];
    assert_eq!(lines.len(), said.len(), "{lines:?}");
    for (line, said) in lines.iter().zip(said) {
        assert!(line.starts_with(said), "{line}");
    }
}

#[test]
fn a_plant_on_pythons_standard_library_couples_without_mosaik() {
    shows_all(&plant(&[]));
}

#[test]
fn without_its_program_the_plant_says_how_to_build_it() {
    let empty = tempfile::tempdir().expect("a directory");
    let missing = empty.path().join("none").display().to_string();
    for flags in [vec![], vec!["--program", missing.as_str()]] {
        let out = Command::new(setup::python())
            .arg(setup::root().join("examples/plant_by_rpc.py"))
            .args(&flags)
            .env("CARGO_TARGET_DIR", empty.path())
            .output()
            .expect("the interpreter was just made");
        let said = String::from_utf8_lossy(&out.stderr);
        assert_eq!(out.status.code(), Some(1), "{said}");
        assert!(
            said.starts_with("error: ") && said.contains("cargo build --example plant_controller"),
            "{said}"
        );
        assert_eq!(said.lines().count(), 1, "{said}");
    }
    // what was built last, in either profile
    let program = empty.path().join("release/examples").join("plant_controller");
    std::fs::create_dir_all(program.parent().expect("a directory")).expect("made");
    std::fs::copy(support::example("plant_controller"), &program).expect("copied");
    let out = Command::new(setup::python())
        .arg(setup::root().join("examples/plant_by_rpc.py"))
        .env("CARGO_TARGET_DIR", empty.path())
        .output()
        .expect("the interpreter was just made");
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
}

#[test]
fn the_same_plant_couples_through_aiomas_with_the_same_fingerprint_whatever_the_codec() {
    let own = plant(&[]);
    for codec in ["json", "msgpack", "blosc"] {
        let lines = plant(&["--aiomas", "--codec", codec]);
        shows_all(&lines);
        assert_eq!(lines[1], own[1], "{codec}");
    }
}
