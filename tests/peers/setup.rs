//! The Python peers of the tests: mosaik, pandapower, aiomas and what they need.
//!
//! `setup.py` beside this file makes their virtual environment in the target directory, once, and holds a lock
//! while it does, so that test programs which run at the same time share one. A peer that cannot be had is a
//! failure, never a skipped test: a coupling nobody tried against the real thing is not tested.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The interpreter that has the peers; installs them if they are not there yet.
///
/// The environment variable `PYTHON` names the Python (3.11 or later) to begin with, else `python3`.
///
/// # Panics
/// With the package and pip's last lines, when a peer cannot be installed.
pub(crate) fn python() -> PathBuf {
    let python = std::env::var("PYTHON")
        .unwrap_or_else(|_| if cfg!(windows) { "python".into() } else { "python3".into() });
    let mut setup = Command::new(&python)
        .arg(root().join("tests/peers/setup.py"))
        .arg(target_dir())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|e| panic!("the tests against real peers need Python 3.11, but `{python}`: {e}"));

    // Past the test harness, which would keep it to itself: the first install takes a minute.
    let mut said = Vec::new();
    for line in BufReader::new(setup.stderr.take().expect("piped")).lines().map_while(Result::ok) {
        let _ = writeln!(std::io::stderr(), "{line}");
        said.push(line);
    }
    let out = setup.wait_with_output().expect("setup.py was started");
    assert!(out.status.success(), "{}", said[said.len().saturating_sub(20)..].join("\n"));
    PathBuf::from(String::from_utf8_lossy(&out.stdout).trim())
}

/// The project's root, from a test of any of its packages.
pub(crate) fn root() -> &'static Path {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    package.ancestors().find(|dir| dir.join("tests/peers/setup.py").exists()).expect("inside the project")
}

/// Cargo's target directory, wherever the user put it.
pub(crate) fn target_dir() -> &'static Path {
    Path::new(env!("CARGO_TARGET_TMPDIR")).parent().expect("cargo's tmp is inside its target directory")
}
