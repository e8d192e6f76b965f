//! tarpc with bincode, as a server and as a client of the bench `ratios`.
//!
//! ```text
//! peers server                    prints the address it listens on
//! peers client ADDR DEPTH COUNT   so many calls of `add`, DEPTH in flight on one connection; prints ns per call
//! ```

use std::future::Future;
use std::time::Instant;

use futures::StreamExt;
use tarpc::server::{BaseChannel, Channel};
use tarpc::tokio_serde::formats::Bincode;
use tarpc::tokio_util::codec::LengthDelimitedCodec;
use tarpc::{client, context, serde_transport};
use tokio::net::{TcpListener, TcpStream};

#[tarpc::service]
trait Calc {
    async fn add(a: i64, b: i64) -> i64;
}

#[derive(Clone)]
struct Server;

impl Calc for Server {
    async fn add(self, _: context::Context, a: i64, b: i64) -> i64 {
        a + b
    }
}

async fn spawn(task: impl Future<Output = ()> + Send + 'static) {
    tokio::spawn(task);
}

async fn server() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    println!("{}", listener.local_addr().expect("an address"));
    loop {
        let (stream, _) = listener.accept().await.expect("a connection");
        stream.set_nodelay(true).expect("a socket");
        let transport = serde_transport::new(LengthDelimitedCodec::builder().new_framed(stream), Bincode::default());
        let channel = BaseChannel::with_defaults(transport);
        tokio::spawn(channel.execute(Server.serve()).for_each(spawn));
    }
}

async fn client(address: &str, depth: u64, count: u64) -> f64 {
    let stream = TcpStream::connect(address).await.expect("a server");
    stream.set_nodelay(true).expect("a socket");
    let transport = serde_transport::new(LengthDelimitedCodec::builder().new_framed(stream), Bincode::default());
    let mut config = client::Config::default();
    config.pending_request_buffer = depth as usize;
    let calc = CalcClient::new(config, transport).spawn();
    run(&calc, depth, count / 4).await;
    let start = Instant::now();
    run(&calc, depth, count).await;
    start.elapsed().as_nanos() as f64 / count as f64
}

/// `depth` tasks that share the calls.
async fn run(calc: &CalcClient, depth: u64, count: u64) {
    let callers: Vec<_> = (0..depth)
        .map(|_| {
            let calc = calc.clone();
            tokio::spawn(async move {
                for n in 0..count.div_ceil(depth) {
                    let n = (n % 64) as i64;
                    assert_eq!(calc.add(context::current(), n, 1).await.expect("an answer"), n + 1);
                }
            })
        })
        .collect();
    for caller in callers {
        caller.await.expect("a caller");
    }
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["server"] => runtime.block_on(server()),
        ["client", address, depth, count] => {
            let number = |text: &str| text.parse().expect("a number");
            println!("{}", runtime.block_on(client(address, number(depth), number(count))));
        }
        _ => panic!("peers server | peers client ADDR DEPTH COUNT"),
    }
}
