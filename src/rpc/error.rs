//! What a caller gets instead of a result, from the next agent as from the other end of the world.
//!
//! Why one type with names: the wire carries text only, and a caller must not see whether its callee was near or far. So a
//! kind is a name, ours or that of the user's own error type, and comparisons work alike on both sides.
//!
//! Contract: eight bytes, so a `Result<f64, CallError>` costs nothing to return.

use std::any::Any;
use std::borrow::Cow;
use std::fmt;

use serde::{Deserialize, Serialize};

/// Why a call gave no result.
///
/// ```
/// use isochrone::rpc::CallError;
/// let error = CallError::new("TooMuch", "9 kW are too much");
/// assert_eq!((error.kind(), error.message()), ("TooMuch", "9 kW are too much"));
/// assert_eq!(error.to_string(), "TooMuch: 9 kW are too much");
/// ```
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct CallError(Box<Inner>);

#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Inner {
    kind: Cow<'static, str>,
    message: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    trace: Vec<String>,
}

macro_rules! built_in {
    ($($(#[$doc:meta])* $name:ident $constant:ident = $kind:literal;)*) => {
        $(
            #[doc = concat!("The [`kind`](CallError::kind) of [`CallError::", stringify!($name), "`].")]
            pub const $constant: &'static str = $kind;

            $(#[$doc])*
            pub fn $name(message: impl Into<String>) -> Self {
                CallError::new(Self::$constant, message)
            }
        )*
    };
}

impl CallError {
    /// An error of any kind.
    #[cold]
    pub fn new(kind: impl Into<Cow<'static, str>>, message: impl Into<String>) -> Self {
        CallError(Box::new(Inner { kind: kind.into(), message: message.into(), trace: Vec::new() }))
    }

    built_in! {
        /// The arguments do not fit the signature, or a value does not fit its type.
        type_error TYPE_ERROR = "TypeError";
        /// Nothing of this name is there.
        lookup_error LOOKUP_ERROR = "LookupError";
        /// The content of a request is no call.
        protocol_error PROTOCOL_ERROR = "ProtocolError";
        /// No answer came in time.
        timeout TIMEOUT = "Timeout";
        /// The callee's mailbox is full.
        busy BUSY = "Busy";
        /// The connection ended before the answer came, or was never there.
        disconnected DISCONNECTED = "Disconnected";
        /// The call could never end, since its callee waits for the caller.
        wait_cycle WAIT_CYCLE = "WaitCycle";
        /// The callee has stopped.
        stopped STOPPED = "Stopped";
        /// The callee failed in a way that is not an error of its own: a panic.
        panicked PANICKED = "Panicked";
        /// A fork of a recorded run asks what the recorded run did not ask at that time, and nobody is there to answer.
        not_recorded NOT_RECORDED = "NotRecorded";
        /// A peer failed and said something that has no kind.
        remote REMOTE = "RemoteError";
    }

    /// The user's own error: its kind is the short name of its type, without modules and generics, its message what it
    /// displays. A `CallError` stays itself; text, and boxed errors of unknown type, are of kind `Error`.
    pub fn from_error<E: fmt::Display + 'static>(error: E) -> Self {
        if let Some(error) = (&error as &dyn Any).downcast_ref::<CallError>() {
            return error.clone();
        }
        CallError::new(short_type_name(std::any::type_name::<E>()), error.to_string())
    }

    /// The same error with lines that say where it came from, outermost first.
    #[must_use]
    pub fn with_trace(mut self, trace: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.0.trace = trace.into_iter().map(Into::into).collect();
        self
    }

    /// The name of the kind: `TypeError`, `Timeout`, or the short name of the callee's own error type.
    pub fn kind(&self) -> &str {
        &self.0.kind
    }

    /// What happened.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// Lines that say where it came from, if the callee told.
    pub fn trace(&self) -> &[String] {
        &self.0.trace
    }
}

impl fmt::Display for CallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.kind())?;
        if !self.message().is_empty() {
            write!(f, ": {}", self.message())?;
        }
        Ok(())
    }
}

/// As displayed: this is what `unwrap` prints.
impl fmt::Debug for CallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CallError({self})")
    }
}

impl std::error::Error for CallError {}

/// `my::module::TooMuch<f64>` is `TooMuch`; what only wraps an error is looked through.
fn short_type_name(full: &'static str) -> &'static str {
    let full = full.trim_start_matches('&').trim_start_matches("mut ");
    let (path, generics) = full.split_once('<').unwrap_or((full, ""));
    let name = path.rsplit("::").next().unwrap_or(path);
    match name {
        "Box" | "Arc" | "Rc" if !generics.starts_with("dyn ") => {
            short_type_name(generics.strip_suffix('>').unwrap_or(generics))
        }
        "Box" | "Arc" | "Rc" | "String" | "str" => "Error",
        _ => name,
    }
}

#[cfg(test)]
mod tests {
    use super::CallError;
    use crate::codec::{from_value, to_value};

    #[derive(Debug)]
    struct TooMuch<T>(T);

    impl<T: std::fmt::Display> std::fmt::Display for TooMuch<T> {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            write!(f, "{} is too much", self.0)
        }
    }

    impl<T: std::fmt::Display + std::fmt::Debug> std::error::Error for TooMuch<T> {}

    #[test]
    fn a_users_error_is_called_by_its_short_name() {
        let error = CallError::from_error(TooMuch(9.5));
        assert_eq!((error.kind(), error.message()), ("TooMuch", "9.5 is too much"));
        assert_eq!(CallError::from_error(TooMuch(TooMuch(1))).kind(), "TooMuch");
        assert_eq!(CallError::from_error(Box::new(TooMuch(1))).kind(), "TooMuch");
        let boxed: Box<dyn std::error::Error + Send + Sync> = Box::new(TooMuch(1));
        assert_eq!(CallError::from_error(boxed).to_string(), "Error: 1 is too much");
        assert_eq!(CallError::from_error("text").to_string(), "Error: text");
        assert_eq!(CallError::from_error("text".to_owned()).to_string(), "Error: text");
        assert_eq!(CallError::from_error("x".parse::<f64>().unwrap_err()).kind(), "ParseFloatError");
    }

    #[test]
    fn an_error_passed_on_stays_itself() {
        let error = CallError::timeout("after 5 s").with_trace(["House#1.bid"]);
        assert_eq!(CallError::from_error(error.clone()), error);
    }

    #[test]
    fn an_error_is_small_and_survives_the_wire() {
        assert_eq!(size_of::<Result<(), CallError>>(), size_of::<usize>());
        for error in [CallError::busy("full"), CallError::new("TooMuch", "").with_trace(["a", "b"])] {
            assert_eq!(from_value::<CallError>(to_value(&error).unwrap()).unwrap(), error);
        }
        assert_eq!(CallError::new("KeyError", "").to_string(), "KeyError");
    }
}
