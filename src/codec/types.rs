//! Custom types: what travels as a dict with the one key `__type__`, as aiomas numbers them.
//!
//! Why numbers: `{"__type__": [1, data]}` says only at which place the sender registered the type. Nothing is
//! negotiated, so both ends must register the same types in the same order, and a mistake reads the wrong type.
//!
//! Contract, the order of registration on the three kinds of connection:
//!
//! | connection | numbers from 0 |
//! |---|---|
//! | plain channel | the user's |
//! | RPC without containers | the user's, then proxies |
//! | containers | dates, the user's, then proxies |
//!
//! A number that nobody registered becomes a placeholder, which goes back out as it came. What is not `[number, data]`
//! stays the dict it is. Where a protocol has no custom types at all (mosaik, files) `__type__` means nothing, and dates
//! and proxies are written as their text.
//!
//! Failure modes: a type that the connection does not know cannot be sent, nor can a user's own dict with the key
//! `__type__`: aiomas would take it for a custom type, and die of it.

use std::sync::Arc;

use super::{CodecError, Reference, Value, date};

/// The key that makes a dict an instance of a custom type.
pub(super) const KEY: &str = "__type__";

/// An instance of a custom type.
///
/// For aiomas's `@serializable` classes the data is a dict of all parameters of `__init__`, which is what a Rust struct
/// with these fields is. Such a struct becomes an object by its serde name:
///
/// ```
/// use isochrone::codec::{Codec, Limits, Types, from_value, to_value};
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Debug, PartialEq, Serialize, Deserialize)]
/// #[serde(rename = "$type::Point")]
/// struct Point { x: f64, y: f64 }
///
/// let types = Types::container(["Point"]);
/// let mut bytes = Vec::new();
/// Codec::Json.encode(&to_value(&Point { x: 1.0, y: 2.5 })?, &types, &mut bytes)?;
/// assert_eq!(bytes, br#"{"__type__":[1,{"x":1.0,"y":2.5}]}"#);
/// let value = Codec::Json.decode(&bytes, &Limits::default(), &types)?;
/// assert_eq!(from_value::<Point>(value)?, Point { x: 1.0, y: 2.5 });
/// # Ok::<(), isochrone::codec::CodecError>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Object {
    /// Which type.
    pub name: TypeName,
    /// What its serializer made of it.
    pub data: Value,
}

/// Which custom type.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum TypeName {
    /// A type that was registered under this name.
    Known(Arc<str>),
    /// A type of the peer that we do not know, by its number.
    Unknown(u32),
}

impl std::fmt::Display for TypeName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            TypeName::Known(name) => f.write_str(name),
            TypeName::Unknown(number) => write!(f, "type {number}"),
        }
    }
}

/// The custom types of a connection; cheap to clone.
///
/// ```
/// use isochrone::codec::{Codec, Limits, Types, Value};
/// let types = Types::container(["Point"]);
/// let mut bytes = Vec::new();
/// let date = chrono::DateTime::UNIX_EPOCH;
/// Codec::Json.encode(&Value::from(date), &types, &mut bytes)?;
/// assert_eq!(bytes, br#"{"__type__":[0,"1970-01-01T00:00:00+00:00"]}"#);
/// assert_eq!(Codec::Json.decode(&bytes, &Limits::default(), &types)?, Value::from(date));
/// # Ok::<(), isochrone::codec::CodecError>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Types(Option<Arc<Registered>>);

#[derive(Clone, Debug)]
struct Registered {
    date: Option<u32>,
    users: Vec<Arc<str>>,
    first_user: u32,
    proxy: Option<u32>,
    addresses: bool,
}

impl Types {
    /// A protocol without custom types.
    pub fn none() -> Self {
        Types(None)
    }

    /// A plain channel: the user's types only.
    pub fn channel<S: Into<Arc<str>>>(users: impl IntoIterator<Item = S>) -> Self {
        Self::registered(None, users, false)
    }

    /// RPC between programs that are no containers: the user's types, then proxies.
    pub fn rpc<S: Into<Arc<str>>>(users: impl IntoIterator<Item = S>) -> Self {
        Self::registered(None, users, true)
    }

    /// Containers: dates, the user's types, then proxies.
    pub fn container<S: Into<Arc<str>>>(users: impl IntoIterator<Item = S>) -> Self {
        Self::registered(Some(0), users, true)
    }

    fn registered<S: Into<Arc<str>>>(
        date: Option<u32>,
        users: impl IntoIterator<Item = S>,
        proxies: bool,
    ) -> Self {
        let users: Vec<Arc<str>> = users.into_iter().map(Into::into).collect();
        let first_user = date.map_or(0, |date| date + 1);
        let next = u32::try_from(users.len()).unwrap_or(u32::MAX).saturating_add(first_user);
        Types(Some(Arc::new(Registered {
            date,
            users,
            first_user,
            proxy: proxies.then_some(next),
            addresses: false,
        })))
    }

    /// The same types towards a peer that understands addresses as proxies: one of our own.
    #[must_use]
    pub fn with_addresses(self) -> Self {
        Types(self.0.map(|registered| {
            let mut registered = Arc::unwrap_or_clone(registered);
            registered.addresses = true;
            Arc::new(registered)
        }))
    }

    /// Whether the protocol has custom types.
    #[inline]
    pub(super) fn exist(&self) -> bool {
        self.0.is_some()
    }

    /// What `[number, data]` stands for.
    fn instance(&self, number: u32, data: Value) -> Value {
        let Some(types) = &self.0 else { return unknown(number, data) };
        let is = |registered: Option<u32>| registered == Some(number);
        match data {
            Value::Str(text) if is(types.date) => match date::from_text(&text) {
                Some(date) => Value::Date(date),
                None => unknown(number, Value::Str(text)),
            },
            Value::Str(text) if is(types.proxy) => Value::Proxy(Reference::from_text(text)),
            data => {
                let index = number.checked_sub(types.first_user).map(|index| index as usize);
                match index.and_then(|index| types.users.get(index)) {
                    Some(name) => {
                        Value::Object(Box::new(Object { name: TypeName::Known(name.clone()), data }))
                    }
                    None => unknown(number, data),
                }
            }
        }
    }

    /// A dict that was read, or what it stands for.
    pub(super) fn revive(&self, mut entries: Vec<(Value, Value)>) -> Value {
        if self.exist() && entries.len() == 1 && entries[0].0.as_str() == Some(KEY) {
            match entries.pop() {
                Some((_, Value::List(parts))) => match <[Value; 2]>::try_from(parts) {
                    Ok([Value::Int(number), data]) if u32::try_from(number).is_ok() => {
                        return self.instance(number as u32, data);
                    }
                    Ok(parts) => entries.push((Value::from(KEY), Value::List(parts.into()))),
                    Err(parts) => entries.push((Value::from(KEY), Value::List(parts))),
                },
                Some(entry) => entries.push(entry),
                None => {}
            }
        }
        Value::Map(entries)
    }

    /// The number under which dates are sent; `None` if they are text here.
    pub(super) fn date(&self) -> Result<Option<u32>, CodecError> {
        let Some(types) = &self.0 else { return Ok(None) };
        match types.date {
            Some(number) => Ok(Some(number)),
            None => Err(CodecError::unsupported(
                "dates can be sent between containers only; send a str on this connection",
            )),
        }
    }

    /// The number under which this proxy is sent; `None` if it is text here.
    pub(super) fn proxy(&self, text: &str) -> Result<Option<u32>, CodecError> {
        let Some(types) = &self.0 else { return Ok(None) };
        match types.proxy {
            Some(_) if !types.addresses && text.contains("://") => Err(CodecError::unsupported(format!(
                "the proxy of {text} cannot be passed on: the peer is an aiomas program, which knows proxies of its \
                 own connections only; send the address as a str, and let it connect"
            ))),
            Some(number) => Ok(Some(number)),
            None => Err(CodecError::unsupported(
                "a plain channel has no proxies; send the address as a str, or use RPC",
            )),
        }
    }

    /// The number under which this type is sent; `None` if it is its data here.
    pub(super) fn user(&self, name: &str) -> Result<Option<u32>, CodecError> {
        let Some(types) = &self.0 else { return Ok(None) };
        match types.users.iter().position(|user| **user == *name) {
            Some(index) => Ok(Some(types.first_user + index as u32)),
            None => Err(CodecError::unsupported(format!(
                "the type {name} is not registered for this connection, which knows {}",
                if types.users.is_empty() {
                    "no type of the user's".to_owned()
                } else {
                    types.users.join(", ")
                }
            ))),
        }
    }
}

fn unknown(number: u32, data: Value) -> Value {
    Value::Object(Box::new(Object { name: TypeName::Unknown(number), data }))
}

/// That a user's dict would be taken for an instance of a custom type.
#[cold]
pub(super) fn reserved() -> CodecError {
    CodecError::unsupported(format!(
        "a dict with the key {KEY:?} cannot be sent: the peer would take it for an instance of a custom type; rename \
         the key, or register a type"
    ))
}
