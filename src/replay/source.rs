//! Where a recording is read from: a file, or this process's memory.

use std::cell::RefCell;
use std::io;
use std::path::PathBuf;
use std::rc::Rc;

use crate::journal::{JournalError, Reader};

/// A recording that can be read again and again.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Source {
    /// A journal and the segments beside it.
    File(PathBuf),
    /// One in memory.
    Memory(Memory),
}

impl Source {
    /// Reads it from its beginning.
    ///
    /// # Errors
    /// See [`Reader::open`].
    pub fn open(&self) -> Result<Reader, JournalError> {
        match self {
            Source::File(path) => Reader::open(path),
            Source::Memory(memory) => Reader::from_stream(io::Cursor::new(memory.0.borrow().clone())),
        }
    }
}

/// A journal's bytes; clones are the same one.
#[derive(Clone, Default)]
pub struct Memory(Rc<RefCell<Rc<[u8]>>>, Rc<RefCell<Vec<u8>>>);

impl std::fmt::Debug for Memory {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Memory({} bytes)", self.0.borrow().len())
    }
}

impl Memory {
    /// Makes what was written readable.
    pub fn seal(&self) {
        *self.0.borrow_mut() = self.1.take().into();
    }
}

impl io::Write for Memory {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.1.borrow_mut().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
