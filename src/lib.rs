//! Isochrone.
pub mod channel;
pub mod codec;
pub mod rpc;
