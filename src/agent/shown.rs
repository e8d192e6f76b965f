//! Messages and replies as values, for recordings that hold them: what `#[agent]` makes stands on this.

use std::any::Any;
use std::rc::Rc;

use serde::Serialize;

use crate::codec::{Value, to_value};
use crate::rpc::CallError;

/// An argument as a value; one that cannot be a value shows why.
#[doc(hidden)]
pub fn value<T: Serialize + ?Sized>(argument: &T) -> Value {
    to_value(argument).unwrap_or_else(|error| Value::Str(format!("<{error}>")))
}

/// The arguments of a message.
#[doc(hidden)]
pub fn show<const N: usize>(arguments: [Value; N]) -> Option<Rc<dyn Any>> {
    Some(Rc::new(Value::List(arguments.into())))
}

/// What a method returned.
#[doc(hidden)]
pub fn show_result<T: Serialize>(result: &Result<T, CallError>) -> Option<Rc<dyn Any>> {
    Some(Rc::new(match result {
        Ok(result) => value(result),
        Err(error) => Value::Map(vec![
            ("error".into(), error.kind().into()),
            ("message".into(), error.message().into()),
        ]),
    }))
}
