//! Reads a whole journal to say what it is worth, and repairs one.
//!
//! Contract: a torn tail is what a killed writer leaves, and is no damage. Damage is never cut unless that is asked for,
//! and then what is cut is kept beside the journal under another name.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use isochrone_sim::Time;

use super::error::JournalError;
use super::header::Header;
use super::reader::{Reader, Tail};
use super::record::Record;
use super::segment::{self, Files, io_error};

/// What a journal holds.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Survey {
    /// Which run it is of.
    pub header: Header,
    /// How many files it has.
    pub segments: u32,
    /// Their bytes, a torn tail not counted.
    pub bytes: u64,
    /// Its events.
    pub events: u64,
    /// How many records there are of each kind, by name.
    pub kinds: BTreeMap<&'static str, u64>,
    /// The times of its earliest and latest record, if there is one.
    pub span: Option<(Time, Time)>,
    /// From which event on it cannot be replayed, and why.
    pub breaks_replay: Option<(u64, String)>,
    /// How it ends.
    pub tail: Tail,
    /// Why it ended, if it says so.
    pub because: Option<String>,
}

impl Survey {
    /// Reads a journal from its first segment to its end.
    ///
    /// # Errors
    /// It is damaged, a segment is missing, or it cannot be read at all.
    pub fn of(path: impl AsRef<Path>) -> Result<Survey, JournalError> {
        let mut reader = Reader::open(path)?;
        let mut survey = Survey {
            header: reader.header().clone(),
            segments: 1,
            bytes: 0,
            events: 0,
            kinds: BTreeMap::new(),
            span: None,
            breaks_replay: None,
            tail: Tail::Open,
            because: None,
        };
        let (first, before) = (reader.position().1, reader.state().event);
        let mut in_segment = 0;
        while let Some(entry) = reader.next() {
            let entry = entry?;
            let (_, segment, offset) = reader.position();
            if segment - first + 1 > survey.segments {
                survey.segments = segment - first + 1;
                survey.bytes += in_segment;
            }
            in_segment = offset;
            *survey.kinds.entry(entry.record.label()).or_default() += 1;
            if !entry.record.is_volatile() {
                let (from, to) = survey.span.unwrap_or((entry.time, entry.time));
                survey.span = Some((from.min(entry.time), to.max(entry.time)));
            }
            match entry.record {
                Record::Note { agent, breaks_replay: true, text } if survey.breaks_replay.is_none() => {
                    let text = agent.map_or(text.clone(), |agent| format!("{agent}: {text}"));
                    survey.breaks_replay = Some((entry.event, text));
                }
                Record::End { because, .. } => survey.because = Some(because),
                _ => {}
            }
        }
        let (path, segment, offset) = reader.position();
        survey.bytes += offset;
        survey.events = reader.state().event - before;
        survey.tail = reader.tail().cloned().unwrap_or(Tail::Open);
        let base = segment::base_of(path, segment);
        let beyond = segment::beyond(&base, segment).map_err(io_error("list", &base))?;
        // a journal of its own may have the name of a segment of this one
        let ours = |path: &&PathBuf| {
            Reader::open(path).is_ok_and(|other| other.position().1 > 1 && *other.header() == survey.header)
        };
        match beyond.iter().find(ours) {
            Some(found) => {
                let missing = segment::path_of(&base, segment + 1);
                Err(JournalError::Missing { path: missing, found: found.clone() })
            }
            None => Ok(survey),
        }
    }

    /// Records, checkpoints and remarks included.
    pub fn records(&self) -> u64 {
        self.kinds.values().sum()
    }
}

/// What [`repair`] did.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Repair {
    /// Nothing was to be done.
    Whole,
    /// A torn tail was cut, or the room of a writer that was killed.
    CutTail {
        /// The segment.
        path: PathBuf,
        /// Its length now.
        offset: u64,
        /// How many bytes were cut.
        bytes: u64,
    },
    /// Everything from the damage on was cut.
    CutDamage {
        /// The segment.
        path: PathBuf,
        /// Its length now.
        offset: u64,
        /// What was cut: the rest of the segment, and whole segments after it.
        kept: Vec<PathBuf>,
    },
}

/// Cuts the torn tail of a journal whose writer was killed; if `cut_damage`, also everything from the first damaged byte
/// on, which is kept in files `*.damaged`.
///
/// # Errors
/// It is damaged and must not be cut, is being written, or the operating system refuses.
pub fn repair(path: impl AsRef<Path>, cut_damage: bool) -> Result<Repair, JournalError> {
    let base = path.as_ref();
    let mut files = Files::reopen(base)?;
    let mut reader = Reader::open(base)?;
    let result = reader.by_ref().try_for_each(|entry| entry.map(drop));
    match (result, reader.tail()) {
        (Ok(()), Some(Tail::Torn { path, offset: 0, bytes })) => {
            // not even its head is whole
            fs::remove_file(path).map_err(io_error("remove", path))?;
            Ok(Repair::CutTail { path: path.clone(), offset: 0, bytes: *bytes })
        }
        (Ok(()), Some(Tail::Torn { path, offset, bytes })) => {
            files.go_to(reader.position().1, *offset)?;
            Ok(Repair::CutTail { path: path.clone(), offset: *offset, bytes: *bytes })
        }
        (Ok(()), _) => {
            let (path, segment, offset) = reader.position();
            let len = path.metadata().map_err(io_error("look at", path))?.len();
            if len == offset {
                return Ok(Repair::Whole);
            }
            files.go_to(segment, offset)?;
            Ok(Repair::CutTail { path: path.to_owned(), offset, bytes: len - offset })
        }
        (Err(JournalError::Damaged { path, offset, .. }), _) if cut_damage => {
            let segment = (1..).find(|segment| segment::path_of(base, *segment) == path).unwrap_or(1);
            let mut kept = Vec::new();
            for later in segment + 1..=segment::last(base) {
                let later = segment::path_of(base, later);
                let to = beside(&later);
                fs::rename(&later, &to).map_err(io_error("rename", &later))?;
                kept.push(to);
            }
            if offset == 0 && segment > 1 {
                let to = beside(&path);
                fs::rename(&path, &to).map_err(io_error("rename", &path))?;
                kept.insert(0, to);
            } else {
                let to = beside(&path);
                keep(&path, offset, &to).map_err(io_error("write", &to))?;
                kept.insert(0, to);
                files.go_to(segment, offset)?;
            }
            Ok(Repair::CutDamage { path, offset, kept })
        }
        (Err(error), _) => Err(error),
    }
}

fn beside(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".damaged");
    path.with_file_name(name)
}

/// Copies what stands from `offset` on, and waits until the disk has it.
fn keep(path: &Path, offset: u64, to: &Path) -> io::Result<()> {
    let mut from = File::open(path)?;
    from.seek(SeekFrom::Start(offset))?;
    let mut to = OpenOptions::new().write(true).create_new(true).open(to)?;
    io::copy(&mut from, &mut to)?;
    to.sync_all()
}
