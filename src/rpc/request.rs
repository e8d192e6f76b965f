//! A call as it stands on the wire: `[path, [positional...], {keyword: ...}]`.
//!
//! Contract: all three are always there. Arguments are a list: what aiomas does with `null` (a `TypeError`) and with text
//! (splatted into characters) is refused here by name.
//!
//! Failure modes: a `ProtocolError` that says what arrived; aiomas never answers such a request, we do.

use super::{Args, CallError};
use crate::codec::Value;

/// What is called, and with what.
#[derive(Debug, Clone, PartialEq)]
pub struct Request {
    /// Names joined by `/`.
    pub path: String,
    /// The arguments.
    pub args: Args,
}

impl Request {
    /// A call of `path` with these arguments.
    pub fn new(path: impl Into<String>, args: Args) -> Self {
        Request { path: path.into(), args }
    }

    /// Reads the content of a request.
    ///
    /// # Errors
    /// It is no call.
    ///
    /// ```
    /// use isochrone::{codec::{Limits, json}, rpc::Request};
    /// let content = json::decode(br#"["add", [3], {"b": 4}]"#, &Limits::default()).unwrap();
    /// let request = Request::from_content(content).unwrap();
    /// assert_eq!((request.path, request.args.to_string()), ("add".into(), "(3, b=4)".into()));
    /// ```
    pub fn from_content(content: Value) -> Result<Request, CallError> {
        let parts = match content {
            Value::List(parts) => <[Value; 3]>::try_from(parts).map_err(Value::List),
            other => Err(other),
        };
        match parts {
            Ok([Value::Str(path), Value::List(positional), Value::Map(keyword)]) => {
                Ok(Request { path, args: args(positional, keyword)? })
            }
            Ok(parts) => Err(no_call(&Value::List(parts.into()))),
            Err(content) => Err(no_call(&content)),
        }
    }

    /// The content of a request.
    ///
    /// # Errors
    /// An argument could not be serialized when it was added.
    pub fn into_content(self) -> Result<Value, CallError> {
        self.args.check()?;
        let keyword = self.args.keyword.into_iter().map(|(name, value)| (Value::Str(name), value)).collect();
        Ok(Value::List(vec![Value::Str(self.path), Value::List(self.args.positional), Value::Map(keyword)]))
    }
}

/// The arguments of a call; keywords are text.
pub(super) fn args(positional: Vec<Value>, keyword: Vec<(Value, Value)>) -> Result<Args, CallError> {
    let keyword: Result<_, CallError> = keyword.into_iter().map(keyword_argument).collect();
    Ok(Args::new(positional, keyword?))
}

fn keyword_argument((name, value): (Value, Value)) -> Result<(String, Value), CallError> {
    match name {
        Value::Str(name) => Ok((name, value)),
        other => Err(CallError::type_error(format!("keywords must be strings, got {}", other.describe()))),
    }
}

#[cold]
fn no_call(got: &Value) -> CallError {
    CallError::protocol_error(format!("a request is [path, [args], {{kwargs}}], got {}", got.describe()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::{Limits, json};

    fn read(text: &str) -> Result<Request, CallError> {
        Request::from_content(json::decode(text.as_bytes(), &Limits::default()).unwrap())
    }

    #[test]
    fn a_call_goes_to_its_content_and_back() {
        let request = Request::new("sub/add", Args::default().arg(3).kwarg("b", 4.5));
        let content = request.clone().into_content().unwrap();
        assert_eq!(content.to_string(), r#"["sub/add",[3],{"b":4.5}]"#);
        assert_eq!(Request::from_content(content).unwrap(), request);
        let empty = Request::new("stop", Args::default()).into_content().unwrap();
        assert_eq!(empty.to_string(), r#"["stop",[],{}]"#);
    }

    #[test]
    fn what_is_no_call_is_refused_and_named() {
        for text in [
            "null",
            "[]",
            r#"["add"]"#,
            r#"["add", null, {}]"#,
            r#"["add", "ab", {}]"#,
            r#"[1, [], {}]"#,
            r#"["add", [], []]"#,
            r#"["add", [], {}, 1]"#,
        ] {
            let error = read(text).unwrap_err();
            assert_eq!(error.kind(), "ProtocolError");
            assert!(error.message().starts_with("a request is [path, [args], {kwargs}], got "), "{error}");
        }
        let content = Value::List(vec![Value::from("f"), Value::List(vec![]), Value::map([(1, 2)])]);
        let error = Request::from_content(content).unwrap_err();
        assert_eq!(error.to_string(), "TypeError: keywords must be strings, got int 1");
    }
}
