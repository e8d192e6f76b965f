//! How bytes get from one container to another: TCP, TLS over TCP, Unix sockets, a queue within the process.
//!
//! Why one [`Stream`] for all: everything above (channel, calls, containers) is the same on each of them, so only
//! connecting and listening differ.
//!
//! | file | what |
//! |------|------|
//! | `listen` | [`Listener`]: addresses, limits, handshakes apart from accepting |
//! | `connect` | [`connect`], once or with patience, and the [`Backoff`] in between |
//! | `gate` | how many connections there may be, in all and from one address |
//! | `tcp`, `unix`, `local`, `tls` | what is special about each |
//! | `certificate` | whom a certificate names |
//!
//! Contract: a stream that was handed out is established: a TLS peer has proved who it is. [`Peer`] says who that is.
//!
//! Failure modes: [`TransportError`]. What one peer does never ends a listener.

#[cfg(feature = "tls")]
mod certificate;
mod connect;
mod gate;
mod listen;
mod local;
mod tcp;
#[cfg(feature = "tls")]
mod tls;
#[cfg(unix)]
mod unix;

use std::fmt;
use std::io;
use std::net::IpAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf};
use tokio::net::TcpStream;

use super::Endpoint;
pub use connect::{Backoff, ConnectOptions, connect, connect_within};
use gate::Permit;
pub use listen::{Incoming, ListenOptions, Listener};
#[cfg(feature = "tls")]
pub use tls::{Tls, TlsFloor};

/// Who is at the other end.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Peer {
    /// Where it is, for messages: `tcp://127.0.0.1:40312`.
    pub address: String,
    /// The IP address, where there is one.
    pub ip: Option<IpAddr>,
    /// By which names it is known for sure: those of its certificate (`dns:grid.example.org`, `uri:..`, `ip:10.0.0.1`,
    /// `cn:grid`), or `uid:1000` over a Unix socket. Empty over plain TCP, where a peer can claim anything.
    pub identities: Vec<String>,
    /// In which time it must have sent something valid, unless we have asked it something first: see
    /// [`ListenOptions::first_frame`].
    pub first_frame: Option<Duration>,
}

/// Somebody of whom nothing is known but where it is.
impl From<&str> for Peer {
    fn from(address: &str) -> Self {
        Peer { address: address.to_owned(), ..Peer::default() }
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.address)?;
        match self.identities.first() {
            Some(first) => write!(f, " ({first})"),
            None => Ok(()),
        }
    }
}

/// An established connection of any transport.
#[derive(Debug)]
pub struct Stream {
    io: Io,
    peer: Peer,
    /// counts as a connection of its listener as long as it lives
    _permit: Option<Permit>,
}

#[derive(Debug)]
enum Io {
    Tcp(TcpStream),
    #[cfg(unix)]
    Unix(tokio::net::UnixStream),
    Local(DuplexStream),
    #[cfg(feature = "tls")]
    Tls(Box<tokio_rustls::TlsStream<TcpStream>>),
}

impl Stream {
    /// Who is at the other end.
    pub fn peer(&self) -> &Peer {
        &self.peer
    }

    /// Both ends of a connection through memory: that of who connects to `endpoint`, and that of who is there, which knows the
    /// other by `identity`.
    pub fn pair(identity: &str, endpoint: &Endpoint) -> (Stream, Stream) {
        let (near, far) = local::pair();
        let there = Peer { address: endpoint.to_string(), ..Peer::default() };
        let here = Peer { address: identity.into(), identities: vec![identity.into()], ..Peer::default() };
        let end = |io, peer| Stream { io: Io::Local(io), peer, _permit: None };
        (end(near, there), end(far, here))
    }
}

/// Calls a method of whichever stream it is.
macro_rules! each {
    ($self:ident, $io:ident => $call:expr) => {
        match &mut $self.get_mut().io {
            Io::Tcp(io) => {
                let $io = Pin::new(io);
                $call
            }
            #[cfg(unix)]
            Io::Unix(io) => {
                let $io = Pin::new(io);
                $call
            }
            Io::Local(io) => {
                let $io = Pin::new(io);
                $call
            }
            #[cfg(feature = "tls")]
            Io::Tls(io) => {
                let $io = Pin::new(&mut **io);
                $call
            }
        }
    };
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        each!(self, io => io.poll_read(cx, buffer))
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        each!(self, io => io.poll_write(cx, bytes))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        each!(self, io => io.poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        each!(self, io => io.poll_shutdown(cx))
    }
}

/// Why there is no connection, or nobody can connect.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TransportError {
    /// The system says so.
    #[error("{endpoint}: {error}")]
    Io {
        /// Where.
        endpoint: Endpoint,
        /// Why.
        error: io::Error,
    },
    /// Nobody was there for so long.
    #[error("{endpoint}: not reached within {}: {last}", isochrone_sim::display_span(*waited))]
    Unreachable {
        /// Where.
        endpoint: Endpoint,
        /// For how long it was tried.
        waited: Duration,
        /// What the last attempt said.
        last: String,
    },
    /// It would take calls of anybody in the network, unencrypted.
    #[error(
        "{endpoint}: plain TCP listens on this machine only (localhost); give certificates, or allow it with insecure_bind (--insecure-bind)"
    )]
    Exposed {
        /// Where.
        endpoint: Endpoint,
    },
    /// The handshake of TLS failed.
    #[error("{peer}: TLS: {message}")]
    Tls {
        /// With whom.
        peer: String,
        /// Why, and what to do.
        message: String,
    },
    /// A certificate or key cannot be used.
    #[error("{what}: {message}")]
    Certificate {
        /// Which: a file's name, mostly.
        what: String,
        /// Why, and what to do.
        message: String,
    },
    /// This system or build does not have it.
    #[error("{endpoint}: {what}")]
    Unsupported {
        /// Where.
        endpoint: Endpoint,
        /// What is missing.
        what: &'static str,
    },
}

impl TransportError {
    fn io(endpoint: &Endpoint) -> impl Fn(io::Error) -> TransportError {
        move |error| TransportError::Io { endpoint: endpoint.clone(), error }
    }

    /// Whether it may go better in a moment: somebody is about to listen there, or the network recovers.
    pub fn may_pass(&self) -> bool {
        match self {
            TransportError::Io { error, .. } => error.kind() != io::ErrorKind::InvalidInput,
            TransportError::Unreachable { .. } => true,
            _ => false,
        }
    }
}
