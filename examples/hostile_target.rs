//! A server with one method, to be attacked: what arrives must neither panic, hang nor cost more than the limits.
//!
//! ```text
//!   tests/peers/hostile/run.py ── 64 kinds of hostile frames ──>  this  <── good clients, whose results must be right
//! ```
//!
//! `cargo run --release --example hostile_target -- --codec json --listen 127.0.0.1:5560`, then
//! `tests/peers/hostile/run.py json 127.0.0.1 5560` ends with `0 failed`.

use std::process::ExitCode;
use std::time::Duration;

use isochrone::codec::Codec;
use isochrone::rpc::{Server, Service};

struct Target;

#[isochrone::service]
impl Target {
    #[expose]
    fn ping(&self) -> String {
        "pong".into()
    }

    #[expose]
    fn add(&self, a: i64, b: i64) -> i64 {
        a + b
    }
}

const USAGE: &str = "usage: hostile_target --codec json|msgpack|blosc --listen HOST:PORT";

/// Codec and address.
fn options() -> Option<(Codec, String)> {
    let (mut codec, mut listen) = (Codec::Json, None);
    let mut args = std::env::args().skip(1);
    while let Some(option) = args.next() {
        match (option.as_str(), args.next()?) {
            ("--codec", name) => {
                codec = match name.as_str() {
                    "json" => Codec::Json,
                    "msgpack" => Codec::MsgPack,
                    "blosc" => Codec::MsgPackBlosc,
                    _ => return None,
                };
            }
            ("--listen", address) => listen = Some(address),
            _ => return None,
        }
    }
    Some((codec, listen?))
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let Some((codec, listen)) = options() else {
        eprintln!("{USAGE}");
        return ExitCode::from(2);
    };
    let mut server = match Server::bind(&listen).await {
        Ok(server) => server,
        Err(error) => {
            eprintln!("error: {error}");
            return ExitCode::FAILURE;
        }
    };
    server.config.codec = codec;
    server.config.frame_time = Duration::from_secs(2);
    println!("listening on {}", server.endpoint());
    server.serve(Service::of(Target)).await;
    ExitCode::SUCCESS
}
