//! A live system of three processes under load, whose processes are killed at random: each journal replays, without the
//! others and without a network.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use isochrone::sim::random::{Draw, Stream};
use support::example;

mod support;

/// Journals to be replayed.
const JOURNALS: usize = 24;

struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        // `kill -9`
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

struct System {
    folder: PathBuf,
    ports: [u16; 3],
    journals: Vec<PathBuf>,
}

impl System {
    fn start(&mut self, n: usize) -> Process {
        let journal = self.folder.join(format!("{}-{n}.jrn", self.journals.len()));
        let peers = (0..3).filter(|other| *other != n);
        let peers: Vec<_> = peers.map(|other| format!("tcp://127.0.0.1:{}", self.ports[other])).collect();
        let child = Command::new(example("gossip"))
            .args(["live", "--bind", &format!("tcp://127.0.0.1:{}", self.ports[n]), "--log", "error"])
            .args(["--param", &format!("peers={}", peers.join(",")), "--fsync", "never", "--record"])
            .arg(&journal)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        self.journals.push(journal);
        Process(child)
    }
}

/// How many calls of peers a journal holds, as far as it is written.
fn calls(journal: &Path) -> usize {
    let Ok(reader) = isochrone::journal::Reader::open(journal) else { return 0 };
    let calls = reader.map_while(Result::ok);
    calls.filter(|entry| matches!(entry.record, isochrone::journal::Record::Call { .. })).count()
}

/// How many notices of this name a journal holds.
fn commands(journal: &Path, wanted: &str) -> usize {
    let Ok(reader) = isochrone::journal::Reader::open(journal) else { return 0 };
    let notices = reader.map_while(Result::ok);
    notices
        .filter(|entry| matches!(&entry.record, isochrone::journal::Record::Command { name, .. } if *name == wanted))
        .count()
}

/// Broken once: `Tape::came` took inputs of a later turn into an earlier one; nearly every journal differed.
#[test]
fn the_journal_of_each_process_of_a_live_system_with_random_kills_replays() {
    let folder = tempfile::tempdir().unwrap();
    let listeners = [(); 3].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
    let ports = listeners.each_ref().map(|listener| listener.local_addr().unwrap().port());
    drop(listeners);
    let mut system = System { folder: folder.path().to_owned(), ports, journals: Vec::new() };
    let mut draw = Stream::new(7, 1, 1);
    let mut processes = [0, 1, 2].map(|n| Some(system.start(n)));
    while system.journals.len() < JOURNALS {
        let n = draw.below(3) as usize;
        let journal =
            system.journals.iter().rfind(|path| path.to_string_lossy().ends_with(&format!("-{n}.jrn")));
        let journal = journal.expect("it was started").clone();
        // it takes part before it dies, however slow the machine is
        let patience = Instant::now();
        while calls(&journal) < 20 && patience.elapsed() < Duration::from_secs(60) {
            std::thread::sleep(Duration::from_millis(20));
        }
        std::thread::sleep(Duration::from_millis(draw.below(100)));
        drop(processes[n].take());
        processes[n] = Some(system.start(n));
    }
    std::thread::sleep(Duration::from_millis(500));
    drop(processes);

    // who came and went is in the journals too
    let what = |name: &str| system.journals.iter().map(|journal| commands(journal, name)).sum::<usize>();
    assert!(what("connected") >= JOURNALS && what("closed") > 0);

    let (mut same, mut answered) = (0, 0);
    for journal in &system.journals {
        let heard = calls(journal);
        let out = Command::new(example("gossip")).arg("replay").arg(journal).output().unwrap();
        let said = String::from_utf8_lossy(&out.stderr).into_owned();
        // one that was killed before it had begun has recorded nothing
        if std::fs::metadata(journal).map_or(0, |file| file.len()) < 100 {
            continue;
        }
        assert_eq!(out.status.code(), Some(0), "{}: {said}", journal.display());
        assert!(said.contains("the same"), "{said}");
        (same, answered) = (same + 1, answered + heard);
    }
    assert!(same >= 20 && answered > 20 * 20, "{same} of {JOURNALS}, {answered} calls");
}
