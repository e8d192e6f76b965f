//! Agents: what `#[agent]` makes of an impl block, and what their code works with.
//!
//! An agent is a value whose methods the kernel calls, one at a time. The attribute yields the messages and replies, the
//! dispatch, the typed proxy, the constructor and the ports; everything here is what the generated code stands on.

mod call;
mod container;
mod every;
pub(crate) mod external;
pub(crate) mod far;
mod inputs;
mod model;
mod proxy;
mod shown;
mod vtable;

use isochrone_sim::{Actor, Ctx, Ref};
use serde::de::DeserializeOwned;

pub use call::{Call, Deadline, Invocation, Take};
pub use container::Container;

pub use crate::rpc::Method;
pub use every::{Body, every};
pub use external::Externals;
pub use far::Far;
pub use inputs::{BadInput, Inputs, Written};
pub use isochrone_sim::local;
pub use model::{Input, Model, Output, OutputKind};
pub use proxy::{Connect, Connecting, OwnProxy, Proxy, Target};
pub(crate) use proxy::{find, find_in};
pub use shown::{show, show_result, value};
pub use vtable::Vtable;
pub(crate) use vtable::{Answer, Seat, Watching, Write};

use crate::codec::{Value, from_value};
use crate::rpc::{Args, CallError};

/// A type of agents. `#[agent]` implements it; there is no reason to do so by hand.
pub trait Agent: Actor {
    /// Its typed proxy.
    type Proxy: From<Ref<Self>> + From<Far> + Clone + 'static;

    /// What it looks like from outside.
    const MODEL: &'static Model;

    /// Builds an agent from arguments by its `#[constructor]`.
    ///
    /// # Errors
    /// A TypeError for wrong arguments, or what the constructor said.
    fn construct(cx: &Ctx, args: Args) -> Result<Self, CallError>;

    /// The message that calls a method by name.
    ///
    /// # Errors
    /// A LookupError for an unknown method, a TypeError for wrong arguments.
    fn decode(method: &str, args: Args) -> Result<Self::Msg, CallError>;

    /// The result of a call as a value.
    ///
    /// # Errors
    /// The error the method returned, or one that says why its result cannot be a value.
    fn encode(reply: Self::Reply) -> Result<Value, CallError>;

    /// A message as a call by name, for an agent elsewhere. Only messages of exposed methods are sent there.
    fn request(message: Self::Msg) -> (&'static str, Args);

    /// The reply that the result of a call by name stands for.
    fn respond(method: &str, result: Result<Value, CallError>) -> Self::Reply;

    /// The message that writes to an input port.
    ///
    /// # Errors
    /// [`BadInput`] when a value is of the wrong type.
    fn input(port: usize, values: Written) -> Result<Self::Msg, BadInput>;

    /// The message that runs the method of the step, if there is one.
    fn step() -> Option<Self::Msg>;

    /// Reads an output port. Events are taken out by reading.
    ///
    /// # Errors
    /// When the value cannot be one of ours.
    fn output(&mut self, port: usize) -> Result<Value, CallError>;

    /// The hash of what [`output`](Agent::output) would give, for outputs that are state.
    fn output_hash(&mut self, port: usize) -> u64;
}

/// The result of a method that was called elsewhere, as its type here.
#[doc(hidden)]
pub fn returned<T: DeserializeOwned>(method: &str, result: Result<Value, CallError>) -> Result<T, CallError> {
    from_value(result?)
        .map_err(|error| CallError::type_error(format!("{method}() returned something else: {error}")))
}
