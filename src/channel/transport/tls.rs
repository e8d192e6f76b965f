//! TLS with certificates on both sides.
//!
//! Why both: an agent system has no users who type passwords, only programs that know each other. One authority signs a
//! certificate for each program, and who has none is nobody here. 1.3 and 1.2 are offered and the peer decides (aiomas
//! knows 1.2 only); [`TlsFloor`] forbids 1.2.
//!
//! Contract: a stream from here has a peer whose certificate the authority has signed, and whose server's name was
//! checked by the client.
//!
//! Failure modes: certificates that cannot work are refused when they are loaded, with the remedy; a peer's are
//! refused at its handshake, which ends that connection only.

use std::fmt;
use std::io;
use std::path::Path;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::WebPkiClientVerifier;
use rustls::{CertificateError, ClientConfig, RootCertStore, ServerConfig, SupportedProtocolVersion};
use tokio::net::TcpStream;
use tokio_rustls::{TlsAcceptor, TlsConnector, TlsStream};

use super::certificate::Names;
use super::{Endpoint, TransportError};

const REMEDY: &str = "make it anew: isochrone cert issue NAME --ca ca.pem --ca-key ca.key, where NAME is the host that peers write in its address";

/// The oldest version of TLS that is spoken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TlsFloor {
    /// TLS 1.2, which is all that aiomas knows.
    #[default]
    V1_2,
    /// TLS 1.3.
    V1_3,
}

impl FromStr for TlsFloor {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "1.2" => Ok(TlsFloor::V1_2),
            "1.3" => Ok(TlsFloor::V1_3),
            _ => Err(format!("{text:?} is no version of TLS that is spoken: write 1.2 or 1.3")),
        }
    }
}

impl TlsFloor {
    fn versions(self) -> &'static [&'static SupportedProtocolVersion] {
        static BOTH: [&SupportedProtocolVersion; 2] = [&rustls::version::TLS13, &rustls::version::TLS12];
        match self {
            TlsFloor::V1_2 => &BOTH,
            TlsFloor::V1_3 => &BOTH[..1],
        }
    }
}

/// Certificates: that of the authority which signed those of all peers, and one's own with its key.
#[derive(Clone)]
pub struct Tls {
    client: Arc<ClientConfig>,
    server: Arc<ServerConfig>,
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tls")
    }
}

impl Tls {
    /// Reads three files in PEM: the authority's certificate, one's own (with intermediate ones after it), its key.
    ///
    /// # Errors
    /// [`TransportError::Certificate`], which says what to do.
    pub fn from_files(
        authority: impl AsRef<Path>,
        certificate: impl AsRef<Path>,
        key: impl AsRef<Path>,
        floor: TlsFloor,
    ) -> Result<Tls, TransportError> {
        let read = |path: &Path| {
            let what = path.display().to_string();
            match std::fs::read(path) {
                Ok(content) => Ok((what, content)),
                Err(error) => Err(TransportError::Certificate { what, message: error.to_string() }),
            }
        };
        let files = (read(authority.as_ref())?, read(certificate.as_ref())?, read(key.as_ref())?);
        Tls::new([&files.0, &files.1, &files.2].map(|(what, pem)| (what.as_str(), pem.as_slice())), floor)
    }

    /// As [`from_files`](Tls::from_files), with the names in one text, as command lines have it: `ca.pem,own.pem,own.key`.
    ///
    /// # Errors
    /// The same.
    pub fn from_list(files: &str, floor: TlsFloor) -> Result<Tls, TransportError> {
        match files.split(',').collect::<Vec<_>>()[..] {
            [authority, certificate, key] => Tls::from_files(authority, certificate, key, floor),
            _ => Err(refuse(
                files,
                "write three files: the authority's certificate, the own one, its key".into(),
            )),
        }
    }

    /// As [`from_files`](Tls::from_files), with the files' contents.
    ///
    /// # Errors
    /// The same.
    pub fn from_pem(
        authority: &[u8],
        certificate: &[u8],
        key: &[u8],
        floor: TlsFloor,
    ) -> Result<Tls, TransportError> {
        Tls::new([("the authority", authority), ("the certificate", certificate), ("the key", key)], floor)
    }

    fn new(pem: [(&str, &[u8]); 3], floor: TlsFloor) -> Result<Tls, TransportError> {
        let [authority, certificate, key] = pem;
        let mut roots = RootCertStore::empty();
        for root in certificates(authority)? {
            roots.add(root).map_err(|error| refuse(authority.0, explain(&error)))?;
        }
        let roots = Arc::new(roots);
        let chain = certificates(certificate)?;
        if let Some(own) = chain.first()
            && Names::of(own).alternative.is_empty()
        {
            return Err(refuse(certificate.0, format!("the certificate has no subjectAltName; {REMEDY}")));
        }
        let own_key = PrivateKeyDer::from_pem_slice(key.1)
            .map_err(|error| refuse(key.0, no_pem(&error, "private key")))?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let unusable = |error: rustls::Error| refuse(certificate.0, explain(&error));
        let client = ClientConfig::builder_with_provider(provider.clone())
            .with_protocol_versions(floor.versions())
            .map_err(unusable)?
            .with_root_certificates(roots.clone())
            .with_client_auth_cert(chain.clone(), own_key.clone_key())
            .map_err(unusable)?;
        let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider.clone())
            .build()
            .map_err(|error| refuse(authority.0, error.to_string()))?;
        let server = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(floor.versions())
            .map_err(unusable)?
            .with_client_cert_verifier(verifier)
            .with_single_cert(chain, own_key)
            .map_err(unusable)?;
        Ok(Tls { client: Arc::new(client), server: Arc::new(server) })
    }

    /// The handshake of a client.
    pub(super) async fn connect(
        &self,
        endpoint: &Endpoint,
        stream: TcpStream,
    ) -> Result<(TlsStream<TcpStream>, Vec<String>), TransportError> {
        let failed = |message| TransportError::Tls { peer: endpoint.to_string(), message };
        let name = ServerName::try_from(endpoint.host().unwrap_or_default().to_owned())
            .map_err(|_| failed("its host is neither a name nor a number".into()))?;
        let stream = TlsConnector::from(self.client.clone())
            .connect(name, stream)
            .await
            .map_err(|error| failed(explain_io(&error)))?;
        let identities = identities(stream.get_ref().1.peer_certificates());
        Ok((TlsStream::Client(stream), identities))
    }

    /// The handshake of a server.
    pub(super) async fn accept(
        &self,
        peer: &str,
        stream: TcpStream,
        limit: Duration,
    ) -> Result<(TlsStream<TcpStream>, Vec<String>), TransportError> {
        let failed = |message| TransportError::Tls { peer: peer.into(), message };
        let handshake = TlsAcceptor::from(self.server.clone()).accept(stream);
        let stream = tokio::time::timeout(limit, handshake)
            .await
            .map_err(|_| failed(format!("no handshake within {}", isochrone_sim::display_span(limit))))?
            .map_err(|error| failed(explain_io(&error)))?;
        let identities = identities(stream.get_ref().1.peer_certificates());
        Ok((TlsStream::Server(stream), identities))
    }
}

fn identities(chain: Option<&[CertificateDer<'_>]>) -> Vec<String> {
    chain.and_then(<[_]>::first).map(|own| Names::of(own).into_identities()).unwrap_or_default()
}

fn certificates((what, pem): (&str, &[u8])) -> Result<Vec<CertificateDer<'static>>, TransportError> {
    let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    let found = read.map_err(|error| refuse(what, no_pem(&error, "certificate")))?;
    if found.is_empty() {
        return Err(refuse(what, "it holds no certificate in PEM (-----BEGIN CERTIFICATE-----)".into()));
    }
    Ok(found)
}

fn refuse(what: &str, message: String) -> TransportError {
    TransportError::Certificate { what: what.into(), message }
}

fn no_pem(error: &pem::Error, kind: &str) -> String {
    match error {
        pem::Error::NoItemsFound => format!("it holds no {kind} in PEM"),
        error => error.to_string(),
    }
}

fn explain_io(error: &io::Error) -> String {
    match error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
        Some(inner) => explain(inner),
        None if error.kind() == io::ErrorKind::UnexpectedEof => {
            "the peer ended the handshake: it may not take our certificate, or not speak TLS".into()
        }
        None => error.to_string(),
    }
}

/// What rustls says, with what to do about it.
fn explain(error: &rustls::Error) -> String {
    match error {
        rustls::Error::InvalidCertificate(CertificateError::NotValidForNameContext { presented, .. })
            if presented.is_empty() =>
        {
            format!("the certificate has no subjectAltName; {REMEDY}")
        }
        rustls::Error::InvalidCertificate(CertificateError::NotValidForNameContext {
            expected,
            presented,
        }) => {
            format!(
                "the certificate is for {}, not for {}: write the address with that name, or {REMEDY}",
                presented.join(", "),
                expected.to_str()
            )
        }
        // authorities of the same name differ by their key alone
        rustls::Error::InvalidCertificate(
            CertificateError::UnknownIssuer | CertificateError::BadSignature,
        ) => {
            "the certificate is not signed by our authority: all programs need certificates of one authority"
                .into()
        }
        rustls::Error::InvalidCertificate(error)
            if format!("{error:?}").contains("UnsupportedCertVersion") =>
        {
            format!("the certificate is of version 1; {REMEDY}")
        }
        rustls::Error::NoCertificatesPresented => "the peer has no certificate".into(),
        error => error.to_string(),
    }
}
