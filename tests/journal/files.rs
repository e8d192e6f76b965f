//! Writers that die, that meet, that find the disk full; and what is left to the next one.

use std::cell::Cell;
use std::fs;
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::rc::Rc;

use isochrone::journal::{
    Fsync, Header, JournalError, Name, OnFailure, Options, Reader, Record, Repair, Survey, Tail, Writer,
    repair,
};
use isochrone::sim::{Time, nanos, secs};

use crate::sample::{Shared, fill, header, read, small};

#[test]
fn a_journal_that_is_continued_has_the_bytes_of_one_that_was_not_interrupted() {
    let folder = tempfile::tempdir().unwrap();
    let whole = small();
    let (entries, _) = read(&whole);
    let begin = {
        let mut reader = Reader::from_stream(io::Cursor::new(whole.clone())).unwrap();
        reader.next();
        reader.position().2 as usize - 1
    };
    for cut in (0..whole.len()).step_by(7) {
        let path = folder.path().join("run.jrn");
        fs::write(&path, &whole[..cut]).unwrap();
        let (mut journal, _) = match Writer::append(&path, Options::default()) {
            Err(JournalError::Empty { .. }) => continue,
            journal => journal.unwrap(),
        };
        // replayed to where it was torn, the run goes on
        let known = journal.events();
        for entry in entries.iter().skip_while(|entry| entry.event < known || entry.record.is_volatile()) {
            match &entry.record {
                Record::Checkpoint { fingerprint, .. } => {
                    journal.checkpoint(entry.time, entry.round, fingerprint.0).unwrap();
                }
                Record::End { .. } => break,
                record => {
                    journal.write(entry.time, entry.round, record).unwrap();
                }
            }
        }
        journal.finish(Time::ZERO + secs(9), 0, 0xbeef, "done").unwrap();
        // the volatile record at the beginning is not written twice
        let again = fs::read(&path).unwrap();
        if cut > begin {
            assert_eq!(again, whole, "cut at {cut}")
        } else {
            assert!(again.len() < whole.len())
        }
    }
}

/// This program again, to run only that test, which is ignored otherwise.
pub(crate) fn again(test: &str, journal: &Path) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", test, "--ignored", "--nocapture"]).env("JOURNAL", journal);
    command
}

pub(crate) fn journal() -> PathBuf {
    std::env::var_os("JOURNAL").expect("the parent says which").into()
}

#[test]
#[ignore = "the child of the next test"]
fn a_writer_that_is_killed() {
    let path = journal();
    let mut options = Options::default();
    options.segment = 10_000;
    let mut journal = match Writer::append(&path, options) {
        Err(JournalError::Io { .. } | JournalError::Empty { .. }) => {
            options.overwrite = true;
            Writer::create(&path, Header::new("killed", 1), options).unwrap()
        }
        journal => journal.unwrap().0,
    };
    let agents: Vec<Name> = (0..50).map(|n| Name::new(format!("grid/house_{n}"))).collect();
    loop {
        for _ in 0..4 {
            let n = journal.events();
            let agent = agents[n as usize % agents.len()].clone();
            let label = Name::new(format!("task {}", n % 1_000));
            journal.write(Time::ZERO + nanos(n), 0, &Record::Timer { agent, label }).unwrap();
        }
        journal.checkpoint(Time::ZERO + nanos(journal.events()), 0, 0).unwrap();
        journal.commit().unwrap();
        println!("committed {}", journal.events());
    }
}

/// Reads what the writer says until it has said so much, kills it, and reads what it still said.
fn committed(child: &mut Child, times: usize) -> u64 {
    let out = BufReader::new(child.stdout.take().unwrap());
    // a number that the kill has cut has no line end behind it; the harness's own words may stand before it
    let said = out.lines().map_while(Result::ok);
    let mut events = said.filter_map(|line| line.split_once("committed ")?.1.parse().ok());
    let before = events.by_ref().take(times).last().unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    let after: Vec<u64> = events.collect();
    // the last line may be a part of a number
    after.iter().rev().nth(1).copied().unwrap_or(before)
}

#[test]
fn a_writer_killed_a_hundred_times_loses_nothing_that_was_committed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run.jrn");
    let (mut torn, mut events) = (0, 0);
    for round in 0..100 {
        let mut child =
            again("files::a_writer_that_is_killed", &path).stdout(Stdio::piped()).spawn().unwrap();
        let committed = committed(&mut child, 1 + round % 23);
        let survey = Survey::of(&path).unwrap();
        assert!(survey.events >= committed, "{} of {committed} in round {round}", survey.events);
        assert!(survey.events > events, "the writer of round {round} could not append");
        events = survey.events;
        torn += u32::from(matches!(survey.tail, Tail::Torn { .. }));
    }
    // each number stands where it must: nothing is missing, doubled or moved
    let mut count = 0;
    for entry in Reader::open(&path).unwrap() {
        let entry = entry.unwrap();
        assert_eq!((entry.event, entry.time), (count, Time::ZERO + nanos(count)));
        count += 1;
    }
    assert!(count >= events);
    let segments = Survey::of(&path).unwrap().segments;
    assert!(segments > 3, "{segments} segments");
    println!("{count} events in {segments} segments, {torn} torn tails");
}

#[test]
fn a_second_writer_is_told_that_there_is_a_first() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run.jrn");
    let mut options = Options::default();
    let mut first = Writer::create(&path, header(), options).unwrap();
    fill(&mut first);
    first.commit().unwrap();
    let before = fs::read(&path).unwrap();

    assert!(matches!(Writer::append(&path, options), Err(JournalError::Locked { .. })));
    assert!(matches!(repair(&path, true), Err(JournalError::Locked { .. })));
    assert!(matches!(Writer::create(&path, header(), options), Err(JournalError::Exists { .. })));
    options.overwrite = true;
    assert!(matches!(Writer::create(&path, header(), options), Err(JournalError::Locked { .. })));
    assert_eq!(fs::read(&path).unwrap(), before);

    // reading is free, and the lock ends with its holder
    assert_eq!(Survey::of(&path).unwrap().tail, Tail::Open);
    drop(first);
    let (again, tail) = Writer::append(&path, options).unwrap();
    assert_eq!((again.events(), tail), (Survey::of(&path).unwrap().events, Tail::Open));
}

/// Broken once: `Files` cut nothing when it was dropped.
#[test]
fn the_room_that_a_writer_has_taken_is_read_over_and_is_cut_off_when_it_ends() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run.jrn");
    let mut journal = Writer::create(&path, header(), Options::default()).unwrap();
    let mut extended = 0;
    for _ in 0..50 {
        fill(&mut journal);
        journal.commit().unwrap();
        let survey = Survey::of(&path).unwrap();
        assert_eq!((survey.events, survey.tail), (journal.events(), Tail::Open));
        let len = fs::metadata(&path).unwrap().len();
        assert!(len < 2 * survey.bytes + 1, "{len} bytes for {}", survey.bytes);
        extended += u32::from(len > survey.bytes);
    }
    assert!(extended > 40, "{extended} of 50");
    drop(journal);
    let survey = Survey::of(&path).unwrap();
    assert_eq!(fs::metadata(&path).unwrap().len(), survey.bytes);
    assert_eq!(survey.tail, Tail::Open);
}

#[test]
fn what_has_ended_is_not_continued() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run.jrn");
    fs::write(&path, small()).unwrap();
    assert!(matches!(Writer::append(&path, Options::default()), Err(JournalError::Ended { .. })));
    assert_eq!(fs::read(&path).unwrap(), small());
}

/// Takes so many bytes, and then is full.
struct Full(Shared, usize);

impl io::Write for Full {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let taken = bytes.len().min(self.1);
        if taken == 0 && !bytes.is_empty() {
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.1 -= taken;
        self.0.write(&bytes[..taken])
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn when_the_disk_is_full_the_policy_decides() {
    for policy in [OnFailure::Stop, OnFailure::GoOn] {
        let bytes = Shared::default();
        let mut options = Options::default();
        options.on_failure = policy;
        let mut journal = Writer::to_stream(Full(bytes.clone(), 1_500), header(), options).unwrap();
        fill(&mut journal);
        assert_eq!(journal.ended(), None);
        let result = journal.commit();
        let (ended, events) = (journal.ended().unwrap().to_owned(), journal.events());
        assert!(ended.contains("cannot write"), "{ended}");
        let later = journal.write(Time::ZERO, 0, &Record::Advance { to: Time::ZERO });
        match policy {
            OnFailure::Stop => {
                assert!(matches!(result, Err(JournalError::Io { .. })));
                assert!(matches!(later, Err(JournalError::Ended { .. })));
                assert!(matches!(journal.commit(), Err(JournalError::Ended { .. })));
            }
            _ => {
                result.unwrap();
                later.unwrap();
                journal.commit().unwrap();
            }
        }
        // nothing was written behind the gap
        assert_eq!(journal.events(), events);
        drop(journal);
        let (entries, tail) = read(&bytes.0.borrow());
        assert!(!entries.is_empty());
        assert!(matches!(tail, Ok(Tail::Torn { .. })), "{tail:?}");
    }
}

/// Counts how often the disk is waited for.
struct Synced(Rc<Cell<u32>>);

impl io::Write for Synced {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.set(self.0.get() + 1);
        Ok(())
    }
}

/// Broken once: `commit` did not ask for the policy.
#[test]
fn the_disk_is_waited_for_never_at_each_commit_or_after_each_record() {
    for (fsync, times) in [(Fsync::Never, 0), (Fsync::Step, 3), (Fsync::Always, 3 * 4)] {
        let synced = Rc::new(Cell::new(0));
        let mut options = Options::default();
        options.fsync = fsync;
        let mut journal = Writer::to_stream(Synced(synced.clone()), header(), options).unwrap();
        for n in 0..3 {
            for agent in ["a", "b", "c", "d"] {
                journal.write(Time::ZERO + nanos(n), 0, &Record::Started { agent: agent.into() }).unwrap();
            }
            journal.commit().unwrap();
        }
        assert_eq!(synced.get(), times, "{fsync:?}");
    }
}

#[test]
#[ignore = "the child of the next test"]
fn a_writer_that_finds_the_disk_full() {
    let path = journal();
    let mut options = Options::default();
    options.on_failure = OnFailure::GoOn;
    let mut journal = Writer::create(&path, header(), options).unwrap();
    for _ in 0..2_000 {
        fill(&mut journal);
    }
    journal.commit().unwrap();
    println!("ended {}", journal.ended().unwrap());
}

#[cfg(unix)]
#[test]
fn a_full_disk_leaves_whole_frames() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run.jrn");
    // a limit on the size of files is a full disk to the one who writes them
    let child = again("files::a_writer_that_finds_the_disk_full", &path);
    let mut limited = Command::new("sh");
    limited.arg("-c").arg("trap '' XFSZ; ulimit -f 2000; exec \"$0\" \"$@\"");
    limited.arg(child.get_program()).args(child.get_args()).env("JOURNAL", &path);
    let output = limited.output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains("ended cannot write"), "{said}");

    let survey = Survey::of(&path).unwrap();
    assert_eq!(survey.tail, Tail::Open);
    assert!(survey.events > 1_000);
    // and there it goes on, once there is room
    let (mut journal, _) = Writer::append(&path, Options::default()).unwrap();
    fill(&mut journal);
    journal.finish(Time::ZERO + secs(9), 0, 0, "there was room again").unwrap();
    assert_eq!(Survey::of(&path).unwrap().because.as_deref(), Some("there was room again"));
}

/// A journal of several segments, and how many.
fn segmented(path: &Path) -> u32 {
    let mut options = Options::default();
    (options.segment, options.overwrite) = (2_000, true);
    let mut journal = Writer::create(path, header(), options).unwrap();
    for _ in 0..4 {
        fill(&mut journal);
    }
    journal.finish(Time::ZERO + secs(9), 0, 0, "done").unwrap();
    Survey::of(path).unwrap().segments
}

fn segment(path: &Path, number: u32) -> PathBuf {
    path.with_file_name(format!("run-{number:05}.jrn"))
}

#[test]
fn a_segment_that_is_missing_or_of_another_run_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run.jrn");
    let count = segmented(&path);
    assert!(count >= 4, "{count} segments");
    let one = Reader::open(&path).unwrap().map(Result::unwrap).count();

    // a later segment can be read by itself
    let later = Reader::open(segment(&path, 3)).unwrap().map(Result::unwrap).count();
    assert!(later < one);

    fs::rename(segment(&path, 3), folder.path().join("away")).unwrap();
    match Survey::of(&path) {
        Err(JournalError::Missing { path: missing, .. }) => assert_eq!(missing, segment(&path, 3)),
        other => panic!("{other:?}"),
    }
    fs::copy(segment(&path, 4), segment(&path, 3)).unwrap();
    assert!(matches!(Survey::of(&path), Err(JournalError::Damaged { .. })));

    // a segment that is torn is damaged if another follows
    fs::rename(folder.path().join("away"), segment(&path, 3)).unwrap();
    let whole = fs::read(segment(&path, 3)).unwrap();
    fs::write(segment(&path, 3), &whole[..whole.len() - 1]).unwrap();
    assert!(matches!(Survey::of(&path), Err(JournalError::Damaged { .. })));

    // an older recording of more segments does not show through
    let mut journal = {
        let mut options = Options::default();
        options.overwrite = true;
        Writer::create(&path, header(), options).unwrap()
    };
    fill(&mut journal);
    drop(journal);
    assert_eq!(Survey::of(&path).unwrap().segments, 1);
}

#[test]
fn a_segment_whose_head_was_torn_is_begun_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run.jrn");
    let last = segment(&path, segmented(&path));
    let whole = fs::read(&last).unwrap();
    for len in [0, 1, 8, 15, 40] {
        fs::write(&last, &whole[..len]).unwrap();
        assert!(matches!(Survey::of(&path).unwrap().tail, Tail::Torn { offset: 0, .. }), "{len} bytes");
    }
    fs::write(&last, vec![0; 4_096]).unwrap();
    let (journal, tail) = Writer::append(&path, Options::default()).unwrap();
    assert_eq!(tail, Tail::Torn { path: last.clone(), offset: 0, bytes: 4_096 });
    drop(journal);
    assert!(!last.exists());
}

#[test]
fn repair_cuts_a_torn_tail_and_damage_only_when_it_is_told_to() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run.jrn");
    let whole = small();

    fs::write(&path, &whole).unwrap();
    assert_eq!(repair(&path, true).unwrap(), Repair::Whole);

    for torn in [&whole[..whole.len() - 3], &[&whole[..], &[0; 5_000]].concat()[..]] {
        fs::write(&path, torn).unwrap();
        assert!(matches!(repair(&path, false).unwrap(), Repair::CutTail { .. }));
        assert!(whole.starts_with(&fs::read(&path).unwrap()));
        assert_eq!(repair(&path, false).unwrap(), Repair::Whole);
    }

    let count = segmented(&path);
    let second = segment(&path, 2);
    let mut damaged = fs::read(&second).unwrap();
    let middle = damaged.len() / 2;
    damaged[middle] ^= 4;
    fs::write(&second, &damaged).unwrap();
    assert!(matches!(repair(&path, false), Err(JournalError::Damaged { .. })));
    assert_eq!(fs::read(&second).unwrap(), damaged);
    let Repair::CutDamage { path: cut, offset, kept } = repair(&path, true).unwrap() else { panic!() };
    assert_eq!((cut, kept.len() as u32), (second.clone(), count - 1));
    let rest = fs::read(folder.path().join("run-00002.jrn.damaged")).unwrap();
    assert_eq!([fs::read(&second).unwrap(), rest].concat(), damaged);
    assert!(offset as usize <= middle && kept.iter().all(|path| path.exists()));
    assert_eq!(Survey::of(&path).unwrap().tail, Tail::Open);
}
