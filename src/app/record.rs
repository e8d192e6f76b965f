//! From flags to a journal: which run this is, and what it was built of.
//!
//! Why the command line is kept: a replay runs the very command that was recorded, with the recording in the place of
//! the outside. Nothing has to be said twice, and nothing can be forgotten.

use std::collections::BTreeMap;
use std::path::Path;

use isochrone_sim::Config;
use isochrone_sim::fingerprint::payload_hash;

use super::App;
use super::cli::Record;
use crate::journal::{Fsync, Header, Options, Writer};
use crate::replay::Tape;

/// The flags that say how a run is recorded, and logged: no part of the run. Each has a value.
const ASIDE: [&str; 5] = ["--record", "--record-level", "--fsync", "--when-full", "--log"];
/// The entry of the configuration that holds the command line.
const ARGUMENTS: &str = "arguments";

/// Which run this is.
pub(super) fn header(app: &App, config: &Config, clock: &str, arguments: &[String]) -> Header {
    let mut header = Header::new(app.name.as_str(), config.seed);
    header.shuffle = config.shuffle;
    header.epoch = config.epoch;
    header.clock = clock.into();
    header.configuration = configuration(config, arguments);
    header.build = build();
    header
}

fn configuration(config: &Config, arguments: &[String]) -> BTreeMap<String, String> {
    let entries = [
        (ARGUMENTS, run_arguments(arguments).join("\n")),
        ("container", config.name.clone()),
        ("livelock", config.livelock.to_string()),
        ("mailbox", config.mailbox.to_string()),
        ("policy", format!("{:?}", config.policy)),
        ("start", config.start.to_string()),
    ];
    entries.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

/// The command line without what is no part of the run.
fn run_arguments(arguments: &[String]) -> Vec<String> {
    let mut kept = Vec::new();
    let mut arguments = arguments.iter();
    while let Some(argument) = arguments.next() {
        let name = argument.split_once('=').map_or(argument.as_str(), |(name, _)| name);
        if !ASIDE.contains(&name) {
            kept.push(argument.clone());
        } else if name == argument {
            arguments.next();
        }
    }
    kept
}

/// The command line of a recorded run, with the program's name before it.
pub(super) fn recorded_arguments(header: &Header) -> Vec<String> {
    let arguments = header.configuration.get(ARGUMENTS).map_or("", String::as_str);
    let arguments = arguments.split('\n').filter(|argument| !argument.is_empty());
    std::iter::once(header.scenario.as_str()).chain(arguments).map(str::to_owned).collect()
}

/// The header of a run with another command line, which is given without the program's name.
pub(super) fn with_arguments(mut header: Header, arguments: &[String]) -> Header {
    header.configuration.insert(ARGUMENTS.into(), run_arguments(arguments).join("\n"));
    header
}

/// The header of another recording of a run, made by this build.
pub(super) fn built_now(recorded: Header) -> Header {
    Header { build: build(), ..recorded }
}

/// What the program is, as far as it knows.
fn build() -> BTreeMap<String, String> {
    let profile = if cfg!(debug_assertions) { "debug" } else { "release" };
    let entries = [
        ("executable", executable()),
        ("isochrone", env!("CARGO_PKG_VERSION").into()),
        ("profile", profile.into()),
        ("target", format!("{}-{}", std::env::consts::ARCH, std::env::consts::OS)),
    ];
    entries.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

/// The hash of the running program's bytes.
fn executable() -> String {
    let bytes = std::env::current_exe().and_then(std::fs::read);
    bytes.map_or_else(
        |error| format!("unreadable: {error}"),
        |bytes| format!("{:016x}", payload_hash(&Bytes(&bytes))),
    )
}

/// Bytes, which serde would take for a list of numbers.
struct Bytes<'b>(&'b [u8]);

impl serde::Serialize for Bytes<'_> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(self.0)
    }
}

/// What differs between a recorded run and one that would be made now, a sentence each.
pub(super) fn differences(recorded: &Header, now: &Header) -> Vec<String> {
    let mut found = Vec::new();
    let mut differ = |what: &str, recorded: &str, now: &str| {
        if recorded != now {
            found.push(format!("{what}: {recorded} became {now}"));
        }
    };
    differ("program", &recorded.scenario, &now.scenario);
    differ("seed", &recorded.seed.to_string(), &now.seed.to_string());
    differ("shuffle", &format!("{:?}", recorded.shuffle), &format!("{:?}", now.shuffle));
    differ("epoch", &recorded.epoch.to_string(), &now.epoch.to_string());
    for (kind, recorded, now) in [
        ("configuration", &recorded.configuration, &now.configuration),
        ("build", &recorded.build, &now.build),
    ] {
        let names: std::collections::BTreeSet<&String> = recorded.keys().chain(now.keys()).collect();
        for name in names {
            let value =
                |of: &BTreeMap<String, String>| of.get(name).map_or("nothing", String::as_str).to_owned();
            differ(&format!("{kind} {name}"), &value(recorded), &value(now));
        }
    }
    found
}

/// A journal for a run, if one is wanted.
pub(super) fn tape(flags: &Record, header: impl FnOnce() -> Header) -> Result<Tape, String> {
    let Some(path) = &flags.path else { return Ok(Tape::default()) };
    let mut header = header();
    header.level = flags.level;
    writer(path, header, flags).map(Tape::record)
}

/// Creates a journal in the place of an older one.
pub(super) fn overwrite(path: &Path, header: Header) -> Result<Writer, String> {
    let options = Options { overwrite: true, ..Options::default() };
    Writer::create(path, header, options).map_err(|error| error.to_string())
}

/// Creates a journal.
fn writer(path: &Path, header: Header, flags: &Record) -> Result<Writer, String> {
    let usual = if header.clock == "wall" { Fsync::Step } else { Fsync::Never };
    let fsync = flags.fsync.unwrap_or(usual);
    let options = Options { fsync, on_failure: flags.when_full, ..Options::default() };
    Writer::create(path, header, options).map_err(|error| error.to_string())
}
