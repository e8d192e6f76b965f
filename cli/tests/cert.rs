//! `isochrone cert` makes certificates that work.

use std::path::Path;
use std::process::{Command, Output};

use isochrone::channel::transport::{ConnectOptions, ListenOptions, Listener, Tls, TlsFloor, connect};

fn isochrone(dir: &Path, args: &str) -> Output {
    let args = args.split(' ');
    Command::new(env!("CARGO_BIN_EXE_isochrone")).args(args).current_dir(dir).output().unwrap()
}

fn done(dir: &Path, args: &str) {
    let output = isochrone(dir, args);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[tokio::test]
async fn programs_with_certificates_of_one_authority_meet() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name);
    done(dir.path(), "cert ca");
    done(dir.path(), "cert issue localhost 127.0.0.1");
    done(dir.path(), "cert issue house agent://grid/7 --out house.pem --key house.key");
    let tls = |name: &str| {
        let files = ["ca.pem".into(), format!("{name}.pem"), format!("{name}.key")].map(|name| path(&name));
        Tls::from_files(&files[0], &files[1], &files[2], TlsFloor::V1_2).unwrap()
    };
    let mut options = ListenOptions::default();
    options.tls = Some(tls("localhost"));
    let mut listener = Listener::bind(&"tcp://localhost:0".parse().unwrap(), options).await.unwrap();
    let mut options = ConnectOptions::default();
    options.tls = Some(tls("house"));
    let to = listener.endpoint().clone();
    let far = async { listener.accept().await.establish().await };
    let (near, far) = tokio::join!(connect(&to, &options), far);
    assert_eq!(near.unwrap().peer().identities, ["dns:localhost", "ip:127.0.0.1", "cn:localhost"]);
    assert_eq!(far.unwrap().peer().identities, ["dns:house", "uri:agent://grid/7", "cn:house"]);
    #[cfg(unix)]
    for key in ["ca.key", "localhost.key"] {
        use std::os::unix::fs::PermissionsExt;
        assert_eq!(std::fs::metadata(path(key)).unwrap().permissions().mode() & 0o777, 0o600);
    }
}

#[test]
fn nothing_is_overwritten_and_mistakes_are_named() {
    let dir = tempfile::tempdir().unwrap();
    done(dir.path(), "cert ca");
    let before = std::fs::read(dir.path().join("ca.key")).unwrap();
    let refused = |args: &str, says: &str| {
        let output = isochrone(dir.path(), args);
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && text.contains(says), "{text}");
    };
    refused("cert ca", "ca.key exists, and nothing is overwritten: remove it");
    done(dir.path(), "cert issue house");
    refused("cert issue house", "house.key exists");
    std::fs::remove_file(dir.path().join("house.key")).unwrap();
    refused("cert issue house", "house.pem exists");
    assert!(!dir.path().join("house.key").exists(), "a key without its certificate");
    done(dir.path(), "cert issue house --out other.pem --key other.key");
    assert_eq!(std::fs::read(dir.path().join("ca.key")).unwrap(), before);
    refused("cert issue localhost --ca none.pem", "none.pem");
    refused("cert issue agent://grid/7", "--out");
    refused("cert issue localhost --ca ca.key", "ca.key");
}
