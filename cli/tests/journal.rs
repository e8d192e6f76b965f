//! `isochrone journal`: what it says of a small recording, and what it makes of it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use isochrone::codec::Value;
use isochrone::journal::{Hash, Header, Name, Options, Packed, Record, Writer};
use isochrone::rpc::Args;
use isochrone::sim::{Time, millis, minutes, secs};

#[path = "../../tests/peers/setup.rs"]
mod peers;

/// A coordinator asks two houses; one answers at once, one thinks for two seconds, and is asked again meanwhile.
fn record(path: &Path) {
    let [coordinator, quick, slow, outside, peer] =
        ["grid/coordinator", "grid/house_1", "grid/house_2", "outside", "tcp://10.0.0.3:5555/agent"]
            .map(Name::new);
    let [propose, award, plan] = ["propose", "award", "plan"].map(Name::new);
    let mut header = Header::new("vpp", 7);
    header.clock = "coupled".into();
    header.level = "full".parse().unwrap();
    header.build.insert("commit".into(), "5f3a2b".into());
    let mut journal = Writer::create(path, header, Options::default()).unwrap();
    let mut write = |time: Time, round: u32, record: Record| {
        journal.write(time, round, &record).unwrap();
    };

    let begin = Time::ZERO;
    write(begin, 0, Record::Origin { date: "2026-11-25T03:00:00Z".into(), host: "pi".into(), pid: 4711 });
    for agent in [&coordinator, &quick, &slow] {
        write(begin, 0, Record::Created { agent: agent.clone(), by: outside.clone() });
    }
    let asked = begin + minutes(15);
    let hash = Hash(1);
    let sent = |agent: &Name, to: &Name, sequence, label: &Name, price: f64| Record::Sent {
        agent: agent.clone(),
        to: to.clone(),
        sequence,
        label: label.clone(),
        hash,
        values: Some(Packed::from_args(&Args::default().arg(price))),
    };
    let received = |agent: &Name, sequence, label: &Name, call| Record::Received {
        agent: agent.clone(),
        from: coordinator.clone(),
        sequence,
        label: label.clone(),
        call,
    };
    let answered = |agent: &Name, sequence, call, kw: f64| Record::Answered {
        agent: agent.clone(),
        to: coordinator.clone(),
        sequence,
        hash,
        call,
        value: Some(Packed::new(&Value::from(kw))),
    };
    let answer =
        |from: &Name, sequence| Record::Answer { agent: coordinator.clone(), from: from.clone(), sequence };
    write(asked, 0, Record::Step { to: asked, limit: None });
    write(asked, 0, Record::Timer { agent: coordinator.clone(), label: plan.clone() });
    write(asked, 0, sent(&coordinator, &quick, 0, &propose, 0.31));
    write(asked, 0, sent(&coordinator, &slow, 1, &propose, 0.31));
    write(asked, 1, received(&quick, 0, &propose, 1));
    write(asked, 1, answered(&quick, 0, 1, 2.5));
    write(asked, 1, received(&slow, 1, &propose, 2));
    write(asked, 2, answer(&quick, 0));
    let again = asked + millis(500);
    write(again, 0, sent(&coordinator, &slow, 2, &propose, 0.29));
    write(again, 1, received(&slow, 2, &propose, 1));
    let thought = asked + secs(2);
    write(thought, 0, answered(&slow, 0, 2, 4.0));
    write(thought, 1, answer(&slow, 0));
    write(thought, 1, sent(&coordinator, &slow, 3, &award, 0.31));
    write(thought, 2, received(&slow, 3, &award, 0));
    let (number, method, args) = (1, Name::new("set"), Packed::from_args(&Args::default().arg(f64::NAN)));
    write(thought, 2, Record::Call { number, from: peer, agent: quick.clone(), method, args });
    let (message, outcome) = ("set to NaN\n\u{1b}[31m; then #2".into(), "Stopped".into());
    write(thought, 3, Record::Failed { agent: quick, task: Name::new("set"), message, outcome });
    journal.checkpoint(thought, 3, 0xfeed).unwrap();
    journal.finish(thought, 3, 0xfeed, "the scenario was over").unwrap();
}

struct Recording {
    folder: tempfile::TempDir,
}

impl Recording {
    fn new() -> Recording {
        let recording = Recording { folder: tempfile::tempdir().unwrap() };
        record(&recording.path("run.jrn"));
        recording
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn run(&self, args: &str) -> Output {
        Command::new(env!("CARGO_BIN_EXE_isochrone"))
            .arg("journal")
            .args(args.split(' '))
            .current_dir(self.folder.path())
            .output()
            .unwrap()
    }

    /// What it says, if it is content.
    fn says(&self, args: &str) -> String {
        let output = self.run(args);
        assert!(output.status.success(), "{args}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    /// Exit code and complaint.
    fn complains(&self, args: &str) -> (Option<i32>, String) {
        let output = self.run(args);
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    }
}

/// Compares with a snapshot beside the tests; `BLESS=1` makes it.
fn snapshot(name: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/journal").join(name);
    if std::env::var_os("BLESS").is_some() {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
    }
    let expected = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    assert_eq!(text, expected, "{name}");
}

#[test]
fn verify_says_whether_it_is_whole() {
    let recording = Recording::new();
    assert_eq!(recording.says("verify run.jrn"), "run.jrn: whole, 21 events\n");

    let path = recording.path("run.jrn");
    let whole = fs::read(&path).unwrap();
    fs::write(&path, &whole[..whole.len() - 5]).unwrap();
    let said = recording.says("verify run.jrn");
    assert!(said.starts_with("run.jrn: whole, 20 events\nrun.jrn has a torn tail of "), "{said}");

    assert!(recording.says("repair run.jrn").contains(": a torn tail of "));
    assert_eq!(recording.says("repair run.jrn"), "run.jrn: nothing to repair\n");
    let said = recording.says("verify run.jrn");
    assert_eq!(
        said,
        "run.jrn: whole, 20 events\nit does not say that it ended: its writer was killed, or still runs\n"
    );
}

#[test]
fn damage_is_exit_code_4_and_is_cut_only_on_demand() {
    let recording = Recording::new();
    let path = recording.path("run.jrn");
    let mut bytes = fs::read(&path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&path, &bytes).unwrap();
    for command in ["verify", "cat", "stat", "repair", "export --format jsonl"] {
        let (code, said) = recording.complains(&format!("{command} run.jrn"));
        assert_eq!(code, Some(4), "{command}");
        assert!(said.starts_with("error: run.jrn is damaged at byte "), "{command}: {said}");
    }
    assert_eq!(fs::read(&path).unwrap(), bytes);
    // what lies before the damage is told all the same
    assert!(String::from_utf8(recording.run("cat run.jrn").stdout).unwrap().contains("wakes for plan"));

    recording.says("repair --cut-damage run.jrn");
    assert!(recording.says("verify run.jrn").starts_with("run.jrn: whole, "));
    let kept = fs::read(recording.path("run.jrn.damaged")).unwrap();
    assert_eq!([fs::read(&path).unwrap(), kept].concat(), bytes);
}

#[test]
fn what_is_no_journal_is_said_so() {
    let recording = Recording::new();
    fs::write(recording.path("notes.txt"), "not a journal").unwrap();
    let (code, said) = recording.complains("verify notes.txt");
    assert_eq!(
        (code, said.as_str()),
        (Some(4), "error: notes.txt is no journal: it does not begin as one\n")
    );
    assert_eq!(recording.complains("verify nothing.jrn").0, Some(1));
}

#[test]
fn cat_tells_the_story() {
    let recording = Recording::new();
    snapshot("story.txt", &recording.says("cat run.jrn"));
    let one = recording.says("cat run.jrn --agent house_1 --from 15min --until 15m01s");
    snapshot("story_of_one.txt", &one);
}

#[test]
fn stat_counts() {
    snapshot("stat.txt", &Recording::new().says("stat run.jrn"));
}

#[test]
fn json_lines_are_as_the_snapshot() {
    let recording = Recording::new();
    assert_eq!(recording.says("export run.jrn --format jsonl -o run.jsonl"), "");
    snapshot("run.jsonl", &fs::read_to_string(recording.path("run.jsonl")).unwrap());
}

#[test]
fn the_sequence_diagram_is_as_the_snapshot() {
    let said = Recording::new().says("export run.jrn --format mermaid --from 15min");
    snapshot("run.mmd", &said);
}

#[test]
fn perfetto_reads_tracks_slices_flows_and_counters() {
    let recording = Recording::new();
    recording.says("export run.jrn --format perfetto -o run.pftrace");
    let tell = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/peers/perfetto/tell.py");
    let output = Command::new(peers::python()).arg(tell).arg(recording.path("run.pftrace")).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    snapshot("run.pftrace.txt", &String::from_utf8(output.stdout).unwrap());
}
