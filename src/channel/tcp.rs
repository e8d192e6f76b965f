//! TCP connections as this project wants them.
//!
//! Contract: no delay for small frames; a peer whose machine is gone is noticed after two minutes at most, also while
//! nobody speaks.

use std::io;
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use tokio::net::TcpStream;

/// Silence after which the first probe is sent.
const IDLE: Duration = Duration::from_secs(60);

/// Between two probes.
const INTERVAL: Duration = Duration::from_secs(10);

/// Probes without an answer after which the connection is lost.
#[cfg(not(windows))]
const PROBES: u32 = 6;

/// Sets what every TCP connection of ours has: no delay, and probes while it is silent.
///
/// # Errors
/// The system refuses.
pub fn prepare(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let keepalive = TcpKeepalive::new().with_time(IDLE).with_interval(INTERVAL);
    #[cfg(not(windows))]
    let keepalive = keepalive.with_retries(PROBES);
    SockRef::from(stream).set_tcp_keepalive(&keepalive)
}
