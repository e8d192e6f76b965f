//! What `--record` promises when the journal cannot be written, or is there already.
#![cfg(unix)]

use std::path::Path;
use std::process::{Command, Output};

use support::example;

mod support;

/// Its exit code, and what it says; no file of it may have more than `blocks` of a KiB or half of one.
fn run(folder: &Path, blocks: &str, program: &str, args: &[&str]) -> (Option<i32>, String) {
    // without the signal, what does not fit is an error, as on a full disk
    let limited = r#"trap "" XFSZ; ulimit -f "$0"; exec "$@""#;
    let mut command = Command::new("sh");
    command.args(["-c", limited, blocks]).arg(example(program)).args(args).current_dir(folder);
    let Output { status, stderr, .. } = command.output().expect("it runs");
    (status.code(), String::from_utf8_lossy(&stderr).into_owned())
}

#[test]
fn a_journal_that_cannot_be_written_ends_the_run_with_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let ways = [("first_agent", ["sim", "--until", "90d"]), ("ping_pong", ["live", "--until", "30s"])];
    for (program, way) in ways {
        let journal = format!("{program}.jrn");
        let (code, text) = run(folder.path(), "2", program, &[&way[..], &["--record", &journal]].concat());
        assert_eq!(code, Some(1), "{way:?}: {text}");
        let error = text.lines().last().unwrap_or_default();
        assert!(error.starts_with(&format!("error: the recording: cannot write {journal}: ")), "{text}");
        assert!(!text.contains(&format!("{} simulated", way[2])), "at once: {text}");
    }
    let (code, text) =
        run(folder.path(), "unlimited", "ping_pong", &["sim", "--until", "1s", "--record", "/dev/full"]);
    assert!(code == Some(1) && text.contains("/dev/full exists"), "{text}");
}

/// Broken once: the flag did not reach the writer.
#[test]
fn a_run_may_go_on_when_its_journal_cannot_be_written_and_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let go_on = ["sim", "--until", "90d", "--record", "run.jrn", "--when-full", "go-on"];
    let (code, text) = run(folder.path(), "2", "first_agent", &go_on);
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("the recording ends: cannot write run.jrn: "), "{text}");
    assert!(text.contains("90d simulated"), "to its end: {text}");
    // what was recorded is whole
    let (code, text) = run(folder.path(), "unlimited", "first_agent", &["replay", "run.jrn"]);
    assert!(code == Some(0) && text.contains("it was recorded up to "), "{text}");
}

#[test]
fn a_journal_that_is_there_is_not_overwritten() {
    let folder = tempfile::tempdir().unwrap();
    let record = ["sim", "--until", "5s", "--record", "run.jrn"];
    assert_eq!(run(folder.path(), "unlimited", "ping_pong", &record).0, Some(0));
    let before = std::fs::read(folder.path().join("run.jrn")).unwrap();
    let (code, text) = run(folder.path(), "unlimited", "ping_pong", &record);
    assert!(code == Some(1) && text.contains("run.jrn exists: choose another name or remove it; "), "{text}");
    assert!(text.contains("`resume run.jrn` goes on with that run"), "{text}");
    assert_eq!(std::fs::read(folder.path().join("run.jrn")).unwrap(), before);
}
