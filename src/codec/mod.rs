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

pub mod date;
mod de;
mod error;
pub mod json;
mod limits;
mod marks;
mod proxy;
mod ser;
#[cfg(test)]
mod tests;
mod types;
mod value;

pub use de::from_value;
pub use error::{CodecError, CodecErrorKind};
pub use limits::Limits;
pub use proxy::Reference;
pub use ser::to_value;
pub use types::{Object, TypeName, Types};
pub use value::Value;

use serde::Serialize;
use serde::de::DeserializeOwned;

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
    pub fn decode(self, bytes: &[u8], limits: &Limits, types: &Types) -> Result<Value, CodecError> {
        match self {
            Codec::Json => json::decode_typed(bytes, limits, types),
        }
    }

    /// Appends one value to `out`.
    ///
    /// # Errors
    /// The codec has no form for the value, or the connection no number for its type; `out` is then as it was.
    pub fn encode(self, value: &Value, types: &Types, out: &mut Vec<u8>) -> Result<(), CodecError> {
        match self {
            Codec::Json => json::encode_typed(value, types, out),
        }
    }

    /// Appends the list of these items to `out`, without needing them in one [`Value::List`].
    ///
    /// # Errors
    /// As [`encode`](Codec::encode).
    pub fn encode_list(self, items: &[&Value], types: &Types, out: &mut Vec<u8>) -> Result<(), CodecError> {
        match self {
            Codec::Json => json::encode_list(items, types, out),
        }
    }

    /// Reads a Rust type from exactly these bytes: what [`decode`](Codec::decode) and [`from_value`] would yield.
    ///
    /// # Errors
    /// As those two.
    pub fn read<T: DeserializeOwned>(
        self,
        bytes: &[u8],
        limits: &Limits,
        types: &Types,
    ) -> Result<T, CodecError> {
        from_value(self.decode(bytes, limits, types)?)
    }

    /// Appends anything serializable to `out`: what [`to_value`] and [`encode`](Codec::encode) would write.
    ///
    /// # Errors
    /// As those two; `out` is then as it was.
    pub fn write<T: Serialize + ?Sized>(
        self,
        value: &T,
        types: &Types,
        out: &mut Vec<u8>,
    ) -> Result<(), CodecError> {
        self.encode(&to_value(value)?, types, out)
    }
}
