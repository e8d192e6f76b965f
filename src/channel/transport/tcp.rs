//! TCP: which addresses a host means, and how its sockets are set.
//!
//! Contract: all addresses of one listener have one port, also when the system chose it. `localhost` is 127.0.0.1 and
//! ::1, whatever the hosts file says: a peer may try either first.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use socket2::{Domain, Protocol, SockRef, Socket, TcpKeepalive, Type};
use tokio::net::{TcpListener, TcpStream};

/// Connections that may wait to be accepted.
const BACKLOG: i32 = 1024;

/// How often a free port is tried that must be free at several addresses.
const ATTEMPTS: usize = 32;

/// Small frames are sent at once, and a peer that vanished is noticed after two minutes.
pub(super) fn prepare(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let keepalive =
        TcpKeepalive::new().with_time(Duration::from_secs(60)).with_interval(Duration::from_secs(10));
    #[cfg(not(windows))]
    let keepalive = keepalive.with_retries(6);
    SockRef::from(stream).set_tcp_keepalive(&keepalive)
}

/// The addresses that a listener's host means.
pub(super) async fn listening(host: &str) -> io::Result<Vec<IpAddr>> {
    match host {
        "localhost" => Ok(vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()]),
        "" | "::" => Ok(vec![Ipv6Addr::UNSPECIFIED.into()]),
        _ => {
            let mut found: Vec<IpAddr> =
                tokio::net::lookup_host((host, 0)).await?.map(|address| address.ip()).collect();
            found.sort_unstable();
            found.dedup();
            Ok(found)
        }
    }
}

/// Listens on all of these addresses, on one port.
pub(super) fn bind(ips: &[IpAddr], port: u16) -> io::Result<Vec<TcpListener>> {
    for _ in 1..ATTEMPTS {
        match bind_once(ips, port) {
            // another program had the chosen port at one of the addresses
            Err(error) if port == 0 && error.kind() == io::ErrorKind::AddrInUse => {}
            result => return result,
        }
    }
    bind_once(ips, port)
}

fn bind_once(ips: &[IpAddr], mut port: u16) -> io::Result<Vec<TcpListener>> {
    let mut bound: Vec<TcpListener> = Vec::new();
    let mut failed = io::Error::new(io::ErrorKind::NotFound, "the host has no address");
    for ip in ips {
        let listener = bind_one(SocketAddr::new(*ip, port)).or_else(|error| {
            // a machine without IPv6 still has all of its IPv4
            match ip {
                IpAddr::V6(Ipv6Addr::UNSPECIFIED) if error.kind() != io::ErrorKind::AddrInUse => {
                    bind_one(SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), port))
                }
                _ => Err(error),
            }
        });
        match listener {
            Ok(listener) => {
                port = listener.local_addr()?.port();
                bound.push(listener);
            }
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => return Err(error),
            Err(error) => failed = error,
        }
    }
    if bound.is_empty() { Err(failed) } else { Ok(bound) }
}

fn bind_one(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    // on Windows it would let two programs share a port
    #[cfg(unix)]
    socket.set_reuse_address(true)?;
    if let IpAddr::V6(ip) = address.ip() {
        socket.set_only_v6(!ip.is_unspecified())?;
    }
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    socket.set_nonblocking(true)?;
    TcpListener::from_std(socket.into())
}

/// Connects to whichever address of the host answers first in their order.
pub(super) async fn connect(host: &str, port: u16) -> io::Result<TcpStream> {
    let mut failed = io::Error::new(io::ErrorKind::NotFound, "the host has no address");
    for address in tokio::net::lookup_host((host, port)).await? {
        match TcpStream::connect(address).await {
            Ok(stream) => {
                prepare(&stream)?;
                return Ok(stream);
            }
            Err(error) => failed = error,
        }
    }
    Err(failed)
}
