//! The two programs `aiomas_peer`, in Python with the real aiomas, and ours.

use std::path::Path;
use std::process::Command;

use crate::aiomas::programs::free_port;
use crate::aiomas::python;
use crate::example::example;

pub(crate) const CODECS: [&str; 3] = ["json", "msgpack", "blosc"];

/// Who runs a role.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Side {
    Rust,
    Python,
}

impl Side {
    /// `aiomas_peer` of this side.
    pub(crate) fn peer(self) -> Command {
        match self {
            Side::Rust => Command::new(example("aiomas_peer")),
            Side::Python => python("aiomas_peer.py"),
        }
    }
}

/// Addresses that nobody has: ports, or sockets in a directory.
pub(crate) fn free_address(transport: &str, directory: &Path, name: &str) -> String {
    match transport {
        "tcp" | "tls" => format!("127.0.0.1:{}", free_port()),
        _ => directory.join(name).display().to_string(),
    }
}

/// The address of an agent, or of a container.
pub(crate) fn url(address: &str) -> String {
    if address.contains('/') { format!("ipc://[{address}]") } else { format!("tcp://{address}") }
}
