//! What a service or an agent is called when it travels as an argument or a result.
//!
//! Why two forms: aiomas sends a path, which means something only on the connection it arrived on and only to its
//! receiver; nobody can pass it on. Among ourselves an address can stand in the same place, and anyone may connect to it.
//!
//! Contract: both are one text on the wire. A path is names joined by `/`, none of them empty, so `://` tells an address.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::{Value, marks};

/// A service or agent as it is named in a message.
///
/// It serializes as itself within any type, and a [`Value::Proxy`] holds it.
///
/// ```
/// use isochrone::codec::{Reference, Value, from_value, to_value};
/// let me = Reference::Path("agents/0".into());
/// let value = to_value(&(1, &me)).unwrap();
/// assert_eq!(value.as_list().unwrap()[1], Value::Proxy(me.clone()));
/// assert_eq!(from_value::<(i32, Reference)>(value).unwrap(), (1, me));
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Reference {
    /// Of whoever sends it: names joined by `/`, from the root that the sender serves on this connection. The root
    /// itself is the empty path. Meaningless on any other connection.
    Path(String),
    /// Of anyone: `tcp://host:port/agent`. aiomas does not understand it.
    Address(String),
}

impl Reference {
    /// The reference that this text stands for.
    pub fn from_text(text: impl Into<String>) -> Self {
        let text = text.into();
        if text.contains("://") { Reference::Address(text) } else { Reference::Path(text) }
    }

    /// Path or address, as it stands on the wire.
    pub fn as_text(&self) -> &str {
        match self {
            Reference::Path(text) | Reference::Address(text) => text,
        }
    }

    pub(super) fn into_text(self) -> String {
        match self {
            Reference::Path(text) | Reference::Address(text) => text,
        }
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_text())
    }
}

impl Serialize for Reference {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_newtype_struct(marks::PROXY, self.as_text())
    }
}

/// Reads a proxy, or the text of an address: callers on a command line have no proxies.
impl<'de> Deserialize<'de> for Reference {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Value::deserialize(deserializer)? {
            Value::Proxy(reference) => Ok(reference),
            Value::Str(text) if text.contains("://") => Ok(Reference::Address(text)),
            other => Err(de::Error::custom(format_args!("expected a proxy, got {}", other.describe()))),
        }
    }
}
