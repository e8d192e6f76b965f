//! Requests and replies over a stream of bytes, both ways on one connection.
//!
//! Why sans-I/O: the state machine [`Channel`] takes bytes and gives events, so every split, flood and failure is
//! tested without a socket, and TCP, TLS, Unix sockets and in-process pipes share it. [`Connection`] is the thin shell
//! that moves the bytes.
//!
//! Contract: every request ends exactly once, with its answer or with the end of the channel. The two directions
//! have separate id spaces. Each frame is a 32 bit length and `[type, id, content]`, as aiomas 2.0.1 and mosaik 3
//! write it.
//!
//! Failure modes: see [`ChannelError`]; all but those of one call are fatal for the connection, and for that
//! connection only.

mod address;
#[expect(clippy::module_inception, reason = "the mechanism has no better name than its module")]
mod channel;
mod config;
mod connection;
mod content;
mod driver;
mod error;
mod frame;
mod inbox;
mod link;
mod load;
mod message;
mod open;
mod pending;
mod pipe;
mod replies;
pub mod transport;

pub use address::{Address, AddressError, Endpoint};
pub use channel::{Channel, Event, Failure};
pub use config::{Config, Counters};
pub use connection::Connection;
pub(crate) use content::{Arrived, Content, Id, Requests};
pub(crate) use driver::{Driver, Serve};
pub use error::ChannelError;
pub use inbox::Request;
pub(crate) use link::{Answer, Core, Ticket};
pub use link::{Link, Waiting};
pub use load::Load;
pub use message::Message;
pub(crate) use open::endpoint;
pub use open::{ConnectError, Listening, open_connection, start_server};
pub use pending::RequestId;
pub(crate) use replies::Replies;

#[cfg(test)]
mod tests {
    mod channel;
    mod connection;
}
