//! The real aiomas 2.0.1 and ours, in all roles, with each codec, over TCP and Unix sockets.
//!
//! | file | what |
//! |------|------|
//! | `pairs` | `aiomas_peer` in Rust and in Python, every pair of them, with a table |
//! | `serving` | aiomas calls us: the checks of `peers/aiomas/calling.py` |
//! | `calling` | we call aiomas: `peers/aiomas/serving.py` |
//! | `manager` | masters of both sides, and what they drive |
//!
//! `-- --nocapture` shows the table. The first run installs aiomas into the target directory, see `peers/setup.rs`.
#![cfg(unix)]

#[path = "support/aiomas.rs"]
#[allow(dead_code, reason = "each test uses its part")]
mod aiomas;
#[cfg(feature = "tls")]
#[path = "support/authority.rs"]
#[allow(dead_code, reason = "each test uses its part")]
mod authority;
#[path = "aiomas/calling.rs"]
mod calling;
#[path = "support/example.rs"]
mod example;
#[path = "aiomas/manager.rs"]
mod manager;
#[path = "support/net.rs"]
#[allow(dead_code, reason = "each test uses its part")]
mod net;
#[path = "aiomas/pairs.rs"]
mod pairs;
#[path = "aiomas/programs.rs"]
mod programs;
#[path = "aiomas/serving.rs"]
mod serving;
