//! What can be wrong with a journal.

use std::io;
use std::path::PathBuf;

/// Why a journal cannot be read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum JournalError {
    /// The operating system refuses something.
    #[error("cannot {what} {}: {source}", path.display())]
    Io {
        /// Read, write, create.
        what: &'static str,
        /// Of which file.
        path: PathBuf,
        /// What it says.
        source: io::Error,
    },
    /// Something else, or a journal whose very beginning is damaged.
    #[error("{} is no journal: it does not begin as one", path.display())]
    NotAJournal {
        /// The file.
        path: PathBuf,
    },
    /// The writer was ended before it had written the head of the first segment.
    #[error("{} ends within its header: nothing was recorded", path.display())]
    Empty {
        /// The file.
        path: PathBuf,
    },
    /// A later format, which this program cannot read.
    #[error("{} has format version {major}.{minor}, and this program reads {}.x: use a later one",
        path.display(), super::frame::MAJOR)]
    Version {
        /// The file.
        path: PathBuf,
        /// The version's first number.
        major: u8,
        /// Its second.
        minor: u8,
    },
    /// Bytes are not those that were written.
    #[error("{} is damaged at byte {offset}, after {events} events: {problem}", path.display())]
    Damaged {
        /// The segment.
        path: PathBuf,
        /// Where the damaged frame begins.
        offset: u64,
        /// The number of the event that would have come next.
        events: u64,
        /// What is wrong.
        problem: String,
    },
    /// A kind of record of a later version, which must not be passed over.
    #[error("{} has a record of kind {kind} at byte {offset}, which this program does not know: use a later one",
        path.display())]
    UnknownKind {
        /// The segment.
        path: PathBuf,
        /// Where.
        offset: u64,
        /// Which.
        kind: u8,
    },
    /// A segment is gone.
    #[error("{} is missing, though there is {}", path.display(), found.display())]
    Missing {
        /// The segment.
        path: PathBuf,
        /// A later one.
        found: PathBuf,
    },
    /// Another writer has it open.
    #[error("{} is being written by another process", path.display())]
    Locked {
        /// The file.
        path: PathBuf,
    },
    /// It would be overwritten.
    #[error("{} exists: choose another name or remove it; if it is of a run that was killed, `resume {}` goes on with that run",
        path.display(), path.display())]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// A record that does not fit a frame.
    #[error("a record of kind {kind} has {len} bytes, more than the {} of a frame", super::frame::LONGEST)]
    TooLarge {
        /// What it is.
        kind: &'static str,
        /// Its length.
        len: usize,
    },
    /// The recording has ended already: by [`End`](super::Record::End), or when the disk was full.
    #[error("the recording has ended: {because}")]
    Ended {
        /// Why.
        because: String,
    },
}
