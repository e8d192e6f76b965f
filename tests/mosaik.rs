//! The examples as simulators of the real mosaik: the scripts in `tests/peers/mosaik/`, against this build.
//!
//! Each test runs one script; what it prints is printed when it fails. The first run installs mosaik and pandapower
//! into the target directory, see `peers/setup.rs`.

use std::net::TcpListener;
use std::path::PathBuf;
use std::process::Command;

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

/// An example of this build: `cargo test` has just made it, next to the directory of this test.
fn example(name: &str) -> String {
    let test = std::env::current_exe().expect("a test knows where it is");
    let profile = test.ancestors().nth(2).expect("target/PROFILE/deps/TEST");
    let path: PathBuf = profile.join("examples").join(name).with_extension(std::env::consts::EXE_EXTENSION);
    assert!(path.exists(), "{} is missing; build it with `cargo build --examples`", path.display());
    path.display().to_string()
}

/// An address where nobody listens right now.
fn free_address() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("it is bound").to_string()
}
