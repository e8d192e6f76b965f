//! Connecting: one attempt, or attempts with growing waits in between.
//!
//! Why full jitter: when a server of 200 clients comes back, they must not come back in step. Each wait is drawn between
//! nothing and a bound that doubles, so the clients spread over it.
//!
//! Failure modes: what cannot get better by waiting (certificates, what this build lacks) fails at once; the rest after
//! the time that was allowed, with what the last attempt said.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::io;
use std::time::Duration;

use tokio::time::Instant;

use super::{Endpoint, Io, Peer, Stream, TransportError, local, tcp};

/// How to connect.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ConnectOptions {
    /// Certificates, to connect to TCP addresses with TLS.
    #[cfg(feature = "tls")]
    pub tls: Option<super::Tls>,
    /// How long one attempt may take, the handshake of TLS included (10 s).
    pub attempt: Duration,
}

impl Default for ConnectOptions {
    fn default() -> Self {
        ConnectOptions {
            #[cfg(feature = "tls")]
            tls: None,
            attempt: Duration::from_secs(10),
        }
    }
}

/// Connects; one attempt.
///
/// # Errors
/// See [`TransportError`].
pub async fn connect(endpoint: &Endpoint, options: &ConnectOptions) -> Result<Stream, TransportError> {
    match tokio::time::timeout(options.attempt, establish(endpoint, options)).await {
        Ok(result) => result,
        Err(_) => {
            Err(TransportError::Io { endpoint: endpoint.clone(), error: io::ErrorKind::TimedOut.into() })
        }
    }
}

/// Connects, and tries again for as long as `patience` lasts.
///
/// # Errors
/// As [`connect`], and [`TransportError::Unreachable`] when the time is over.
pub async fn connect_within(
    endpoint: &Endpoint,
    options: &ConnectOptions,
    patience: Duration,
) -> Result<Stream, TransportError> {
    if patience.is_zero() {
        return connect(endpoint, options).await;
    }
    let start = Instant::now();
    let mut backoff = Backoff::default();
    loop {
        let left = patience.saturating_sub(start.elapsed());
        let options = ConnectOptions { attempt: options.attempt.min(left), ..options.clone() };
        let error = match connect(endpoint, &options).await {
            Err(error) if error.may_pass() => error,
            result => return result,
        };
        let (passed, wait) = (start.elapsed(), backoff.next_wait());
        if passed + wait >= patience {
            let last = match &error {
                TransportError::Io { error, .. } => error.to_string(),
                other => other.to_string(),
            };
            // a timeout is waited for to its end, since somebody may just be starting
            tokio::time::sleep(patience.saturating_sub(passed)).await;
            return match connect(endpoint, &options).await {
                Err(error) if error.may_pass() => {
                    Err(TransportError::Unreachable { endpoint: endpoint.clone(), waited: patience, last })
                }
                result => result,
            };
        }
        tokio::time::sleep(wait).await;
    }
}

async fn establish(endpoint: &Endpoint, options: &ConnectOptions) -> Result<Stream, TransportError> {
    #[cfg(not(feature = "tls"))]
    let _ = options;
    let failed = TransportError::io(endpoint);
    let mut peer = Peer { address: endpoint.to_string(), ..Peer::default() };
    let io = match endpoint {
        Endpoint::Tcp { port, .. } => {
            let host = endpoint.host().unwrap_or_default();
            let stream = tcp::connect(host, *port).await.map_err(&failed)?;
            peer.ip = stream.peer_addr().ok().map(|address| address.ip().to_canonical());
            #[cfg(feature = "tls")]
            if let Some(tls) = &options.tls {
                let (stream, identities) = tls.connect(endpoint, stream).await?;
                peer.identities = identities;
                return Ok(Stream { io: Io::Tls(Box::new(stream)), peer, _permit: None });
            }
            Io::Tcp(stream)
        }
        #[cfg(unix)]
        Endpoint::Unix { path } => {
            let stream = tokio::net::UnixStream::connect(path).await.map_err(&failed)?;
            if let Ok(credentials) = stream.peer_cred() {
                peer.identities.push(format!("uid:{}", credentials.uid()));
            }
            Io::Unix(stream)
        }
        #[cfg(not(unix))]
        Endpoint::Unix { .. } => {
            let what = "this system has no Unix sockets";
            return Err(TransportError::Unsupported { endpoint: endpoint.clone(), what });
        }
        Endpoint::Local { name } => Io::Local(local::connect(name).map_err(&failed)?),
    };
    Ok(Stream { io, peer, _permit: None })
}

/// Waits between attempts: drawn between nothing and a bound that doubles from 100 ms to 30 s.
#[derive(Clone, Debug, Default)]
pub struct Backoff {
    failures: u32,
}

impl Backoff {
    const FIRST: Duration = Duration::from_millis(100);
    const MOST: Duration = Duration::from_secs(30);

    /// How long to wait after one more failure.
    pub fn next_wait(&mut self) -> Duration {
        let bound =
            Self::FIRST.saturating_mul(1u32.checked_shl(self.failures).unwrap_or(u32::MAX)).min(Self::MOST);
        self.failures = (self.failures + 1).min(31);
        bound.mul_f64(chance())
    }

    /// It went well: the next failure waits as short as the first.
    pub fn reset(&mut self) {
        self.failures = 0;
    }
}

/// A number in 0..1 that differs from process to process, which is what jitter is about. Nothing simulated sees it.
fn chance() -> f64 {
    let bits = RandomState::new().build_hasher().finish() >> 11;
    bits as f64 / (1u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_spread_below_a_bound_that_doubles() {
        let mut sums = [0.0; 12];
        for _ in 0..500 {
            let mut backoff = Backoff::default();
            for (at, sum) in sums.iter_mut().enumerate() {
                let bound = (0.1 * 2f64.powi(at as i32)).min(30.0);
                let wait = backoff.next_wait().as_secs_f64();
                assert!(wait <= bound);
                *sum += wait / bound;
            }
        }
        for sum in sums {
            let mean = sum / 500.0;
            assert!((0.4..0.6).contains(&mean), "jitter is full: {mean}");
        }
    }
}
