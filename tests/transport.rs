//! What listening and connecting promise, on each transport.

use std::io::{ErrorKind, Read, Write};
use std::time::{Duration, Instant};

use isochrone::channel::Endpoint;
use isochrone::channel::transport::{
    ConnectOptions, ListenOptions, Listener, Stream, TransportError, connect, connect_within,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

fn endpoint(text: &str) -> Endpoint {
    text.parse().unwrap()
}

async fn listen(text: &str) -> Listener {
    Listener::bind(&endpoint(text), ListenOptions::default()).await.unwrap()
}

/// Both ends of a new connection.
async fn pair(listener: &mut Listener) -> (Stream, Stream) {
    let to = listener.endpoint().clone();
    let options = ConnectOptions::default();
    let (near, far) = tokio::join!(connect(&to, &options), listener.accept());
    (near.unwrap(), far.establish().await.unwrap())
}

async fn say_both_ways(listener: &mut Listener) {
    let (mut near, mut far) = pair(listener).await;
    for _ in 0..2 {
        near.write_all(b"hello").await.unwrap();
        let mut read = [0; 5];
        far.read_exact(&mut read).await.unwrap();
        assert_eq!(&read, b"hello");
        (near, far) = (far, near);
    }
    drop(near);
    assert_eq!(far.read(&mut [0]).await.unwrap(), 0, "the end of one is seen by the other");
}

#[tokio::test]
async fn bytes_go_both_ways_on_every_transport() {
    let dir = tempfile::tempdir().unwrap();
    let socket = format!("ipc://[{}/a.sock]", dir.path().display());
    for text in ["tcp://127.0.0.1:0", "tcp://localhost:0", "tcp://[::1]:0", "local://both_ways", &socket] {
        say_both_ways(&mut listen(text).await).await;
    }
}

#[tokio::test]
async fn port_0_becomes_the_real_port() {
    let listener = listen("tcp://127.0.0.1:0").await;
    let Endpoint::Tcp { host, port } = listener.endpoint() else { panic!() };
    assert_eq!(host, "127.0.0.1");
    assert_ne!(*port, 0);
    let taken = Listener::bind(listener.endpoint(), ListenOptions::default()).await.unwrap_err();
    let TransportError::Io { error, .. } = taken else { panic!("{taken}") };
    assert_eq!(error.kind(), ErrorKind::AddrInUse);
}

#[tokio::test]
async fn localhost_listens_on_both_families_on_one_port() {
    let mut listener = listen("tcp://localhost:0").await;
    let Endpoint::Tcp { host, port } = listener.endpoint().clone() else { panic!() };
    assert_eq!(host, "localhost", "the host is announced as written");
    for ip in ["127.0.0.1", "::1"] {
        let stream = std::net::TcpStream::connect((ip, port)).unwrap();
        let incoming = listener.accept().await;
        assert_eq!(incoming.peer().ip, Some(stream.local_addr().unwrap().ip()));
    }
}

#[tokio::test]
async fn plain_tcp_listens_on_this_machine_only_unless_told_otherwise() {
    for text in ["tcp://0.0.0.0:0", "tcp://[::]:0", "tcp://:0"] {
        let refused = Listener::bind(&endpoint(text), ListenOptions::default()).await.unwrap_err();
        assert!(matches!(refused, TransportError::Exposed { .. }), "{refused}");
        assert!(refused.to_string().contains("--insecure-bind"), "{refused}");
        let mut options = ListenOptions::default();
        options.insecure_bind = true;
        let listener = Listener::bind(&endpoint(text), options).await.unwrap();
        let Endpoint::Tcp { port, .. } = listener.endpoint() else { panic!() };
        std::net::TcpStream::connect(("127.0.0.1", *port)).unwrap();
    }
}

#[cfg(unix)]
#[tokio::test]
async fn a_unix_socket_is_its_owners_alone_and_goes_with_its_listener() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.sock");
    let text = format!("ipc://[{}]", path.display());
    let mut listener = listen(&text).await;
    let mode = std::fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let (near, far) = pair(&mut listener).await;
    assert!(far.peer().identities[0].starts_with("uid:"), "{:?}", far.peer());
    assert_eq!(near.peer().identities, far.peer().identities, "this test is both");
    drop(listener);
    assert!(!path.exists());
}

#[cfg(unix)]
#[tokio::test]
async fn a_socket_file_that_was_left_behind_is_replaced_and_one_in_use_is_not() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.sock");
    let text = format!("ipc://[{}]", path.display());
    // std leaves the file when it is done, as a killed program does
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    assert!(path.exists());
    let mut listener = listen(&text).await;
    say_both_ways(&mut listener).await;
    let taken = Listener::bind(&endpoint(&text), ListenOptions::default()).await.unwrap_err();
    assert!(taken.to_string().contains("another program listens there"), "{taken}");
    // what was asked whether it listens sees a connection that ends at once
    let _asked = listener.accept().await;
    say_both_ways(&mut listener).await;

    let file = dir.path().join("notes.txt");
    std::fs::write(&file, "precious").unwrap();
    let text = format!("ipc://[{}]", file.display());
    let refused = Listener::bind(&endpoint(&text), ListenOptions::default()).await.unwrap_err();
    assert!(refused.to_string().contains("no socket"), "{refused}");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "precious");
}

#[tokio::test]
async fn a_local_name_has_one_listener_and_is_free_after_it() {
    let first = listen("local://one").await;
    let taken = Listener::bind(&endpoint("local://one"), ListenOptions::default()).await.unwrap_err();
    assert!(taken.to_string().contains("this name"), "{taken}");
    drop(first);
    let refused = connect(&endpoint("local://one"), &ConnectOptions::default()).await.unwrap_err();
    let TransportError::Io { error, .. } = refused else { panic!("{refused}") };
    assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
    say_both_ways(&mut listen("local://one").await).await;
}

#[tokio::test]
async fn one_address_cannot_take_all_connections() {
    let mut options = ListenOptions::default();
    options.max_per_address = 2;
    let mut listener = Listener::bind(&endpoint("tcp://127.0.0.1:0"), options).await.unwrap();
    let Endpoint::Tcp { port, .. } = *listener.endpoint() else { panic!() };
    let dial = || std::net::TcpStream::connect(("127.0.0.1", port)).unwrap();
    let (_one, _two, mut three) = (dial(), dial(), dial());
    let first = listener.accept().await;
    let _second = listener.accept().await;
    // the third is closed while the listener waits for a fourth
    let waiting = tokio::time::timeout(Duration::from_millis(200), listener.accept()).await;
    assert!(waiting.is_err());
    assert_eq!((listener.connections(), listener.refused()), (2, 1));
    three.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    let _ = three.write_all(b"x");
    let end = three.read(&mut [0]);
    assert!(matches!(end, Ok(0)) || end.is_err_and(|e| e.kind() == ErrorKind::ConnectionReset));
    // whoever ends makes room
    drop(first);
    let mut fourth = dial();
    let mut stream = listener.accept().await.establish().await.unwrap();
    stream.write_all(b"y").await.unwrap();
    fourth.read_exact(&mut [0]).unwrap();
}

#[cfg(target_os = "linux")]
#[test]
fn a_lack_of_file_descriptors_does_not_end_the_listener() {
    // in a process of its own: the limit is the process's
    if std::env::var_os("FEW_FILES").is_none() {
        let me = std::env::current_exe().unwrap();
        let name = "a_lack_of_file_descriptors_does_not_end_the_listener";
        let limited = format!("ulimit -n 64; exec '{}' {name} --exact --nocapture", me.display());
        let output =
            std::process::Command::new("sh").args(["-c", &limited]).env("FEW_FILES", "1").output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        return;
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let mut listener = listen("tcp://127.0.0.1:0").await;
        let Endpoint::Tcp { port, .. } = *listener.endpoint() else { panic!() };
        let waiting = std::net::TcpStream::connect(("127.0.0.1", port)).unwrap();
        let mut files = Vec::new();
        while let Ok(file) = std::fs::File::open("/dev/null") {
            files.push(file);
        }
        let starved = tokio::time::timeout(Duration::from_millis(250), listener.accept()).await;
        assert!(starved.is_err());
        assert!((1..=3).contains(&listener.starved()), "it waits in between: {}", listener.starved());
        drop(files);
        let incoming = tokio::time::timeout(Duration::from_secs(5), listener.accept()).await.unwrap();
        assert_eq!(incoming.peer().address, format!("tcp://{}", waiting.local_addr().unwrap()));
    });
}

#[tokio::test]
async fn connecting_waits_for_a_listener_that_comes_late() {
    let place = listen("tcp://127.0.0.1:0").await.endpoint().clone();
    let late = async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        let mut listener = Listener::bind(&place, ListenOptions::default()).await.unwrap();
        listener.accept().await.establish().await.unwrap()
    };
    let options = ConnectOptions::default();
    let (stream, _) = tokio::join!(connect_within(&place, &options, Duration::from_secs(10)), late);
    stream.unwrap();
}

#[tokio::test]
async fn connecting_to_nobody_fails_at_once_or_when_its_time_is_over_and_says_where() {
    let place = listen("tcp://127.0.0.1:0").await.endpoint().clone();
    let (options, start) = (ConnectOptions::default(), Instant::now());
    let error = connect_within(&place, &options, Duration::ZERO).await.unwrap_err();
    assert!(start.elapsed() < Duration::from_millis(200));
    assert!(error.to_string().contains(&place.to_string()), "{error}");
    let error = connect_within(&place, &options, Duration::from_millis(300)).await.unwrap_err();
    assert!((300..900).contains(&start.elapsed().as_millis()), "{:?}", start.elapsed());
    let text = error.to_string();
    assert!(text.contains("not reached within 300ms") && text.contains("refused"), "{text}");
    let dir = tempfile::tempdir().unwrap();
    let socket = endpoint(&format!("ipc://[{}/none.sock]", dir.path().display()));
    let error = connect(&socket, &options).await.unwrap_err();
    assert!(error.to_string().contains("none.sock"), "{error}");
}
