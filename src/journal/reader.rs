//! Reads records, one after the other.
//!
//! Contract: whatever the bytes, no panic, and never more than 64 MiB: a frame of less than 16 MiB, the record decoded
//! from it, and a segment's names. Lengths are believed only as far as bytes arrive. Every frame is checked before it is
//! decoded, and checkpoints hold that no frame is missing, doubled or moved.
//!
//! | what is found | it is |
//! |---|---|
//! | the file ends after a frame | the end; the next segment, if there is one |
//! | it has only zeros from there on: the writer's room | the end |
//! | the file, or what of it is not zero, ends within a frame | a torn tail: the writer was killed |
//! | the same, and there is a further segment | damage |
//! | a frame whose head or payload does not fit its sums | damage |
//! | a record of an unknown kind | passed over if its flags allow that, else an error |

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use isochrone_sim::Time;

use super::error::JournalError;
use super::frame::{self, HEAD, Head, LONG_HEAD};
use super::header::{self, Begin, Header};
use super::name::Names;
use super::pack::{In, Malformed, SHORT, Unpack, WINDOW, Window};
use super::record::{Entry, Hash, Record, is_about_the_journal};
use super::segment;
use super::sum::crc32c;

/// Read from the file at once.
const CHUNK: usize = 64 << 10;

/// How a journal ends.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Tail {
    /// With a record that says so.
    Ended,
    /// After a whole record: its writer was killed, or still runs.
    Open,
    /// Within a record: its writer was killed. Everything before it is whole.
    Torn {
        /// The segment.
        path: PathBuf,
        /// Where the torn record begins.
        offset: u64,
        /// How many bytes there are of it.
        bytes: u64,
    },
}

/// A journal that is being read: an iterator over its entries. After an error it ends.
///
/// See [`Writer`](super::Writer) for an example.
pub struct Reader {
    input: Box<dyn Read>,
    /// `None` for a stream
    base: Option<PathBuf>,
    path: PathBuf,
    header: Header,
    segment: u32,
    buffer: Vec<u8>,
    /// what lies between in the buffer was read from the file and is not passed yet; there is a window after it
    at: usize,
    end: usize,
    /// up to here there are whole frames that are what was written
    sound: usize,
    state: State,
    tail: Option<Tail>,
    failed: bool,
}

/// Where a reader is.
#[derive(Debug, Default)]
pub(super) struct State {
    /// in the segment
    pub(super) offset: u64,
    /// bytes of the segment's frames that are not volatile
    pub(super) counted: u64,
    pub(super) names: Names,
    pub(super) event: u64,
    pub(super) time: Time,
    pub(super) chain: u64,
    /// the event after the last checkpoint
    pub(super) checkpoint: u64,
    /// the last record was an end
    ended: bool,
}

impl std::fmt::Debug for Reader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Reader({} at byte {})", self.path.display(), self.state.offset)
    }
}

impl Reader {
    /// Opens a journal at its first segment, or at a later one, and reads its header.
    ///
    /// # Errors
    /// It is no journal, of a later version, or damaged in its header; or the operating system refuses.
    pub fn open(path: impl AsRef<Path>) -> Result<Reader, JournalError> {
        let path = path.as_ref();
        let file = File::open(path).map_err(segment::io_error("open", path))?;
        let mut reader = Reader::begin(Box::new(file), path.to_owned())?;
        reader.base = Some(segment::base_of(path, reader.segment));
        Ok(reader)
    }

    /// Reads one segment from a stream.
    ///
    /// # Errors
    /// As [`open`](Reader::open).
    pub fn from_stream(stream: impl Read + 'static) -> Result<Reader, JournalError> {
        Reader::begin(Box::new(stream), PathBuf::from("the stream"))
    }

    fn begin(input: Box<dyn Read>, path: PathBuf) -> Result<Reader, JournalError> {
        let mut reader = Reader {
            input,
            base: None,
            path,
            header: Header::default(),
            segment: 0,
            buffer: Vec::new(),
            at: 0,
            end: 0,
            sound: 0,
            state: State::default(),
            tail: None,
            failed: false,
        };
        let (header, begin) = reader.read_header()?;
        reader.header = header;
        reader.segment = begin.segment;
        reader.state.event = begin.event;
        reader.state.time = begin.time;
        reader.state.chain = begin.chain;
        reader.state.checkpoint = begin.event;
        Ok(reader)
    }

    /// Which run this is.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// How the journal ends, once everything was read without an error.
    pub fn tail(&self) -> Option<&Tail> {
        self.tail.as_ref()
    }

    /// The segment that is being read, its number, and the bytes of it that were read so far.
    pub fn position(&self) -> (&Path, u32, u64) {
        (&self.path, self.segment, self.state.offset)
    }

    pub(super) fn state(&self) -> &State {
        &self.state
    }

    /// Makes at least `need` bytes available, if there are that many; returns how many there are.
    #[inline]
    fn fill(&mut self, need: usize) -> Result<usize, JournalError> {
        let there = self.end - self.at;
        if there >= need { Ok(there) } else { self.fetch(need) }
    }

    #[cold]
    fn fetch(&mut self, need: usize) -> Result<usize, JournalError> {
        while self.end - self.at < need {
            self.buffer.copy_within(self.at..self.end, 0);
            self.end -= self.at;
            (self.at, self.sound) = (0, 0);
            if self.end + WINDOW >= self.buffer.len() {
                // twice as much each time, but never much more than is needed
                let step = self.end.max(CHUNK).min(need - self.end + CHUNK);
                self.buffer.reserve_exact(step + WINDOW);
                self.buffer.resize(self.end + step + WINDOW, 0);
            }
            let room = self.buffer.len() - WINDOW;
            let read = loop {
                match self.input.read(&mut self.buffer[self.end..room]) {
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    read => break read.map_err(segment::io_error("read", &self.path))?,
                }
            };
            if read == 0 {
                break;
            }
            self.end += read;
        }
        Ok(self.end - self.at)
    }

    /// What was read from the file and is not passed yet.
    #[inline]
    fn ahead(&self) -> &[u8] {
        &self.buffer[self.at..self.end]
    }

    #[inline]
    fn pass(&mut self, len: usize) {
        self.at += len;
        self.state.offset += len as u64;
    }

    #[cold]
    fn damaged(&self, problem: impl Into<String>) -> JournalError {
        JournalError::Damaged {
            path: self.path.clone(),
            offset: self.state.offset,
            events: self.state.event,
            problem: problem.into(),
        }
    }

    fn read_header(&mut self) -> Result<(Header, Begin), JournalError> {
        let path = || self.path.clone();
        let (empty, foreign) =
            (JournalError::Empty { path: path() }, JournalError::NotAJournal { path: path() });
        let there = self.fill(frame::PREFIX)?.min(frame::PREFIX);
        let prefix = &self.ahead()[..there];
        let magic = there.min(frame::MAGIC.len());
        if prefix[..magic] != frame::MAGIC[..magic] {
            // as a file system leaves a file whose bytes it has not written yet
            let zeros = prefix.iter().all(|byte| *byte == 0) && self.only_zeros()?;
            return Err(if zeros { empty } else { foreign });
        }
        let &[_, _, _, _, _, _, _, _, major, minor, _, _, l0, l1, l2, l3] = prefix else { return Err(empty) };
        let len = u32::from_le_bytes([l0, l1, l2, l3]) as usize;
        let whole = frame::PREFIX + len;
        if len > frame::LONGEST_HEADER {
            return Err(self.damaged("its header claims to be longer than any"));
        }
        if self.fill(whole + 4)? < whole + 4 {
            return Err(JournalError::Empty { path: self.path.clone() });
        }
        let (head, rest) = self.ahead().split_at(whole);
        if rest.first_chunk().map(|sum| u32::from_le_bytes(*sum)) != Some(crc32c(head)) {
            let error = self.damaged("its header does not fit its checksum");
            // its writer was killed in it, and had taken room
            self.at += whole + 3;
            return Err(if self.only_zeros()? { empty } else { error });
        }
        if major != frame::MAJOR {
            return Err(JournalError::Version { path: self.path.clone(), major, minor });
        }
        let read = header::unpack(&head[frame::PREFIX..]).map_err(|problem| self.damaged(problem))?;
        self.pass(whole + 4);
        Ok(read)
    }

    /// Whether nothing but zeros follows, to the end of the file.
    fn only_zeros(&mut self) -> Result<bool, JournalError> {
        loop {
            if self.ahead().iter().any(|byte| *byte != 0) {
                return Ok(false);
            }
            self.at = self.end;
            if self.fill(1)? == 0 {
                return Ok(true);
            }
        }
    }

    /// The next entry, if it is a short one like nearly all: of any other, and of what is not as it should be, nothing is
    /// taken.
    #[inline(always)]
    fn read_short(&mut self) -> Option<Entry> {
        if self.at >= self.sound {
            self.look_ahead();
        }
        let window = self.buffer.get(self.at..)?.first_chunk::<WINDOW>()?;
        let &[len, kind, flags, _, s0, s1, s2, s3] = window.first_chunk()?;
        let end = HEAD + usize::from(len);
        if self.at + end > self.sound || end > SHORT || flags != 0 || is_about_the_journal(kind) {
            return None;
        }
        let state = &mut self.state;
        let mut from = Window::new(window, HEAD, end);
        let fields = from.array().ok()?;
        let time = Time::from_nanos(state.time.as_nanos().wrapping_add(from.int().ok()?));
        let round = from.uint().ok()?.try_into().ok()?;
        let record = Record::unpack(kind, fields, &mut from, &state.names).ok()??;
        let event = state.event;
        state.chain = frame::link(state.chain, kind, u32::from_le_bytes([s0, s1, s2, s3]));
        state.counted += end as u64;
        (state.event, state.time, state.ended) = (event + 1, time, false);
        self.pass(end);
        Some(Entry { event, time, round, record })
    }

    /// Checks the frames that come next, not so many that the first have left the processor's cache when they are read.
    #[cold]
    fn look_ahead(&mut self) {
        const AHEAD: usize = 8 << 10;
        let bytes = &self.buffer[self.at..self.end];
        self.sound = self.at + frame::sound(&bytes[..bytes.len().min(AHEAD)]);
    }

    /// The next entry.
    fn read(&mut self) -> Result<Option<Entry>, JournalError> {
        loop {
            let there = self.fill(HEAD)?;
            if there == 0 {
                if self.open_next()? {
                    continue;
                }
                let tail = self.whole_tail();
                // a further segment may have been torn in its head
                self.tail.get_or_insert(tail);
                return Ok(None);
            }
            let head = self.ahead().first_chunk().map(Head::read);
            let Some(Some(mut head)) = head else {
                let len = head.map(|_| HEAD);
                return self.tear_or_damage(len, BROKEN_HEAD);
            };
            let mut start = HEAD;
            if head.len == frame::BEYOND {
                if self.fill(LONG_HEAD)? < LONG_HEAD {
                    return self.tear_or_damage(None, "");
                }
                let Some(len) = self.ahead()[HEAD..].first_chunk().and_then(|len| Head::read_len(*len))
                else {
                    return self.tear_or_damage(Some(LONG_HEAD), BROKEN_HEAD);
                };
                (head.len, start) = (len, LONG_HEAD);
            }
            let whole = start + head.len;
            if self.fill(whole)? < whole {
                return self.tear_or_damage(None, "");
            }
            let payload = &self.buffer[self.at + start..self.end][..head.len];
            if !head.covers(payload) {
                return self.tear_or_damage(Some(whole), "a record does not fit its checksum");
            }
            let decoded = decode(&head, payload, whole, &mut self.state);
            match decoded {
                Ok(Decoded::Entry(entry)) => {
                    self.pass(whole);
                    return Ok(Some(entry));
                }
                Ok(Decoded::Unknown) if head.flags & frame::IGNORABLE == 0 => {
                    let (path, offset) = (self.path.clone(), self.state.offset);
                    return Err(JournalError::UnknownKind { path, offset, kind: head.kind });
                }
                Ok(Decoded::Name | Decoded::Unknown) => self.pass(whole),
                Err(MOVED) => return Err(self.damaged(MOVED)),
                Err(problem) => {
                    let kind = head.kind;
                    return Err(self.damaged(format!("a record of kind {kind} is malformed: {problem}")));
                }
            }
        }
    }

    /// What begins here is no frame. One would have so many bytes, or more than there are.
    #[cold]
    fn tear_or_damage(&mut self, len: Option<usize>, problem: &str) -> Result<Option<Entry>, JournalError> {
        let last = self.base.as_ref().is_none_or(|base| !segment::path_of(base, self.segment + 1).exists());
        let problem =
            if len.is_some() { problem } else { "it ends within a record, and a further segment follows" };
        // the rest is not needed any more, so that it may be read over
        let error = self.damaged(problem);
        let (mut bytes, mut used) = (0, 0);
        loop {
            if let Some(at) = self.ahead().iter().rposition(|byte| *byte != 0) {
                used = bytes + at + 1;
            }
            if !last || len.is_some_and(|len| used >= len) {
                return Err(error);
            }
            bytes += self.ahead().len();
            self.at = self.end;
            if self.fill(1)? == 0 {
                break;
            }
        }
        self.tail = Some(if used == 0 {
            self.whole_tail()
        } else {
            Tail::Torn { path: self.path.clone(), offset: self.state.offset, bytes: bytes as u64 }
        });
        Ok(None)
    }

    /// How a journal ends that ends after a frame.
    fn whole_tail(&self) -> Tail {
        if self.state.ended { Tail::Ended } else { Tail::Open }
    }

    /// Goes on with the next segment, if there is one.
    fn open_next(&mut self) -> Result<bool, JournalError> {
        let Some(base) = &self.base else { return Ok(false) };
        let path = segment::path_of(base, self.segment + 1);
        if !path.exists() {
            return Ok(false);
        }
        let further = segment::path_of(base, self.segment + 2).exists();
        let mut next = match Reader::open(&path) {
            Err(JournalError::Empty { .. }) if !further => {
                let bytes = path.metadata().map_or(0, |metadata| metadata.len());
                self.tail = Some(Tail::Torn { path, offset: 0, bytes });
                return Ok(false);
            }
            next => next?,
        };
        let follows = next.header == self.header
            && next.segment == self.segment + 1
            && (next.state.event, next.state.chain) == (self.state.event, self.state.chain);
        if !follows {
            next.state.offset = 0;
            return Err(next.damaged("it does not continue the segment before it"));
        }
        next.state.checkpoint = self.state.checkpoint;
        next.base = self.base.take();
        *self = next;
        Ok(true)
    }
}

const BROKEN_HEAD: &str = "the head of a record does not fit its checksum";

const MOVED: Malformed = "the checkpoint here counts other records: some are missing, doubled or moved";

enum Decoded {
    Entry(Entry),
    Name,
    /// Of a kind that this version does not know.
    Unknown,
}

/// Takes a frame of `whole` bytes into account and decodes it.
#[inline(always)]
fn decode(head: &Head, payload: &[u8], whole: usize, state: &mut State) -> Result<Decoded, Malformed> {
    let mut from = Unpack(payload);
    let before = state.chain;
    let volatile = head.flags & frame::VOLATILE != 0;
    if !volatile {
        state.chain = frame::link(state.chain, head.kind, head.sum);
        state.counted += whole as u64;
    }
    if head.kind == frame::NAME {
        state.names.add(from.str()?)?;
        return if from.is_empty() { Ok(Decoded::Name) } else { Err("something follows the name") };
    }
    let event = state.event;
    let fields = from.array()?;
    let time = Time::from_nanos(state.time.as_nanos().wrapping_add(from.int()?));
    let round = from.uint()?.try_into().map_err(|_| "the round is too large")?;
    if !volatile {
        state.event += 1;
        state.time = time;
    }
    state.ended = false;
    let Some(record) = Record::unpack(head.kind, fields, &mut from, &state.names)? else {
        return Ok(Decoded::Unknown);
    };
    if record.is_about_the_journal() {
        check(&record, volatile, event, before, state)?;
    } else if volatile {
        return Err(OTHER_FLAGS);
    }
    Ok(Decoded::Entry(Entry { event, time, round, record }))
}

/// What checkpoints and the end say of the frames before them must be so.
#[cold]
fn check(
    record: &Record,
    volatile: bool,
    event: u64,
    before: u64,
    state: &mut State,
) -> Result<(), Malformed> {
    if volatile != record.is_volatile() {
        return Err(OTHER_FLAGS);
    }
    if let Record::Checkpoint { events, chain, .. } | Record::End { events, chain, .. } = record {
        if (*events, *chain) != (event, Hash(before)) {
            return Err(MOVED);
        }
        state.checkpoint = state.event;
    }
    state.ended = matches!(record, Record::End { .. });
    Ok(())
}

const OTHER_FLAGS: Malformed = "its flags do not fit its kind";

impl Iterator for Reader {
    type Item = Result<Entry, JournalError>;

    fn next(&mut self) -> Option<Self::Item> {
        if let Some(entry) = self.read_short() {
            return Some(Ok(entry));
        }
        if self.failed || self.tail.is_some() {
            return None;
        }
        match self.read() {
            Ok(entry) => entry.map(Ok),
            Err(error) => {
                self.failed = true;
                Some(Err(error))
            }
        }
    }
}
