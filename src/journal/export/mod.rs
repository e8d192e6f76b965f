//! A journal in other people's formats.
//!
//! Why: a recording is worth what one can see in it, and others have built better viewers than we shall. None of these
//! formats can be replayed; the journal stays the original.
//!
//! | format | for | what it shows |
//! |---|---|---|
//! | [`json_lines`] | scripts, data frames | every record, one object a line |
//! | [`mermaid`] | a page, an issue | the messages of a short window, as a sequence diagram |
//! | [`perfetto`] | ui.perfetto.dev | a track per agent with what it does, arrows from sending to delivery, mailboxes as counters |
//!
//! Contract: all read entries from an iterator and write as they go; what they remember of messages on their way is
//! bounded.

mod json_lines;
mod mermaid;
mod perfetto;
mod protobuf;

use std::fmt;
use std::io::{self, Write};

use isochrone_sim::Time;

pub use json_lines::json_lines;
pub use mermaid::mermaid;
pub use perfetto::perfetto;

use super::error::JournalError;
use super::record::Entry;

/// Why an export ended early.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExportError {
    /// The journal cannot be read on.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The export cannot be written.
    #[error("cannot write the export: {0}")]
    Io(#[from] io::Error),
    /// A diagram of so many messages could not be looked at.
    #[error("there are more than {limit} messages to draw: choose a shorter window or one agent")]
    TooMany {
        /// How many can be drawn.
        limit: usize,
    },
}

/// Which entries are wanted; by default all.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Window {
    /// Not before this time.
    pub from: Option<Time>,
    /// Not after this time.
    pub until: Option<Time>,
    /// Only what this agent does or is done to: its path or the end of it, with `*` for anything.
    pub agent: Option<String>,
}

impl Window {
    /// Whether this entry is wanted. What has no time, and no agent, belongs to every time, and to no agent.
    pub fn shows(&self, entry: &Entry) -> bool {
        let timeless = entry.record.is_volatile();
        let late = |from| !timeless && entry.time < from;
        let early = |until| !timeless && entry.time > until;
        if self.from.is_some_and(late) || self.until.is_some_and(early) {
            return false;
        }
        let Some(pattern) = &self.agent else { return true };
        let mut found = false;
        entry.record.names(&mut |field, name| {
            found |= matches!(field, "agent" | "from" | "to" | "by") && is_agent(pattern, name.as_str());
        });
        found
    }
}

/// Whether the pattern fits the path, or its end after a `/`.
fn is_agent(pattern: &str, path: &str) -> bool {
    let ends = path.match_indices('/').map(|(at, _)| &path[at + 1..]);
    std::iter::once(path).chain(ends).any(|end| fits(pattern, end))
}

/// Whether the pattern, in which `*` stands for anything, fits the whole text. Linear in their product.
fn fits(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(mut rest) = text.strip_prefix(parts.next().unwrap_or_default()) else { return false };
    let mut parts = parts.peekable();
    if parts.peek().is_none() {
        return rest.is_empty();
    }
    // each part as early as can be, but the last at the end
    while let Some(part) = parts.next() {
        if parts.peek().is_none() {
            return rest.ends_with(part);
        }
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
    }
    true
}

/// Lets what writes texts write bytes, and keeps the error that a text has no room for.
struct Text<'a> {
    out: &'a mut dyn Write,
    error: Option<io::Error>,
}

impl<'a> Text<'a> {
    fn new(out: &'a mut dyn Write) -> Text<'a> {
        Text { out, error: None }
    }

    fn end(self, result: fmt::Result) -> io::Result<()> {
        match (result, self.error) {
            (_, Some(error)) => Err(error),
            (Err(_), None) => Err(io::Error::other("a value could not be written")),
            (Ok(()), None) => Ok(()),
        }
    }
}

impl fmt::Write for Text<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.out.write_all(text.as_bytes()).map_err(|error| {
            self.error = Some(error);
            fmt::Error
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_agent_is_found_by_its_path_or_the_end_of_it() {
        for pattern in ["grid/west/house_7", "house_7", "west/house_7", "house_*", "*/west/*", "*", "gr*h*_7"]
        {
            assert!(is_agent(pattern, "grid/west/house_7"), "{pattern}");
        }
        for pattern in ["house", "grid", "ouse_7", "house_7*7", "west", "east/*", ""] {
            assert!(!is_agent(pattern, "grid/west/house_7"), "{pattern}");
        }
    }
}
