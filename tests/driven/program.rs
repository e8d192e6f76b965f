//! A program of traders, what may drive it, and its journals.

use std::path::{Path, PathBuf};

use isochrone::channel::{Config as ChannelConfig, Connection, Event};
use isochrone::codec::{Limits, Value, json};
use isochrone::coupling::mosaik::Mosaik;
use isochrone::journal::{Reader, Record};
use isochrone::prelude::*;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::UnixStream;

/// Bids what it draws.
#[derive(Default)]
struct Trader {
    price: f64,
    bid: f64,
    answers: Vec<Value>,
    marked: u64,
    peer: Option<Proxy>,
}

#[agent(eid = "trader_{n}")]
impl Trader {
    #[constructor]
    fn new() -> Self {
        Trader::default()
    }

    #[input]
    fn price(&mut self, prices: Inputs<f64>) {
        self.price = prices.sum();
    }

    /// Asks mosaik for a load that it draws.
    #[input(trigger)]
    async fn ask(this: This<Self>, _: Inputs<bool>) {
        let load = format!("Grid.load_{}", this.random("which").below(2));
        let asked = Value::map([(load, Value::list(["kw"]))]);
        let answer = match Mosaik::of(&this).get_data(asked).await {
            Ok(value) => value,
            Err(error) => Value::list([error.kind, error.message]),
        };
        this.with(|me| me.answers.push(answer));
    }

    /// Calls another trader with what it draws.
    #[input(trigger)]
    async fn call(this: This<Self>, addresses: Inputs<String>) {
        for (_, address) in addresses {
            let price = this.random("price").below(2);
            let called = async {
                let trader = match this.with(|me| me.peer.clone()) {
                    Some(trader) => trader,
                    None => Proxy::connect(&address, secs(5)).await?,
                };
                this.with(|me| me.peer = Some(trader.clone()));
                trader.call("mark").arg(price).returning::<u64>().await
            };
            let answer = match called.await {
                Ok(marked) => Value::list([price, marked]),
                Err(error) => Value::list([error.kind(), error.message()]),
            };
            this.with(|me| me.answers.push(answer));
        }
    }

    /// Each answer is another one.
    #[expose]
    fn mark(&mut self, price: u64) -> u64 {
        self.marked += 10;
        self.marked + price
    }

    #[every(seconds = 1)]
    fn draw(&mut self, cx: &Ctx) {
        self.bid = self.price + cx.random("bid").uniform();
    }

    #[expose]
    fn set_price(&mut self, price: f64) -> f64 {
        self.price = price;
        self.bid
    }

    #[output]
    fn bid(&self) -> f64 {
        self.bid
    }

    #[output(event)]
    fn answers(&mut self) -> Vec<Value> {
        std::mem::take(&mut self.answers)
    }
}

/// Moves on at random moments.
#[derive(Default)]
struct Walker {
    steps: u32,
}

#[agent(eid = "walker_{n}")]
impl Walker {
    #[constructor]
    fn new() -> Self {
        Walker::default()
    }

    #[start]
    async fn walk(this: This<Self>) {
        loop {
            let rests = this.random("rests").uniform();
            this.sleep(secs(4).mul_f64(rests)).await;
            this.with(|me| me.steps += 1);
        }
    }

    #[output(on_change)]
    fn steps(&self) -> u32 {
        self.steps
    }
}

pub(crate) fn app(args: &[&str]) -> String {
    let app = App::new("traders").agent::<Trader>("Trader").agent::<Walker>("Walker").scenario(|world| {
        world.add("maker", Trader::default())?;
        Ok(())
    });
    format!("{:?}", app.run([&["traders"], args].concat()))
}

#[track_caller]
pub(crate) fn good(args: &[&str]) {
    assert_eq!(app(args), "ExitCode(unix_exit_status(0))", "{args:?}");
}

/// Asks something, and answers what is asked meanwhile.
pub(crate) async fn ask<S: AsyncRead + AsyncWrite + Unpin>(
    connection: &mut Connection<S>,
    text: &str,
    answer: impl Fn(&Value) -> Value,
) -> Value {
    let content = json::decode(text.as_bytes(), &Limits::default()).expect(text);
    let request = connection.channel().request(&content).unwrap();
    loop {
        match connection.event().await.unwrap().expect("connected") {
            Event::Answer { request: id, result } if request == id => {
                return result.unwrap_or_else(|error| panic!("{text}: {error:?}"));
            }
            Event::Request { id, content } => connection.channel().reply(&id, &answer(&content)).unwrap(),
            _ => {}
        }
    }
}

/// Asks one thing after the other.
pub(crate) async fn converse<S: AsyncRead + AsyncWrite + Unpin>(
    stream: S,
    requests: &[String],
    answer: impl Fn(&Value) -> Value,
) {
    let mut connection = Connection::new(stream, ChannelConfig::default());
    for text in requests {
        ask(&mut connection, text, &answer).await;
    }
}

pub(crate) async fn at(path: &Path) -> UnixStream {
    loop {
        match UnixStream::connect(path).await {
            Ok(stream) => return stream,
            Err(_) => tokio::time::sleep(millis(5)).await,
        }
    }
}

/// The journals of a test.
pub(crate) struct Night(tempfile::TempDir);

impl Night {
    pub(crate) fn new() -> Night {
        Night(tempfile::tempdir().unwrap())
    }

    pub(crate) fn path(&self, name: &str) -> String {
        self.0.path().join(name).display().to_string()
    }

    pub(crate) fn socket(&self) -> (PathBuf, String) {
        let path = self.0.path().join("socket");
        let url = format!("ipc://[{}]", path.display());
        (path, url)
    }

    pub(crate) fn records(&self, name: &str) -> Vec<(u64, Record)> {
        let reader = Reader::open(self.path(name)).unwrap();
        reader.map(|entry| entry.unwrap()).map(|entry| (entry.event, entry.record)).collect()
    }

    /// What came out of it, as text.
    pub(crate) fn replies(&self, name: &str) -> Vec<String> {
        let replies = self.records(name).into_iter().filter_map(|(_, record)| match record {
            Record::Replied { outcome, .. } => Some(format!("{outcome:?}")),
            _ => None,
        });
        replies.collect()
    }

    /// What came in.
    pub(crate) fn inputs(&self, name: &str) -> Vec<String> {
        let inputs = self.records(name).into_iter().filter_map(|(_, record)| match record {
            Record::Request { content, .. } => Some(content.to_string()),
            Record::Call { method, args, .. } => Some(format!("{method} {args:?}")),
            Record::Turn { until } => Some(until.to_string()),
            _ => None,
        });
        inputs.collect()
    }

    /// The event of the request or call with this number, in the order in which they came.
    pub(crate) fn event(&self, name: &str, number: usize) -> u64 {
        let is_input =
            |(_, record): &&(u64, Record)| matches!(record, Record::Request { .. } | Record::Call { .. });
        self.records(name).iter().filter(is_input).nth(number).expect("so many came").0
    }
}
