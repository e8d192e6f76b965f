//! What a run writes down while it goes on.
//!
//! Contract: records are in the order in which things happened; [`Recorder::commit`] is called before anything that depends
//! on them leaves. A recorder never fails in the middle of the kernel's work: what the journal refuses is kept, and asked
//! for after the turn.

use isochrone_sim::{Event, Time, local};

use super::events;
use super::names::Names;
use crate::journal::{JournalError, Level, Name, Record, Writer};

#[derive(Debug)]
pub(crate) struct Recorder {
    /// gone when the recording has been finished
    writer: Option<Writer>,
    pub(crate) names: Names,
    pub(crate) level: Level,
    failed: Option<JournalError>,
}

impl Recorder {
    pub(crate) fn new(writer: Writer) -> Self {
        let level = writer.header().level;
        Recorder { writer: Some(writer), names: Names::default(), level, failed: None }
    }

    #[inline(never)]
    pub(crate) fn write(&mut self, (time, round): (Time, u32), record: &Record) {
        if let Some(writer) = &mut self.writer
            && let Err(error) = writer.write(time, round, record)
        {
            self.fail(error);
        }
    }

    /// Writes down what the kernel tells, inside the kernel.
    // there is one caller, at each event
    #[inline(always)]
    pub(crate) fn event(&mut self, event: &Event) {
        let Some(writer) = &mut self.writer else { return };
        let written = events::tell(
            &self.names,
            event,
            // unoptimized, each kind's code of each call would have its place on the stack: 845 kB, of 2 MB of a test's thread
            #[cfg_attr(not(debug_assertions), inline(always))]
            |told| writer.tell(event.time, event.round, told),
        );
        let due = writer.checkpoint_due();
        match written {
            Some(Ok(())) if !due => {}
            Some(Err(error)) => self.fail(*error),
            written => self.event_aside(event, written.is_some()),
        }
    }

    /// An event that is seldom or brings new names, or after which a checkpoint is due.
    #[cold]
    fn event_aside(&mut self, event: &Event, is_written: bool) {
        let at = (event.time, event.round);
        if !is_written {
            let Some(record) = events::record(&mut self.names, event) else { return };
            self.write(at, &record);
        }
        if self.writer.as_ref().is_some_and(Writer::checkpoint_due) {
            self.checkpoint(at, local::fingerprint());
        }
    }

    #[cold]
    fn fail(&mut self, error: JournalError) {
        self.failed.get_or_insert(error);
    }

    pub(crate) fn checkpoint(&mut self, (time, round): (Time, u32), fingerprint: u64) {
        if let Some(writer) = &mut self.writer
            && let Err(error) = writer.checkpoint(time, round, fingerprint)
        {
            self.fail(error);
        }
    }

    /// From here on, and because of this agent, the run cannot be replayed.
    pub(crate) fn breaks(&mut self, at: (Time, u32), agent: Option<Name>, text: String) {
        tracing::warn!(at = %at.0, "the recording cannot be replayed from here on: {text}");
        self.write(at, &Record::Note { agent, breaks_replay: true, text });
    }

    /// What the journal has refused meanwhile.
    pub(crate) fn check(&mut self) -> Result<(), JournalError> {
        self.failed.take().map_or(Ok(()), Err)
    }

    pub(crate) fn commit(&mut self) -> Result<(), JournalError> {
        self.check()?;
        self.writer.as_mut().map_or(Ok(()), Writer::commit)
    }

    pub(crate) fn finish(
        &mut self,
        (time, round): (Time, u32),
        fingerprint: u64,
        because: &str,
    ) -> Result<(), JournalError> {
        self.check()?;
        self.writer.take().map_or(Ok(()), |writer| writer.finish(time, round, fingerprint, because))
    }
}
