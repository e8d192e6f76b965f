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
mod call;
mod client;
mod context;
mod dispatch;
mod error;
mod failure;
mod incoming;
mod model;
mod object;
mod peer;
mod remote;
mod request;
mod router;
mod server;
mod service;

pub use args::{Args, Bound, Param, Signature};
pub use call::{Arguments, Call, Positional, Timed};
pub use client::Client;
pub use error::CallError;
pub use incoming::Incoming;
pub use model::Method;
pub use object::{Exposed, Shared};
pub use peer::Peer;
pub use remote::{Own, Remote};
pub use request::Request;
pub use router::Router;
pub use server::Server;
pub use service::{Entry, Handler, Later, Outcome, Service};

/// Takes an argument that has no default; without it, `Args::bind` has refused the call already.
#[doc(hidden)]
pub fn required<T: serde::de::DeserializeOwned>(bound: &mut Bound<'_>, index: usize) -> Result<T, CallError> {
    bound.take(index)?.ok_or_else(|| CallError::type_error(format!("argument {index} is missing")))
}
