//! Cutting a stream of bytes into frames: a big-endian `u32` length, then so many bytes of payload.
//!
//! Contract: bytes may arrive split or merged in any way. The buffer grows by what arrives, never by what a header
//! claims, and gives its memory back after a large frame.
//!
//! Failure modes: a length of zero and a length beyond the limit are errors. A frame that is too long can be
//! [passed over](FrameBuffer::pass_over), as it arrives; else the stream cannot be resynchronised.

use super::ChannelError;

/// Bytes of the length in front of every payload.
pub(super) const HEADER: usize = 4;

/// Memory an idle connection may keep.
const KEEP: usize = 64 * 1024;

/// Bytes that have arrived and are not yet taken as frames.
#[derive(Debug, Default)]
pub(super) struct FrameBuffer {
    bytes: Vec<u8>,
    /// Where the next frame starts.
    start: usize,
    /// Of a frame that is passed over: its length, header included, and how much of it is still to come.
    unwanted: Option<(usize, usize)>,
}

impl FrameBuffer {
    pub(super) fn push(&mut self, bytes: &[u8]) {
        // What is left is less than one frame if frames are taken as they complete; it moves once a push.
        self.bytes.drain(..self.start);
        self.start = 0;
        let wanted = self.wanted(bytes);
        self.bytes.extend_from_slice(wanted);
    }

    /// What is left of these bytes behind a frame that is passed over.
    #[inline]
    fn wanted<'a>(&mut self, bytes: &'a [u8]) -> &'a [u8] {
        let Some((len, left)) = self.unwanted else { return bytes };
        let (unwanted, wanted) = bytes.split_at(left.min(bytes.len()));
        self.unwanted = Some((len, left - unwanted.len())).filter(|(_, left)| *left > 0);
        wanted
    }

    /// What has arrived of the payload of the next frame.
    pub(super) fn begun(&self) -> &[u8] {
        let payload = self.bytes.get(self.start + HEADER..).unwrap_or_default();
        &payload[..payload.len().min(self.announced().unwrap_or(0))]
    }

    /// Drops the next frame, of which the header is there; what has not arrived of it, when it does.
    pub(super) fn pass_over(&mut self) {
        let Some(len) = self.announced().map(|len| HEADER + len) else { return };
        let here = self.len().min(len);
        self.start += here;
        self.unwanted = Some((len, len - here)).filter(|(_, left)| *left > 0);
    }

    /// The payload of the next complete frame of at most `limit` bytes.
    pub(super) fn next(&mut self, limit: usize, first: bool) -> Result<Option<&[u8]>, ChannelError> {
        let Some(len) = self.announced() else {
            if self.len() == 0 {
                self.bytes.clear();
                self.bytes.shrink_to(KEEP);
                self.start = 0;
            }
            return Ok(None);
        };
        if len == 0 {
            return Err(ChannelError::EmptyFrame);
        }
        if len > limit {
            return Err(ChannelError::FrameTooLong { len, limit, first });
        }
        let from = self.start + HEADER;
        match self.bytes.get(from..from + len) {
            Some(payload) => {
                self.start = from + len;
                Ok(Some(payload))
            }
            None => Ok(None),
        }
    }

    /// What is there of an incomplete frame when the stream ends, as an error.
    pub(super) fn end(&self) -> Result<(), ChannelError> {
        match (self.unwanted, self.len()) {
            (Some((len, left)), _) => Err(ChannelError::Truncated { have: len - left, want: Some(len) }),
            (None, 0) => Ok(()),
            (None, have) => {
                Err(ChannelError::Truncated { have, want: self.announced().map(|len| HEADER + len) })
            }
        }
    }

    /// Bytes of a frame that is not complete.
    pub(super) fn incomplete(&self) -> usize {
        self.unwanted.map_or(self.len(), |(len, left)| len - left)
    }

    /// Bytes that are not yet taken as frames.
    pub(super) fn len(&self) -> usize {
        self.bytes.len() - self.start
    }

    pub(super) fn clear(&mut self) {
        *self = FrameBuffer::default();
    }

    fn announced(&self) -> Option<usize> {
        let header = self.bytes.get(self.start..self.start + HEADER)?;
        Some(u32::from_be_bytes(header.try_into().expect("four bytes")) as usize)
    }
}

/// Appends one frame to `out`; its payload is what `write` appends. If that fails, panics or exceeds `limit`, `out` is as
/// it was.
#[inline]
pub(super) fn write_frame(
    out: &mut Vec<u8>,
    limit: usize,
    write: impl FnOnce(&mut Vec<u8>) -> Result<(), ChannelError>,
) -> Result<(), ChannelError> {
    /// Takes back what is not finished.
    struct Unfinished<'a> {
        out: &'a mut Vec<u8>,
        start: usize,
    }

    impl Drop for Unfinished<'_> {
        fn drop(&mut self) {
            self.out.truncate(self.start);
        }
    }

    let start = out.len();
    out.extend_from_slice(&[0; HEADER]);
    let frame = Unfinished { out, start };
    write(frame.out)?;
    let len = frame.out.len() - start - HEADER;
    match u32::try_from(len) {
        Ok(header) if len <= limit => {
            frame.out[start..start + HEADER].copy_from_slice(&header.to_be_bytes());
            std::mem::forget(frame);
            Ok(())
        }
        _ => Err(ChannelError::UnsendableLength { len, limit: limit.min(u32::MAX as usize) }),
    }
}
