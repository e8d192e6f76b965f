//! What can go wrong between a value and its bytes, or between a value and a Rust type.
//!
//! Why: these texts end up in the log of somebody else's simulator, where nobody can attach a debugger. So each
//! says where (byte offset, or the path of the element) and what was expected and got, in Python's names of types.
//!
//! Contract: eight bytes, so that returning a result costs nothing. No error holds more than a short piece of
//! what the peer sent.

use std::fmt;

use serde::{de, ser};

use super::Value;

/// Why a value could not be read, written or converted.
#[derive(Clone, PartialEq, thiserror::Error)]
#[error("{0}")]
pub struct CodecError(Box<CodecErrorKind>);

/// The kinds of [`CodecError`].
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum CodecErrorKind {
    /// The bytes are not of this codec.
    #[error("invalid {codec} at byte {offset}: {problem} (near {near})")]
    Syntax {
        /// Name of the codec.
        codec: &'static str,
        /// Where it was noticed, counted from the start of the payload.
        offset: usize,
        /// What is wrong.
        problem: &'static str,
        /// The bytes there, shortened and made printable.
        near: String,
    },
    /// More lists and dicts are open at once than [`Limits::depth`](super::Limits::depth) allows.
    #[error("nested deeper than {limit} at byte {offset}")]
    Depth {
        /// The limit.
        limit: usize,
        /// Where it was exceeded.
        offset: usize,
    },
    /// More values than [`Limits::nodes`](super::Limits::nodes) allows.
    #[error("more than {limit} values in one frame at byte {offset}: send it in parts")]
    Nodes {
        /// The limit.
        limit: usize,
        /// Where it was exceeded.
        offset: usize,
    },
    /// A packed payload would unpack to more bytes than allowed.
    #[error("a payload that would unpack to {len} bytes, the limit is {limit}")]
    Unpacked {
        /// Announced bytes.
        len: usize,
        /// [`Limits::unpacked`](super::Limits::unpacked), or 1,024 times the length of the payload.
        limit: usize,
    },
    /// The codec has no form for a value.
    #[error("{what}")]
    Unsupported {
        /// Which value and why.
        what: String,
    },
    /// A value does not fit the Rust type, or the other way round.
    #[error("{}{}{message}", path, if path.is_empty() { "" } else { ": " })]
    Mismatch {
        /// Where in the value: `[3].p_mw`; empty for the value itself.
        path: String,
        /// Expected and got.
        message: String,
    },
}

impl CodecError {
    /// What kind of error this is, with its details.
    pub fn kind(&self) -> &CodecErrorKind {
        &self.0
    }

    /// Whether the bytes are as they should be, as far as they were read, and only too many. What is nested deeper than
    /// anything that a program of good will writes is not meant.
    pub(crate) fn is_limit(&self) -> bool {
        matches!(self.kind(), CodecErrorKind::Nodes { .. })
    }

    #[cold]
    pub(super) fn syntax(codec: &'static str, input: &[u8], offset: usize, problem: &'static str) -> Self {
        let from = offset.min(input.len());
        let near = match &input[from..] {
            [] => "the end".to_owned(),
            rest => shorten(rest, 24),
        };
        CodecErrorKind::Syntax { codec, offset, problem, near }.into()
    }

    #[cold]
    pub(super) fn unsupported(what: impl Into<String>) -> Self {
        CodecErrorKind::Unsupported { what: what.into() }.into()
    }

    #[cold]
    pub(super) fn mismatch(expected: &dyn fmt::Display, got: &Value) -> Self {
        let message = format!("expected {expected}, got {}", got.describe());
        CodecErrorKind::Mismatch { path: String::new(), message }.into()
    }

    /// The same error, seen from the list that holds the element.
    #[cold]
    pub(super) fn in_item(self, index: usize) -> Self {
        self.prefixed(&format!("[{index}]"))
    }

    /// The same error, seen from the dict that holds the element.
    #[cold]
    pub(super) fn in_entry(self, key: &str) -> Self {
        self.prefixed(&format!(".{key}"))
    }

    fn prefixed(mut self, prefix: &str) -> Self {
        if let CodecErrorKind::Mismatch { path, .. } = &mut *self.0 {
            path.insert_str(0, prefix);
        }
        self
    }
}

impl From<CodecErrorKind> for CodecError {
    fn from(kind: CodecErrorKind) -> Self {
        CodecError(Box::new(kind))
    }
}

impl fmt::Debug for CodecError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl ser::Error for CodecError {
    fn custom<T: fmt::Display>(message: T) -> Self {
        CodecErrorKind::Mismatch { path: String::new(), message: message.to_string() }.into()
    }
}

/// serde's own complaints, in the words of the rest of this module.
impl de::Error for CodecError {
    fn custom<T: fmt::Display>(message: T) -> Self {
        ser::Error::custom(message)
    }

    fn invalid_type(got: de::Unexpected<'_>, expected: &dyn de::Expected) -> Self {
        ser::Error::custom(format_args!("expected {expected}, got {}", Got(got)))
    }

    fn invalid_value(got: de::Unexpected<'_>, expected: &dyn de::Expected) -> Self {
        de::Error::invalid_type(got, expected)
    }

    fn invalid_length(length: usize, expected: &dyn de::Expected) -> Self {
        ser::Error::custom(format_args!("expected {expected}, got {length} elements"))
    }

    fn missing_field(field: &'static str) -> Self {
        ser::Error::custom(format_args!("missing field '{field}'"))
    }
}

/// What serde found, named as Python names it.
struct Got<'a>(de::Unexpected<'a>);

impl fmt::Display for Got<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            de::Unexpected::Bool(b) => write!(f, "bool {b}"),
            de::Unexpected::Unsigned(n) => write!(f, "int {n}"),
            de::Unexpected::Signed(n) => write!(f, "int {n}"),
            de::Unexpected::Float(x) => write!(f, "float {x:?}"),
            de::Unexpected::Char(c) => write!(f, "str \"{c}\""),
            de::Unexpected::Str(s) => f.write_str(&Value::describe_str(s)),
            de::Unexpected::Unit | de::Unexpected::Option => f.write_str("None"),
            de::Unexpected::Seq => f.write_str("a list"),
            de::Unexpected::Map => f.write_str("a dict"),
            ref other => write!(f, "{other}"),
        }
    }
}

/// The first bytes of something, printable, for error messages.
fn shorten(bytes: &[u8], most: usize) -> String {
    let text = bytes[..bytes.len().min(most)].escape_ascii();
    if bytes.len() > most { format!("`{text}`... {} bytes", bytes.len()) } else { format!("`{text}`") }
}
