//! What a message carries, checked and not yet read, on its way from the driver to whoever reads it.
//!
//! Why own buffers: the connection's buffer is under its lock, and reading runs user code. Most answers are a few bytes,
//! for which no memory is allocated.

use super::Config;
use crate::codec::{Raw, Value};

/// Bytes that lie in the content itself.
const INLINE: usize = 30;

/// A checked value in the bytes of a codec.
#[derive(Debug)]
pub(crate) struct Content(Bytes);

#[derive(Debug)]
enum Bytes {
    Inline { len: u8, bytes: [u8; INLINE] },
    Heap(Box<[u8]>),
}

impl Content {
    pub(super) fn new(raw: &[u8]) -> Self {
        match u8::try_from(raw.len()) {
            Ok(len) if raw.len() <= INLINE => {
                let mut bytes = [0; INLINE];
                bytes[..raw.len()].copy_from_slice(raw);
                Content(Bytes::Inline { len, bytes })
            }
            _ => Content(Bytes::Heap(raw.into())),
        }
    }

    /// The value, to be read.
    #[inline]
    pub(crate) fn raw<'a>(&'a self, config: &'a Config) -> Raw<'a> {
        let bytes = match &self.0 {
            Bytes::Inline { len, bytes } => &bytes[..usize::from(*len)],
            Bytes::Heap(bytes) => bytes,
        };
        Raw::checked(config.codec, bytes, &config.types)
    }
}

/// The id of a request of the peer, to be echoed.
#[derive(Debug, Clone)]
pub(crate) enum Id {
    /// What nearly all are.
    Number(u64),
    /// Anything.
    Other(Value),
}

impl Id {
    #[inline]
    pub(super) fn read(raw: &Raw<'_>) -> Id {
        match raw.read::<u64>() {
            Ok(number) => Id::Number(number),
            Err(_) => Id::Other(raw.value()),
        }
    }
}

impl From<&Value> for Id {
    fn from(value: &Value) -> Self {
        value.as_u64().map_or_else(|| Id::Other(value.clone()), Id::Number)
    }
}

/// A request on its way to its handler.
#[derive(Debug)]
pub(crate) struct Arrived<'a> {
    pub(crate) id: Id,
    pub(crate) content: &'a [u8],
    /// Whether the content is known to be a value within the limits.
    pub(crate) checked: bool,
}

/// Requests that were taken from the channel, for their handlers.
#[derive(Debug, Default)]
pub(crate) struct Requests {
    bytes: Vec<u8>,
    /// Ids, where the contents end, and whether they are checked.
    list: Vec<(Id, usize, bool)>,
}

/// Memory that the requests of an idle connection may keep.
const KEEP: usize = 64 * 1024;

impl Requests {
    #[inline]
    pub(super) fn push(&mut self, id: Id, content: &[u8], checked: bool) {
        self.bytes.extend_from_slice(content);
        self.list.push((id, self.bytes.len(), checked));
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Hands out all of them in their order, up to one that is refused: those behind it are dropped.
    ///
    /// # Errors
    /// The refusal.
    #[inline]
    pub(crate) fn drain<E>(&mut self, mut each: impl FnMut(Arrived<'_>) -> Result<(), E>) -> Result<(), E> {
        let mut from = 0;
        let mut result = Ok(());
        for (id, to, checked) in self.list.drain(..) {
            result = each(Arrived { id, content: &self.bytes[from..to], checked });
            if result.is_err() {
                break;
            }
            from = to;
        }
        self.bytes.clear();
        self.bytes.shrink_to(KEEP);
        result
    }
}
