//! What the README tells a newcomer to type does what the README says.

use std::path::{Path, PathBuf};
use std::process::Command;

use support::example;

mod support;

/// The lines of the shell in a section, with the exit code that each is to end with.
fn commands(section: &str) -> Vec<(String, i32)> {
    let readme = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md")).unwrap();
    let text =
        readme.split("\n## ").find_map(|part| part.strip_prefix(section)).expect("the section is there");
    let blocks = text.split("```sh\n").skip(1).map(|block| block.split("```").next().unwrap_or_default());
    let lines = blocks.flat_map(str::lines).map(|line| {
        let (command, comment) = line.split_once('#').unwrap_or((line, ""));
        let code = comment.split_once("exit code ").map_or("0", |(_, code)| code);
        let code: String = code.chars().take_while(char::is_ascii_digit).collect();
        (command.trim().to_owned(), code.parse().unwrap())
    });
    lines.collect()
}

/// The program of a line, as it was built beside this test.
fn program(words: &[&str]) -> (PathBuf, usize) {
    match words {
        ["cargo", "run", "--example", name, "--", ..] => (example(name), 5),
        ["isochrone", ..] => {
            let test = std::env::current_exe().expect("a test knows where it is");
            let profile = test.ancestors().nth(2).expect("target/PROFILE/deps/TEST");
            (profile.join("isochrone").with_extension(std::env::consts::EXE_EXTENSION), 1)
        }
        other => panic!("{other:?} is no program of ours"),
    }
}

#[test]
fn a_newcomer_can_replay_the_night() {
    let folder = tempfile::tempdir().unwrap();
    let commands = commands("Replay the night");
    assert!(commands.len() >= 10, "{commands:?}");
    for (command, code) in commands {
        let words: Vec<&str> = command.split_whitespace().collect();
        let (program, skip) = program(&words);
        assert!(
            program.exists(),
            "{} is missing: `cargo build --examples --workspace` makes it",
            program.display()
        );
        let out = Command::new(program).current_dir(folder.path()).args(&words[skip..]).output().unwrap();
        let said = [out.stdout, out.stderr].map(|text| String::from_utf8_lossy(&text).into_owned()).concat();
        assert_eq!(out.status.code(), Some(code), "{command}\n{said}");
        assert!(!said.trim().is_empty(), "{command} says something");
    }
}
