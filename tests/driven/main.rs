//! Runs whose time the outside moves: forks of them, searches in them, and the same runs after their program was
//! killed.
#![cfg(all(unix, feature = "serve", feature = "mosaik", feature = "manager"))]

mod explore;
mod fork;
mod program;
mod resume;

#[path = "../support/net.rs"]
#[allow(dead_code, reason = "each test uses its part")]
mod net;
#[path = "../support/mod.rs"]
mod support;
