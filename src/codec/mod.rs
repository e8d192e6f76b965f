//! Values and their bytes.
//!
//! Why: what travels between agents is chosen at run time by people who write Python as often as Rust, so the
//! layers above speak one self-describing [`Value`] and only this module knows how it looks as bytes. Typed Rust
//! data goes through [`to_value`] and [`from_value`].
//!
//! Contract: a codec is a pair of pure functions over byte slices; it never blocks, never touches a socket, and
//! whatever it reads stays within [`Limits`].
//!
//! Failure modes: every error is a [`CodecError`], which says where and what. Bytes from a peer never panic.

mod de;
mod error;
pub mod json;
mod limits;
mod ser;
#[cfg(test)]
mod tests;
mod value;

pub use de::from_value;
pub use error::{CodecError, CodecErrorKind};
pub use limits::Limits;
pub use ser::to_value;
pub use value::Value;

/// How the payload of a frame is written.
///
/// Both ends of a connection must be configured alike: the wire negotiates nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Codec {
    /// JSON as Python's `json` module reads and writes it, see [`json`].
    #[default]
    Json,
}

impl Codec {
    /// Reads one value from exactly these bytes.
    ///
    /// # Errors
    /// The bytes are not one value of this codec, or exceed the limits.
    pub fn decode(self, bytes: &[u8], limits: &Limits) -> Result<Value, CodecError> {
        match self {
            Codec::Json => json::decode(bytes, limits),
        }
    }

    /// Appends one value to `out`.
    ///
    /// # Errors
    /// The codec has no form for the value; `out` is then as it was.
    pub fn encode(self, value: &Value, out: &mut Vec<u8>) -> Result<(), CodecError> {
        match self {
            Codec::Json => json::encode(value, out),
        }
    }

    /// Appends the list of these items to `out`, without needing them in one [`Value::List`].
    ///
    /// # Errors
    /// As [`encode`](Codec::encode).
    pub fn encode_list(self, items: &[&Value], out: &mut Vec<u8>) -> Result<(), CodecError> {
        match self {
            Codec::Json => json::encode_list(items, out),
        }
    }
}
