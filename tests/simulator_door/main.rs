//! The simulator's door by RPC: what a session answers, who may ask, and programs in Python that couple by it.

mod agents;
mod owner;
mod python;
mod session;

#[path = "../peers/setup.rs"]
mod setup;
#[path = "../support/mod.rs"]
mod support;
