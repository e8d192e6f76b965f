//! The files of a journal: `run.jrn`, then `run-00002.jrn` and so on.
//!
//! Contract: one writer at a time, held by a lock on the first file, which ends with its process. The first sync of a
//! segment syncs its directory too, or the file could be gone after a power cut although its contents are not. Who never
//! syncs does not pay for that: it takes as long as thousands of records.
//!
//! Why zeros ahead of what is written: an operating system keeps a file in pages, and many small writes that begin and end
//! anywhere cost it twice as much as the same bytes in room that was taken at once. Where it can, it is also told to choose
//! the places on the disk for many pages at once. A writer that ends gives back what it has not used.

use std::fmt;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, IoSlice, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use super::error::JournalError;

/// Room is taken up to whole multiples of as much as there is, but of no more than this.
const ROOM: usize = 256 << 10;
/// Places on the disk are chosen for so much at once.
const PLACES: u64 = 8 << 20;

/// Where a writer's bytes go.
pub(super) trait Sink: fmt::Debug {
    /// What follows belongs to this segment, which is new.
    fn begin(&mut self, segment: u32) -> io::Result<()>;
    fn write(&mut self, bytes: &[u8]) -> io::Result<()>;
    fn sync(&mut self) -> io::Result<()>;
    /// Cuts the present segment to this length, after a write that failed half-way.
    fn cut(&mut self, len: u64) -> io::Result<()>;
    /// For messages.
    fn path(&self) -> PathBuf;
}

/// The file of a segment of the journal whose first is `base`.
pub(super) fn path_of(base: &Path, segment: u32) -> PathBuf {
    if segment <= 1 {
        return base.to_owned();
    }
    let mut name = base.file_stem().unwrap_or_default().to_owned();
    name.push(format!("-{segment:05}"));
    if let Some(extension) = base.extension() {
        name.push(".");
        name.push(extension);
    }
    base.with_file_name(name)
}

/// The first file of the journal of which this is segment number `segment`.
pub(super) fn base_of(path: &Path, segment: u32) -> PathBuf {
    let suffix = format!("-{segment:05}");
    let stem = path.file_stem().and_then(|stem| stem.to_str()).and_then(|stem| stem.strip_suffix(&suffix));
    match stem {
        Some(stem) if segment > 1 => {
            let mut name = std::ffi::OsString::from(stem);
            if let Some(extension) = path.extension() {
                name.push(".");
                name.push(extension);
            }
            path.with_file_name(name)
        }
        _ => path.to_owned(),
    }
}

/// The number of the last segment of this journal that there is, gaps not counted.
pub(super) fn last(base: &Path) -> u32 {
    let mut segment = 1;
    while path_of(base, segment + 1).exists() {
        segment += 1;
    }
    segment
}

/// Segments of this journal that lie beyond a gap: those between are missing.
pub(super) fn beyond(base: &Path, last: u32) -> io::Result<Vec<PathBuf>> {
    let directory = directory_of(base);
    let mut found = Vec::new();
    for entry in fs::read_dir(directory)? {
        let path = base.with_file_name(entry?.file_name());
        let stem = path.file_stem().and_then(|stem| stem.to_str());
        let number = stem.and_then(|stem| stem.rsplit_once('-')).and_then(|(_, number)| number.parse().ok());
        if number.is_some_and(|number| number > last && path_of(base, number) == path) {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

fn directory_of(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// The files, as the writer has them.
#[derive(Debug)]
pub(super) struct Files {
    base: PathBuf,
    /// the first file, whose lock says that there is a writer; the present one, if it is another
    first: File,
    later: Option<(u32, File)>,
    /// whether the directory has been synced since the present file came into it
    listed: bool,
    /// bytes of the present file, and with the zeros behind them
    len: u64,
    room: u64,
    /// up to here there are places on the disk, or none were to be had
    placed: u64,
}

impl Files {
    /// Opens the first file of a new journal.
    pub(super) fn create(base: &Path, overwrite: bool) -> Result<Files, JournalError> {
        let error = io_error("create", base);
        let open =
            OpenOptions::new().write(true).create(true).truncate(false).create_new(!overwrite).open(base);
        let first = match open {
            Err(source) if source.kind() == io::ErrorKind::AlreadyExists => {
                return Err(JournalError::Exists { path: base.to_owned() });
            }
            open => open.map_err(&error)?,
        };
        lock(&first, base)?;
        if overwrite {
            for segment in (2..=last(base)).rev() {
                fs::remove_file(path_of(base, segment)).map_err(&error)?;
            }
            first.set_len(0).map_err(&error)?;
        }
        Ok(Files::new(base, first))
    }

    /// Opens a journal to continue it.
    pub(super) fn reopen(base: &Path) -> Result<Files, JournalError> {
        let first = OpenOptions::new().write(true).open(base).map_err(io_error("open", base))?;
        lock(&first, base)?;
        Ok(Files::new(base, first))
    }

    fn new(base: &Path, first: File) -> Files {
        Files { base: base.to_owned(), first, later: None, listed: false, len: 0, room: 0, placed: 0 }
    }

    /// Goes to the end of a segment's valid bytes, and cuts what follows.
    pub(super) fn go_to(&mut self, segment: u32, len: u64) -> Result<(), JournalError> {
        let path = path_of(&self.base, segment);
        let error = io_error("cut", &path);
        if segment > 1 {
            self.later =
                Some((segment, OpenOptions::new().write(true).open(&path).map_err(io_error("open", &path))?));
        }
        self.cut(len).map_err(error)
    }

    fn file(&mut self) -> &mut File {
        match &mut self.later {
            Some((_, file)) => file,
            None => &mut self.first,
        }
    }

    /// Writes what the room is too small for, and takes more; the room's end.
    #[cold]
    fn write_and_extend(&mut self, bytes: &[u8]) -> io::Result<u64> {
        static ZEROS: [u8; ROOM] = [0; ROOM];
        let (begin, end) = (self.len, self.len + bytes.len() as u64);
        let step = end.next_power_of_two().min(ROOM as u64);
        let ahead = (end.next_multiple_of(step) - end) as usize;
        // small files are best left to the operating system
        if end > self.placed && end > ROOM as u64 {
            places(self.file(), begin, PLACES);
            self.placed = begin + PLACES;
        }
        let file = self.file();
        // that there is no room is no failure, as long as the bytes themselves fit
        let both = file.write_vectored(&[IoSlice::new(bytes), IoSlice::new(&ZEROS[..ahead])]).unwrap_or(0);
        if let Some(rest) = bytes.get(both..) {
            file.write_all(rest)?;
        }
        file.seek(SeekFrom::Start(end))?;
        Ok(end.max(begin + both as u64))
    }

    fn cut_room(&mut self) -> io::Result<()> {
        if self.room.max(self.placed) > self.len { self.cut(self.len) } else { Ok(()) }
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        if let Err(error) = self.cut_room() {
            tracing::warn!("zeros are left at the end of {}: {error}", self.path().display());
        }
        // closing is not enough: a process that is just being started has copies of all files, for a moment
        let _ = self.first.unlock();
    }
}

impl Sink for Files {
    fn begin(&mut self, segment: u32) -> io::Result<()> {
        if segment > 1 {
            self.cut_room()?;
            let path = path_of(&self.base, segment);
            let file = OpenOptions::new().write(true).create(true).truncate(true).open(path)?;
            self.later = Some((segment, file));
        }
        (self.listed, self.len, self.room, self.placed) = (false, 0, 0, 0);
        Ok(())
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        let end = self.len + bytes.len() as u64;
        if end <= self.room {
            self.file().write_all(bytes)?;
        } else {
            self.room = self.write_and_extend(bytes)?;
        }
        self.len = end;
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        self.file().sync_data()?;
        if !self.listed {
            sync_directory(&self.base)?;
            self.listed = true;
        }
        Ok(())
    }

    fn cut(&mut self, len: u64) -> io::Result<()> {
        let file = self.file();
        file.set_len(len)?;
        file.seek(SeekFrom::Start(len))?;
        (self.len, self.room, self.placed) = (len, len, len);
        Ok(())
    }

    fn path(&self) -> PathBuf {
        path_of(&self.base, self.later.as_ref().map_or(1, |(segment, _)| *segment))
    }
}

/// Chooses places on the disk, which are no part of the file yet. Without them it is as it was.
#[cfg(target_os = "linux")]
fn places(file: &File, from: u64, len: u64) {
    let _ = rustix::fs::fallocate(file, rustix::fs::FallocateFlags::KEEP_SIZE, from, len);
}

#[cfg(not(target_os = "linux"))]
fn places(_: &File, _: u64, _: u64) {}

fn sync_directory(path: &Path) -> io::Result<()> {
    if cfg!(unix) { File::open(directory_of(path))?.sync_all() } else { Ok(()) }
}

fn lock(file: &File, path: &Path) -> Result<(), JournalError> {
    match file.try_lock() {
        Ok(()) => Ok(()),
        Err(TryLockError::WouldBlock) => Err(JournalError::Locked { path: path.to_owned() }),
        Err(TryLockError::Error(source)) => Err(io_error("lock", path)(source)),
    }
}

/// Makes an error of the operating system one of ours.
pub(super) fn io_error<'a>(what: &'static str, path: &'a Path) -> impl Fn(io::Error) -> JournalError + 'a {
    move |source| JournalError::Io { what, path: path.to_owned(), source }
}

/// Bytes that go to something else than files: one endless segment.
pub(super) struct Stream<W>(pub(super) W);

impl<W> fmt::Debug for Stream<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Stream")
    }
}

impl<W: Write> Sink for Stream<W> {
    fn begin(&mut self, segment: u32) -> io::Result<()> {
        if segment == 1 { Ok(()) } else { Err(io::Error::other("a stream has one segment")) }
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0.write_all(bytes)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.0.flush()
    }

    fn cut(&mut self, _: u64) -> io::Result<()> {
        Err(io::Error::other("a stream cannot be cut"))
    }

    fn path(&self) -> PathBuf {
        PathBuf::from("the stream")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lock_ends_with_its_writer_also_where_another_has_a_copy_of_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let base = folder.path().join("run.jrn");
        let files = Files::create(&base, false).unwrap();
        let copy = files.first.try_clone().unwrap();
        assert!(matches!(Files::reopen(&base), Err(JournalError::Locked { .. })));
        drop(files);
        Files::reopen(&base).unwrap();
        drop(copy);
    }

    #[test]
    fn a_segment_knows_its_first() {
        let base = Path::new("night/run.v2.jrn");
        let third = path_of(base, 3);
        assert_eq!(third, Path::new("night/run.v2-00003.jrn"));
        assert_eq!(base_of(&third, 3), base);
        assert_eq!(base_of(base, 1), base);
        // a first segment may look like a later one
        assert_eq!(base_of(Path::new("run-00003.jrn"), 1), Path::new("run-00003.jrn"));
    }
}
