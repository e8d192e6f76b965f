//! Calls by name: what is called, with what, and what went wrong.
//!
//! Why apart from the channel: a local call takes the same way (path, arguments as Python passes them, errors that look
//! alike near and far) without any bytes.
//!
//! Contract: nothing here knows connections, clocks or agents. Names and texts are those of aiomas and CPython, since
//! the people who read them come from there.
//!
//! Failure modes: every failed call is a [`CallError`].

mod args;
mod error;
mod failure;
mod request;
mod router;

pub use args::{Args, Bound, Param, Signature};
pub use error::CallError;
pub use request::Request;
pub use router::Router;
