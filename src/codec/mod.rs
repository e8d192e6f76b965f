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

mod any;
mod blosc;
pub mod date;
mod de;
pub(crate) mod envelope;
mod error;
mod form;
pub mod json;
mod keys;
mod limits;
mod marks;
mod msgpack;
mod proxy;
mod raw;
mod read;
mod ser;
#[cfg(test)]
mod tests;
mod typed;
mod types;
mod value;
mod write;

pub use de::from_value;
pub use error::{CodecError, CodecErrorKind};
pub use limits::Limits;
pub use proxy::Reference;
use raw::Plain;
pub use raw::Raw;
pub use ser::to_value;
pub use types::{Object, TypeName, Types};
pub use value::Value;

use std::fmt;
use std::str::FromStr;

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
    /// MsgPack as Python's `msgpack` reads and writes it.
    MsgPack,
    /// MsgPack in a container of blosc. Compressed ones are read, stored ones written.
    MsgPackBlosc,
}

/// The name that command lines use: `json`, `msgpack`, `blosc`.
impl fmt::Display for Codec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Codec::Json => "json",
            Codec::MsgPack => "msgpack",
            Codec::MsgPackBlosc => "blosc",
        })
    }
}

/// Reads that name.
impl FromStr for Codec {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        [Codec::Json, Codec::MsgPack, Codec::MsgPackBlosc]
            .into_iter()
            .find(|codec| codec.to_string() == text)
            .ok_or_else(|| format!("{text:?} is no codec: write json, msgpack or blosc"))
    }
}

impl Codec {
    /// Reads one value from exactly these bytes.
    ///
    /// # Errors
    /// The bytes are not one value of this codec, or exceed the limits.
    pub fn decode(self, bytes: &[u8], limits: &Limits, types: &Types) -> Result<Value, CodecError> {
        match self {
            Codec::Json => read::all(bytes, limits, types, read::value::<json::Reader<'_>>),
            Codec::MsgPack => read::all(bytes, limits, types, read::value::<msgpack::Reader<'_>>),
            Codec::MsgPackBlosc => {
                Codec::MsgPack.decode(blosc::unpack(bytes, &mut Vec::new(), limits)?, limits, types)
            }
        }
    }

    /// Appends one value to `out`.
    ///
    /// # Errors
    /// The codec has no form for the value, or the connection no number for its type; `out` is then as it was.
    pub fn encode(self, value: &Value, types: &Types, out: &mut Vec<u8>) -> Result<(), CodecError> {
        self.write(value, types, out)
    }

    /// Appends the list of these items to `out`, without needing them in one [`Value::List`].
    ///
    /// # Errors
    /// As [`encode`](Codec::encode).
    pub fn encode_list(self, items: &[&Value], types: &Types, out: &mut Vec<u8>) -> Result<(), CodecError> {
        self.write(items, types, out)
    }

    /// Reads a Rust type from exactly these bytes, without a [`Value`] in between: what [`decode`](Codec::decode) and
    /// [`from_value`] would yield.
    ///
    /// # Errors
    /// As those two.
    pub fn read<T: DeserializeOwned>(
        self,
        bytes: &[u8],
        limits: &Limits,
        types: &Types,
    ) -> Result<T, CodecError> {
        let read = match self {
            Codec::Json => read::all(bytes, limits, types, typed::read::<T, json::Reader<'_>>),
            Codec::MsgPack => read::all(bytes, limits, types, typed::read::<T, msgpack::Reader<'_>>),
            Codec::MsgPackBlosc => {
                return Codec::MsgPack.read(blosc::unpack(bytes, &mut Vec::new(), limits)?, limits, types);
            }
        };
        match read {
            Ok(value) => Ok(value),
            Err(typed::Bail) => from_value(self.decode(bytes, limits, types)?),
        }
    }

    /// Checks all of these bytes and takes a list of `N` apart, whose parts can be read when their types are known;
    /// `None` if it is anything else, or cut off: [`decode`](Codec::decode) says what. Packed bytes are unpacked into
    /// `scratch`.
    ///
    /// ```
    /// use isochrone::codec::{Codec, Limits, Types};
    /// let (mut scratch, limits, types) = (Vec::new(), Limits::default(), Types::none());
    /// let payload = br#"[0, 7, ["add", [1, 2], {}]]"#;
    /// let [kind, id, content] = Codec::Json.split(payload, &mut scratch, &limits, &types)?.unwrap();
    /// assert_eq!((kind.read::<u8>()?, id.read::<u64>()?), (0, 7));
    /// let [path, positional, keyword] = content.split().unwrap();
    /// assert_eq!(path.as_str().as_deref(), Some("add"));
    /// assert_eq!(positional.read::<(i64, f64)>()?, (1, 2.0));
    /// assert_eq!(keyword.entries().map(|entries| entries.count()), Some(0));
    /// # Ok::<(), isochrone::codec::CodecError>(())
    /// ```
    ///
    /// # Errors
    /// The bytes are not one value of this codec, or exceed the limits.
    pub fn split<'a, const N: usize>(
        self,
        bytes: &'a [u8],
        scratch: &'a mut Vec<u8>,
        limits: &'a Limits,
        types: &'a Types,
    ) -> Result<Option<[Raw<'a>; N]>, CodecError> {
        match self {
            Codec::Json => Raw::parts(Plain::Json, bytes, limits, types),
            Codec::MsgPack => Raw::parts(Plain::MsgPack, bytes, limits, types),
            Codec::MsgPackBlosc => {
                Raw::parts(Plain::MsgPack, blosc::unpack(bytes, scratch, limits)?, limits, types)
            }
        }
    }

    /// Appends anything serializable to `out`: what [`to_value`] and [`encode`](Codec::encode) would write.
    ///
    /// # Errors
    /// What the type's `Serialize` reports, the codec has no form for it, or the connection no number for a custom type;
    /// `out` is then as it was.
    pub fn write<T: Serialize + ?Sized>(
        self,
        value: &T,
        types: &Types,
        out: &mut Vec<u8>,
    ) -> Result<(), CodecError> {
        match self {
            Codec::Json => write::encode::<json::Json, T>(value, types, out),
            Codec::MsgPack => write::encode::<msgpack::MsgPack, T>(value, types, out),
            Codec::MsgPackBlosc => {
                blosc::pack(out, |out| write::encode::<msgpack::MsgPack, T>(value, types, out))
            }
        }
    }
}
