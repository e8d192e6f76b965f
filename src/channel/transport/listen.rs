//! Listening: accepting everybody that may, whatever single peers do.
//!
//! Contract
//! * Accepting never waits for a handshake: [`Listener::accept`] hands out an [`Incoming`], and the handshake is its own
//!   affair, bounded in time.
//! * With too many connections the next one is accepted and closed at once, so that its peer knows.
//! * Out of file descriptors the listener waits a moment and goes on.
//!
//! Failure modes: only binding fails.

use std::future::poll_fn;
use std::io;
use std::net::IpAddr;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::net::TcpListener;

use super::gate::{Gate, Permit};
use super::{Endpoint, Io, Peer, Stream, TransportError, local, tcp};

/// How to listen.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ListenOptions {
    /// Certificates: TCP connections then use TLS, and peers must have a certificate too.
    #[cfg(feature = "tls")]
    pub tls: Option<super::Tls>,
    /// Lets plain TCP listen beyond this machine.
    pub insecure_bind: bool,
    /// Connections at once (1,024).
    pub max_connections: usize,
    /// Connections at once from one IP address (128).
    pub max_per_address: usize,
    /// How long a handshake of TLS may take (5 s).
    pub handshake: Duration,
    /// In which time a peer from another machine must have sent its first frame (30 s): one that says nothing takes the
    /// place of others.
    pub first_frame: Duration,
}

impl Default for ListenOptions {
    fn default() -> Self {
        ListenOptions {
            #[cfg(feature = "tls")]
            tls: None,
            insecure_bind: false,
            max_connections: 1024,
            max_per_address: 128,
            handshake: Duration::from_secs(5),
            first_frame: Duration::from_secs(30),
        }
    }
}

impl ListenOptions {
    /// The time for whoever comes from there; none for this machine, whose programs may sleep in the debugger.
    fn first_frame_from(&self, ip: Option<IpAddr>) -> Option<Duration> {
        ip.filter(|ip| !ip.to_canonical().is_loopback()).map(|_| self.first_frame)
    }
}

/// Where connections arrive.
#[derive(Debug)]
pub struct Listener {
    sockets: Vec<Socket>,
    endpoint: Endpoint,
    options: ListenOptions,
    gate: Gate,
    /// which of the sockets is asked first, so that none starves
    turn: usize,
    refused: u64,
    starved: u64,
}

#[derive(Debug)]
enum Socket {
    Tcp(TcpListener),
    #[cfg(unix)]
    Unix(super::unix::Socket),
    Local(local::Queue),
}

impl Listener {
    /// Listens. Port 0 takes a free port, which [`endpoint`](Listener::endpoint) then tells; `localhost` is 127.0.0.1 and
    /// ::1; an empty host, `::` and `0.0.0.0` are every interface.
    ///
    /// # Errors
    /// The address is taken or not this machine's; [`TransportError::Exposed`].
    pub async fn bind(endpoint: &Endpoint, options: ListenOptions) -> Result<Listener, TransportError> {
        let failed = TransportError::io(endpoint);
        let mut actual = endpoint.clone();
        let sockets = match &mut actual {
            Endpoint::Tcp { port, .. } => {
                let ips = tcp::listening(endpoint.host().unwrap_or_default()).await.map_err(&failed)?;
                let inside = ips.iter().all(|ip| ip.to_canonical().is_loopback());
                #[cfg(feature = "tls")]
                let secure = options.tls.is_some();
                #[cfg(not(feature = "tls"))]
                let secure = false;
                if !(inside || secure || options.insecure_bind) {
                    return Err(TransportError::Exposed { endpoint: endpoint.clone() });
                }
                let sockets = tcp::bind(&ips, *port).map_err(&failed)?;
                if let Some(first) = sockets.first() {
                    *port = first.local_addr().map_err(&failed)?.port();
                }
                sockets.into_iter().map(Socket::Tcp).collect()
            }
            #[cfg(unix)]
            Endpoint::Unix { path } => vec![Socket::Unix(super::unix::Socket::bind(path).map_err(&failed)?)],
            #[cfg(not(unix))]
            Endpoint::Unix { .. } => {
                let what = "this system has no Unix sockets";
                return Err(TransportError::Unsupported { endpoint: endpoint.clone(), what });
            }
            Endpoint::Local { name } => vec![Socket::Local(local::Queue::bind(name).map_err(&failed)?)],
        };
        let gate = Gate::default();
        Ok(Listener { sockets, endpoint: actual, options, gate, turn: 0, refused: 0, starved: 0 })
    }

    /// Where it listens: as asked, with the real port.
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// Connections there are.
    pub fn connections(&self) -> usize {
        self.gate.open()
    }

    /// Connections that were closed at once since there were too many, or since the peer was not allowed.
    pub fn refused(&self) -> u64 {
        self.refused
    }

    /// How often accepting failed for lack of file descriptors or memory.
    pub fn starved(&self) -> u64 {
        self.starved
    }

    /// Waits for the next connection.
    pub async fn accept(&mut self) -> Incoming {
        loop {
            match poll_fn(|cx| self.poll_accept(cx)).await {
                Ok((io, peer)) => {
                    let ListenOptions { max_connections, max_per_address, .. } = self.options;
                    if let Some(permit) = self.gate.enter(peer.ip, max_connections, max_per_address) {
                        let mut peer = peer;
                        peer.first_frame = self.options.first_frame_from(peer.ip);
                        return Incoming { io, peer, permit, options: self.options.clone() };
                    }
                    self.refused += 1;
                    tracing::warn!(%peer, "too many connections: one was refused");
                }
                // the peer was gone before it was accepted, or is not allowed
                Err(error) if is_of_the_peer(&error) => self.refused += 1,
                Err(error) => {
                    self.starved += 1;
                    tracing::warn!(endpoint = %self.endpoint, %error, "a connection could not be accepted");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
    }

    fn poll_accept(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<(Io, Peer)>> {
        self.turn = self.turn.wrapping_add(1);
        let count = self.sockets.len();
        for n in 0..count {
            let socket = &mut self.sockets[(self.turn.wrapping_add(n)) % count];
            if let Poll::Ready(result) = socket.poll_accept(cx) {
                return Poll::Ready(result);
            }
        }
        Poll::Pending
    }
}

/// Whether accepting failed by what the peer did.
fn is_of_the_peer(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionReset, InvalidInput, NotConnected, PermissionDenied};
    matches!(
        error.kind(),
        ConnectionAborted | ConnectionReset | InvalidInput | NotConnected | PermissionDenied
    )
}

impl Socket {
    fn poll_accept(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<(Io, Peer)>> {
        match self {
            Socket::Tcp(listener) => listener.poll_accept(cx).map(|accepted| {
                let (stream, address) = accepted?;
                tcp::prepare(&stream)?;
                let ip: IpAddr = address.ip().to_canonical();
                let peer = Peer { address: format!("tcp://{address}"), ip: Some(ip), ..Peer::default() };
                Ok((Io::Tcp(stream), peer))
            }),
            #[cfg(unix)]
            Socket::Unix(socket) => socket.listener().poll_accept(cx).map(|accepted| {
                let (stream, _) = accepted?;
                let uid = socket.identify(&stream)?;
                let peer = Peer {
                    address: format!("ipc://(uid {uid})"),
                    identities: vec![format!("uid:{uid}")],
                    ..Peer::default()
                };
                Ok((Io::Unix(stream), peer))
            }),
            Socket::Local(queue) => queue.poll_accept(cx).map(|stream| {
                Ok((Io::Local(stream), Peer { address: "local://(a container)".into(), ..Peer::default() }))
            }),
        }
    }
}

/// A connection that has arrived and is not yet established.
#[derive(Debug)]
#[must_use = "a connection does nothing until it is established"]
pub struct Incoming {
    io: Io,
    peer: Peer,
    permit: Permit,
    options: ListenOptions,
}

impl Incoming {
    /// Where it comes from; who it is is known after [`establish`](Incoming::establish).
    pub fn peer(&self) -> &Peer {
        &self.peer
    }

    /// Does what has to be done before the first byte of ours: the handshake of TLS.
    ///
    /// # Errors
    /// The peer fails it, or takes too long.
    pub async fn establish(self) -> Result<Stream, TransportError> {
        let Incoming { io, peer, permit, options } = self;
        #[cfg(not(feature = "tls"))]
        let _ = options;
        #[cfg(feature = "tls")]
        if let (Some(tls), Io::Tcp(_)) = (&options.tls, &io)
            && let Io::Tcp(stream) = io
        {
            let mut peer = peer;
            let (stream, identities) = tls.accept(&peer.address, stream, options.handshake).await?;
            peer.identities = identities;
            return Ok(Stream { io: Io::Tls(Box::new(stream)), peer, _permit: Some(permit) });
        }
        Ok(Stream { io, peer, _permit: Some(permit) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_comes_from_another_machine_must_say_something_soon() {
        let options = ListenOptions::default();
        let time = |ip: &str| options.first_frame_from(Some(ip.parse().unwrap()));
        assert_eq!(time("192.0.2.7"), Some(Duration::from_secs(30)));
        assert_eq!(time("2001:db8::7"), Some(Duration::from_secs(30)));
        assert_eq!((time("127.0.0.1"), time("::1"), time("::ffff:127.0.0.1")), (None, None, None));
        assert_eq!(options.first_frame_from(None), None);
    }

    /// Broken once: nothing was set where connections are accepted; one whose machine is switched off stays for ever then.
    #[tokio::test]
    async fn sockets_of_both_sides_send_at_once_and_notice_that_the_other_is_gone() {
        let address = "tcp://127.0.0.1:0".parse().unwrap();
        let mut listener = Listener::bind(&address, ListenOptions::default()).await.unwrap();
        let (there, options) = (listener.endpoint().clone(), super::super::ConnectOptions::default());
        let (near, far) = tokio::join!(super::super::connect(&there, &options), listener.accept());
        for stream in [near.unwrap(), far.establish().await.unwrap()] {
            let Io::Tcp(stream) = stream.io else { panic!("it is plain TCP") };
            let socket = socket2::SockRef::from(&stream);
            assert!(stream.nodelay().unwrap() && socket.keepalive().unwrap());
            #[cfg(target_os = "linux")]
            assert_eq!(socket.tcp_keepalive_time().unwrap(), Duration::from_secs(60));
        }
    }
}
