//! Appends records.
//!
//! Contract: [`write`](Writer::write) encodes into a buffer and allocates nothing; [`commit`](Writer::commit) returns when
//! the operating system has everything, so that what was written survives the death of the process: call it before
//! anything that depends on the records leaves. Whether it also survives a power cut is up to [`Fsync`].
//!
//! Failure modes: when the disk is full, the file is cut back to whole frames and [`OnFailure`] decides whether the run
//! ends with an error or goes on unrecorded, which [`ended`](Writer::ended) and a warning then tell. Never is a record
//! left out and a later one written.

use std::io;
use std::path::Path;

use isochrone_sim::Time;

use super::buffer::Buffer;
use super::error::JournalError;
use super::frame;
use super::header::{self, Begin, Header};
use super::name::Numbers;
use super::pack;
use super::reader::{Reader, Tail};
use super::record::{self, Hash, Record, Tell, Told, is_volatile};
use super::segment::{self, Files, Sink, Stream};

/// Written to the file when so much has come together.
const CHUNK: usize = 256 << 10;
/// Events from one checkpoint to the next, at most.
const CHECKPOINT: u64 = 4_096;

/// When records are forced from the operating system's memory to the disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fsync {
    /// When the operating system likes: a power cut may take the last half minute. For simulations.
    #[default]
    Never,
    /// At every [`commit`](Writer::commit). For live runs.
    Step,
    /// After every record.
    Always,
}

/// What to do when a record cannot be written, mostly because the disk is full.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum OnFailure {
    /// The call returns the error, and so do all later ones.
    #[default]
    Stop,
    /// A warning is logged, and this and all later records are dropped.
    GoOn,
}

/// How a journal is written.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Options {
    /// Default: never.
    pub fsync: Fsync,
    /// Default: stop.
    pub on_failure: OnFailure,
    /// Bytes of a segment, after which a new one begins; default 1 GiB.
    pub segment: u64,
    /// Whether a journal of this name is overwritten; default: it is an error.
    pub overwrite: bool,
}

impl Default for Options {
    fn default() -> Options {
        Options { fsync: Fsync::Never, on_failure: OnFailure::Stop, segment: 1 << 30, overwrite: false }
    }
}

/// A journal that is being written.
///
/// ```
/// use isochrone::journal::{Header, Name, Options, Reader, Record, Writer};
/// use isochrone::sim::{Time, secs};
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("run.jrn");
/// let mut journal = Writer::create(&path, Header::new("demo", 7), Options::default())?;
/// let house = Name::new("grid/house_7");
/// journal.write(Time::ZERO + secs(9), 0, &Record::Started { agent: house })?;
/// journal.commit()?;
///
/// let entry = Reader::open(&path)?.next().expect("one record")?;
/// assert_eq!((entry.event, entry.time), (0, Time::ZERO + secs(9)));
/// assert!(matches!(entry.record, Record::Started { agent } if agent == "grid/house_7"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Writer {
    sink: Box<dyn Sink>,
    options: Options,
    header: Header,
    /// whole frames that are not in the file yet
    buffer: Buffer,
    numbers: Numbers,
    segment: u32,
    /// bytes of this segment in the file
    written: u64,
    /// bytes of this segment's frames, but for volatile ones: those must not decide where the next segment begins
    counted: u64,
    /// so many, and the next record is not simply appended; 0 when the recording has ended
    limit: u64,
    /// bytes of the buffer that are handed over; 0 if every record is
    most: usize,
    /// to be synced
    dirty: bool,
    event: u64,
    time: Time,
    /// of all sealed frames
    chain: u64,
    /// the event after the last checkpoint
    checkpoint: u64,
    ended: Option<String>,
}

impl Writer {
    /// Begins a journal in this file and, when that is full, in files beside it: `run.jrn`, `run-00002.jrn`, ...
    ///
    /// # Errors
    /// There is one of that name, another writer has it, or the operating system refuses.
    pub fn create(path: impl AsRef<Path>, header: Header, options: Options) -> Result<Writer, JournalError> {
        let files = Files::create(path.as_ref(), options.overwrite)?;
        Writer::begin(Box::new(files), header, options)
    }

    /// Begins a journal that goes into a stream, as one segment.
    ///
    /// # Errors
    /// Those of the stream.
    pub fn to_stream(
        stream: impl io::Write + 'static,
        header: Header,
        options: Options,
    ) -> Result<Writer, JournalError> {
        let options = Options { segment: u64::MAX, ..options };
        Writer::begin(Box::new(Stream(stream)), header, options)
    }

    /// Continues a journal whose writer died: cuts a torn tail and appends after the last whole record. Also says what
    /// the tail was.
    ///
    /// # Errors
    /// It is damaged, has ended, is of another version, another writer has it, or the operating system refuses.
    pub fn append(path: impl AsRef<Path>, options: Options) -> Result<(Writer, Tail), JournalError> {
        let base = path.as_ref();
        let mut files = Files::reopen(base)?;
        let mut segment = segment::last(base);
        let mut torn = None;
        // the writer may have died when it had just created its last segment
        let mut reader = loop {
            match Reader::open(segment::path_of(base, segment)) {
                Err(JournalError::Empty { path }) if segment > 1 => {
                    let bytes = path.metadata().map_or(0, |metadata| metadata.len());
                    std::fs::remove_file(&path).map_err(segment::io_error("remove", &path))?;
                    torn = Some(Tail::Torn { path, offset: 0, bytes });
                    segment -= 1;
                }
                opened => break opened?,
            }
        };
        reader.by_ref().try_for_each(|entry| entry.map(drop))?;
        let tail = reader.tail().cloned().unwrap_or(Tail::Open);
        if tail == Tail::Ended {
            return Err(JournalError::Ended { because: "its last record says so".into() });
        }
        let state = reader.state();
        files.go_to(segment, state.offset)?;
        let mut numbers = Numbers::new();
        for name in state.names.iter() {
            numbers.add(name);
        }
        let writer = Writer {
            sink: Box::new(files),
            options,
            header: reader.header().clone(),
            buffer: Buffer::new(2 * CHUNK),
            numbers,
            segment,
            written: state.offset,
            counted: state.counted,
            limit: options.segment,
            most: most(options),
            dirty: true,
            event: state.event,
            time: state.time,
            chain: state.chain,
            checkpoint: state.checkpoint,
            ended: None,
        };
        Ok((writer, torn.unwrap_or(tail)))
    }

    fn begin(sink: Box<dyn Sink>, header: Header, options: Options) -> Result<Writer, JournalError> {
        let mut writer = Writer {
            sink,
            options,
            header,
            buffer: Buffer::new(2 * CHUNK),
            numbers: Numbers::new(),
            segment: 0,
            written: 0,
            counted: 0,
            limit: options.segment,
            most: most(options),
            dirty: false,
            event: 0,
            time: Time::ZERO,
            chain: 0,
            checkpoint: 0,
            ended: None,
        };
        writer.next_segment()?;
        Ok(writer)
    }

    /// Appends a record to the buffer and returns its event number.
    ///
    /// # Errors
    /// It does not fit a frame, the buffer was full and could not be written, or the recording has ended.
    pub fn write(&mut self, time: Time, round: u32, record: &Record) -> Result<u64, JournalError> {
        let event = self.event;
        self.put(time, round, record).map(|()| event).map_err(|error| *error)
    }

    /// The same, of a record that borrows what it tells. Where its kind is known, little more than its stores is left: the
    /// error is boxed so that it has no place where there is none.
    #[inline(always)]
    pub(crate) fn tell(&mut self, time: Time, round: u32, told: Told<'_>) -> Result<(), Box<JournalError>> {
        self.put(time, round, told)
    }

    #[inline(always)]
    fn put(&mut self, time: Time, round: u32, record: impl Tell + Copy) -> Result<(), Box<JournalError>> {
        if self.counted >= self.limit && !self.turn_over()? {
            return Ok(());
        }
        let (kind, numbers) = (record.kind(), &mut self.numbers);
        let stamp = (time.as_nanos().wrapping_sub(self.time.as_nanos()), round);
        let short = self.buffer.short(
            kind,
            #[inline(always)]
            |window| {
                record.pack(stamp, window, numbers);
                // new names come first
                numbers.fresh.is_empty() && !is_volatile(kind)
            },
        );
        match short {
            Some(len) => self.counted += len as u64,
            None => self.put_long(stamp, record)?,
        }
        if !is_volatile(kind) {
            self.event += 1;
            self.time = time;
        }
        if self.buffer.len() >= self.most {
            self.hand_over()?;
        }
        Ok(())
    }

    /// Appends the new names, and a record that brings some, is long or volatile.
    #[cold]
    fn put_long(&mut self, stamp: (i64, u32), record: impl Tell) -> Result<(), JournalError> {
        for name in std::mem::take(&mut self.numbers.fresh) {
            // it is never too long
            let len = self.buffer.long(frame::NAME, 0, |out| pack::str(out, name.as_str()));
            self.counted += len.unwrap_or(0) as u64;
        }
        let (kind, numbers) = (record.kind(), &mut self.numbers);
        // volatile records have no place in time
        let volatile = is_volatile(kind);
        let (stamp, flags) = if volatile { ((0, 0), frame::VOLATILE | frame::IGNORABLE) } else { (stamp, 0) };
        match self.buffer.long(kind, flags, |out| record.pack(stamp, out, numbers)) {
            Ok(len) => {
                self.counted += if volatile { 0 } else { len as u64 };
                Ok(())
            }
            Err(len) => Err(JournalError::TooLarge { kind: record::label(kind), len }),
        }
    }

    /// The segment is full, or the recording has ended; whether it goes on.
    #[cold]
    fn turn_over(&mut self) -> Result<bool, JournalError> {
        if self.ended.is_none() {
            self.next_segment()?;
        } else {
            self.unrecorded()?;
        }
        Ok(self.ended.is_none())
    }

    /// Enough has come together, or every record is to be synced.
    #[cold]
    fn hand_over(&mut self) -> Result<(), JournalError> {
        if self.options.fsync == Fsync::Always { self.commit() } else { self.flush() }
    }

    /// Appends a checkpoint. The journal wants one at every step and when [`checkpoint_due`](Writer::checkpoint_due).
    ///
    /// # Errors
    /// As [`write`](Writer::write).
    pub fn checkpoint(&mut self, time: Time, round: u32, fingerprint: u64) -> Result<u64, JournalError> {
        let (events, chain) = (self.event, Hash(self.chain()));
        let event =
            self.write(time, round, &Record::Checkpoint { events, fingerprint: Hash(fingerprint), chain })?;
        self.checkpoint = self.event;
        Ok(event)
    }

    /// Whether 4,096 events were written since the last checkpoint.
    pub fn checkpoint_due(&self) -> bool {
        self.event - self.checkpoint >= CHECKPOINT
    }

    /// Hands everything to the operating system, and syncs it if [`Fsync`] says so.
    ///
    /// # Errors
    /// The operating system refuses, or the recording has ended.
    pub fn commit(&mut self) -> Result<(), JournalError> {
        if self.ended.is_some() {
            return self.unrecorded();
        }
        self.flush()?;
        if self.dirty && self.options.fsync != Fsync::Never {
            self.dirty = false;
            if let Err(source) = self.sink.sync() {
                return self.fail("sync", source);
            }
        }
        Ok(())
    }

    /// Writes the last record, with the reason of the end, and commits.
    ///
    /// # Errors
    /// As [`commit`](Writer::commit).
    pub fn finish(
        mut self,
        time: Time,
        round: u32,
        fingerprint: u64,
        because: &str,
    ) -> Result<(), JournalError> {
        let (events, chain) = (self.event, Hash(self.chain()));
        let end = Record::End { events, fingerprint: Hash(fingerprint), chain, because: because.into() };
        self.write(time, round, &end)?;
        self.commit()
    }

    /// Events written so far: the number of the next.
    pub fn events(&self) -> u64 {
        self.event
    }

    /// Which run this is.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// Why nothing is recorded any more, if that is so.
    pub fn ended(&self) -> Option<&str> {
        self.ended.as_deref()
    }

    /// The chain up to here.
    fn chain(&mut self) -> u64 {
        self.chain = self.buffer.seal(self.chain);
        self.chain
    }

    #[cold]
    fn next_segment(&mut self) -> Result<(), JournalError> {
        if self.segment > 0 {
            self.flush()?;
            // the last bytes of a segment must not be less durable than the first of the next
            if self.options.fsync != Fsync::Never
                && let Err(source) = self.sink.sync()
            {
                return self.fail("sync", source);
            }
        }
        let segment = self.segment + 1;
        let begin = Begin { segment, event: self.event, time: self.time, chain: self.chain() };
        let head = frame::segment(&header::pack(&self.header, &begin));
        if head.len() > frame::LONGEST_HEADER {
            return Err(JournalError::TooLarge { kind: "header", len: head.len() });
        }
        if let Err(source) = self.sink.begin(segment) {
            return self.fail("create", source);
        }
        self.segment = segment;
        self.numbers = Numbers::new();
        (self.written, self.counted, self.dirty) = (0, 0, true);
        self.buffer.raw(&head);
        self.flush()
    }

    fn flush(&mut self) -> Result<(), JournalError> {
        if self.buffer.len() == 0 {
            return Ok(());
        }
        self.chain();
        let (result, len) = (self.sink.write(self.buffer.sealed()), self.buffer.len());
        self.buffer.clear(2 * CHUNK);
        match result {
            Ok(()) => {
                self.written += len as u64;
                self.dirty = true;
                Ok(())
            }
            Err(source) => self.fail("write", source),
        }
    }

    /// Something could not be written: nothing is, from now on.
    #[cold]
    fn fail(&mut self, what: &'static str, source: io::Error) -> Result<(), JournalError> {
        let path = self.sink.path();
        let because = format!("cannot {what} {}: {source}", path.display());
        // a torn frame would be cut at the next opening anyway; if this fails, it is
        let cut = self.sink.cut(self.written);
        tracing::warn!(events = self.event, whole = cut.is_ok(), "the recording ends: {because}");
        (self.ended, self.limit) = (Some(because), 0);
        match self.options.on_failure {
            OnFailure::Stop => Err(JournalError::Io { what, path, source }),
            OnFailure::GoOn => Ok(()),
        }
    }

    fn unrecorded(&self) -> Result<(), JournalError> {
        match (self.options.on_failure, &self.ended) {
            (OnFailure::Stop, Some(because)) => Err(JournalError::Ended { because: because.clone() }),
            _ => Ok(()),
        }
    }
}

fn most(options: Options) -> usize {
    if options.fsync == Fsync::Always { 0 } else { CHUNK }
}

/// A writer that is dropped by a panic still hands over what it has.
impl Drop for Writer {
    fn drop(&mut self) {
        if self.ended.is_none() && self.flush().is_err() {
            tracing::warn!("the last records of {} were not written", self.sink.path().display());
        }
    }
}
