//! What encrypted connections promise.
#![cfg(feature = "tls")]

use std::time::Duration;

use authority::Authority;
use isochrone::channel::Endpoint;
use isochrone::channel::transport::{
    ConnectOptions, ListenOptions, Listener, Stream, Tls, TlsFloor, TransportError, connect,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

#[path = "support/authority.rs"]
#[allow(dead_code, reason = "each test uses its part")]
mod authority;

fn certified(authority: &Authority, names: &[&str], common: &str, floor: TlsFloor) -> Tls {
    let (certificate, key) = authority.issue(names, common);
    Tls::from_pem(authority.pem.as_bytes(), certificate.as_bytes(), key.as_bytes(), floor).unwrap()
}

async fn listen(tls: Tls) -> Listener {
    let mut options = ListenOptions::default();
    options.tls = Some(tls);
    options.handshake = Duration::from_millis(500);
    Listener::bind(&"tcp://localhost:0".parse().unwrap(), options).await.unwrap()
}

async fn meet(
    listener: &mut Listener,
    client: Tls,
) -> (Result<Stream, TransportError>, Result<Stream, TransportError>) {
    let to = listener.endpoint().clone();
    let mut options = ConnectOptions::default();
    options.tls = Some(client);
    let far = async { listener.accept().await.establish().await };
    tokio::join!(connect(&to, &options), far)
}

#[tokio::test]
async fn both_sides_know_who_the_other_is() {
    let authority = Authority::new();
    let mut listener =
        listen(certified(&authority, &["localhost", "127.0.0.1"], "grid", TlsFloor::V1_2)).await;
    let (near, far) =
        meet(&mut listener, certified(&authority, &["house.example.org"], "house", TlsFloor::V1_2)).await;
    let (mut near, mut far) = (near.unwrap(), far.unwrap());
    assert_eq!(near.peer().identities, ["dns:localhost", "ip:127.0.0.1", "cn:grid"]);
    assert_eq!(far.peer().identities, ["dns:house.example.org", "cn:house"]);
    near.write_all(b"secret").await.unwrap();
    near.flush().await.unwrap();
    let mut read = [0; 6];
    far.read_exact(&mut read).await.unwrap();
    assert_eq!(&read, b"secret");
}

#[tokio::test]
async fn a_peer_without_a_certificate_of_our_authority_is_nobody() {
    let (authority, other) = (Authority::new(), Authority::new());
    let mut listener = listen(certified(&authority, &["localhost"], "grid", TlsFloor::V1_2)).await;
    let (near, far) = meet(&mut listener, certified(&other, &["localhost"], "house", TlsFloor::V1_2)).await;
    assert!(far.is_err());
    let error = near.unwrap_err().to_string();
    assert!(error.contains("not signed by our authority"), "{error}");
    // it accepts the next one
    let (near, far) =
        meet(&mut listener, certified(&authority, &["localhost"], "house", TlsFloor::V1_3)).await;
    near.unwrap();
    far.unwrap();
}

#[tokio::test]
async fn a_server_of_another_name_is_refused_with_both_names() {
    let authority = Authority::new();
    let mut listener = listen(certified(&authority, &["grid.example.org"], "grid", TlsFloor::V1_2)).await;
    let (near, _) = meet(&mut listener, certified(&authority, &["house"], "house", TlsFloor::V1_2)).await;
    let error = near.unwrap_err().to_string();
    assert!(error.contains("grid.example.org") && error.contains("localhost"), "{error}");
}

#[tokio::test]
async fn a_certificate_without_alternative_names_is_refused_with_the_remedy() {
    let authority = Authority::new();
    let (certificate, key) = authority.issue(&[], "localhost");
    let error =
        Tls::from_pem(authority.pem.as_bytes(), certificate.as_bytes(), key.as_bytes(), TlsFloor::V1_2);
    let error = error.unwrap_err().to_string();
    assert!(error.contains("no subjectAltName") && error.contains("isochrone cert issue"), "{error}");
}

#[tokio::test]
async fn the_floor_keeps_old_peers_out_and_else_the_peer_decides() {
    let authority = Authority::new();
    let tls = |floor| certified(&authority, &["localhost"], "x", floor);
    let mut listener = listen(tls(TlsFloor::V1_3)).await;
    let Endpoint::Tcp { port, .. } = *listener.endpoint() else { panic!() };
    // a client that knows 1.2 only, as aiomas does
    let (certificate, key) = authority.issue(&["old"], "old");
    for (floor, expected) in [(TlsFloor::V1_3, false), (TlsFloor::V1_2, true)] {
        if floor == TlsFloor::V1_2 {
            listener = listen(tls(floor)).await;
        }
        let Endpoint::Tcp { port: open, .. } = *listener.endpoint() else { panic!() };
        let port = if floor == TlsFloor::V1_2 { open } else { port };
        let old = old_client(&authority.pem, &certificate, &key, port);
        let far = async { listener.accept().await.establish().await };
        let (near, far) = tokio::join!(old, far);
        assert_eq!((near, far.is_ok()), (expected, expected), "{floor:?}");
    }
}

/// Whether a client that speaks only TLS 1.2 gets in.
async fn old_client(authority: &str, certificate: &str, key: &str, port: u16) -> bool {
    use rustls::pki_types::pem::PemObject;
    use rustls::pki_types::{CertificateDer, PrivateKeyDer};
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(authority.as_bytes()).unwrap()).unwrap();
    let config = rustls::ClientConfig::builder_with_provider(rustls::crypto::ring::default_provider().into())
        .with_protocol_versions(&[&rustls::version::TLS12])
        .unwrap()
        .with_root_certificates(roots)
        .with_client_auth_cert(
            vec![CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap()],
            PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap(),
        )
        .unwrap();
    let stream = tokio::net::TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    let connector = tokio_rustls::TlsConnector::from(std::sync::Arc::new(config));
    connector.connect("localhost".try_into().unwrap(), stream).await.is_ok()
}

#[tokio::test]
async fn a_handshake_that_never_comes_ends_alone() {
    let authority = Authority::new();
    let mut listener = listen(certified(&authority, &["localhost"], "grid", TlsFloor::V1_2)).await;
    let Endpoint::Tcp { port, .. } = *listener.endpoint() else { panic!() };
    let _silent = tokio::net::TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    let silent = listener.accept().await;
    let client = certified(&authority, &["house"], "house", TlsFloor::V1_2);
    let (silent, good) = tokio::join!(silent.establish(), meet(&mut listener, client));
    assert!(silent.unwrap_err().to_string().contains("no handshake within 500ms"));
    good.0.unwrap();
    good.1.unwrap();
}
