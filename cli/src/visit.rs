//! `isochrone call`, `list` and `ping`: a look into running containers, ours and aiomas's.
//!
//! | exit code | meaning |
//! |-----------|---------|
//! | 0 | answered |
//! | 1 | the agent failed the call |
//! | 2 | the command line was wrong |
//! | 3 | nobody is there, or no such agent |
//! | 4 | no answer in time |
//!
//! When a connection comes to nothing before anything was understood, the other codecs are tried, for the error to say
//! which one answers.
//!
//! Results go to stdout, errors to stderr; with `--json` both go to stdout, as one line of JSON.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Args;
use isochrone::channel::transport::{ConnectOptions, Tls, TlsFloor};
use isochrone::channel::{Address, Config};
use isochrone::codec::{Codec, Limits, Value, json};
use isochrone::container::Visitor;
use isochrone::rpc::CallError;
use isochrone::sim::parse_span;

/// How to get there
#[derive(Debug, Args)]
struct Way {
    /// How messages are written there: json, msgpack or blosc
    #[arg(long, value_name = "CODEC", default_value = "json")]
    codec: Codec,
    /// Encrypts TCP: files of the authority's certificate, the own one, and its key (see `isochrone cert`)
    #[arg(long, value_name = "CA,CERT,KEY")]
    tls: Option<String>,
    /// The oldest version of TLS that is spoken: 1.2 (all that aiomas knows) or 1.3
    #[arg(long, value_name = "VERSION", default_value = "1.2", requires = "tls")]
    min_tls: TlsFloor,
    /// How long to wait for a connection, and then for each answer
    #[arg(long, value_name = "SPAN", default_value = "10s", value_parser = span)]
    timeout: Duration,
    /// Prints JSON, for scripts
    #[arg(long)]
    json: bool,
}

fn span(text: &str) -> Result<Duration, String> {
    parse_span(text).map_err(|error| error.to_string())
}

/// Calls a method of an agent and prints what it returns
#[derive(Debug, Args)]
pub struct Call {
    /// The agent: tcp://host:port/agent, ipc://[path]/agent
    url: Address,
    /// Its method
    method: String,
    /// Arguments, by position or as name=value; each is JSON, or else text
    #[arg(allow_hyphen_values = true)]
    args: Vec<String>,
    #[command(flatten)]
    way: Way,
}

/// Lists the agents of a container, and what can be called; with an agent's address, of that agent
#[derive(Debug, Args)]
pub struct List {
    /// The container, or one agent: tcp://host:port
    url: Address,
    #[command(flatten)]
    way: Way,
}

/// Tells whether a container or an agent answers, and how fast
#[derive(Debug, Args)]
pub struct Ping {
    /// The container, or an agent: tcp://host:port
    url: Address,
    /// How often to ask
    #[arg(short, long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    number: u32,
    #[command(flatten)]
    way: Way,
}

/// What a command says, and how it is printed for a human.
type Said = Result<(Value, String), CallError>;

impl Way {
    fn options(&self) -> Result<ConnectOptions, CallError> {
        let mut options = ConnectOptions::default();
        if let Some(files) = &self.tls {
            let tls = Tls::from_list(files, self.min_tls);
            options.tls =
                Some(tls.map_err(|error| CallError::new(FILES, format!("--tls {files}: {error}")))?);
        }
        Ok(options)
    }

    async fn visit(&self, to: &Address) -> Result<Visitor, CallError> {
        let mut config = Config::default();
        config.codec = self.codec;
        // one attempt at least, and as many as fit
        Visitor::connect(to.endpoint(), &self.options()?, config, self.timeout).await
    }

    /// An error that came before anything was understood, with what may be wrong.
    async fn explained(&self, error: CallError, visitor: &Visitor, to: &Address) -> CallError {
        let understood = visitor.peer().counters().messages_in > 0;
        if understood || ![CallError::DISCONNECTED, CallError::TIMEOUT].contains(&error.kind()) {
            return error;
        }
        let tls = error.message().contains("it speaks TLS");
        let hint = match self.other_codec(to).await.filter(|_| !tls) {
            Some(codec) => format!("it answers with --codec {codec}"),
            None if self.tls.is_some() => {
                "with none of the codecs it answers: is this one of our programs, or \
                                           aiomas's?"
                    .into()
            }
            None if tls => "say --tls CA,CERT,KEY".into(),
            None => {
                "it answers with none of the codecs: does it want --tls CA,CERT,KEY, or is it something else?"
                    .into()
            }
        };
        CallError::new(error.kind().to_owned(), format!("{}; {hint}", error.message()))
    }

    /// A codec with which somebody there answers.
    async fn other_codec(&self, to: &Address) -> Option<Codec> {
        const PATIENCE: Duration = Duration::from_secs(1);
        let options = self.options().ok()?;
        let others = [Codec::Json, Codec::MsgPack, Codec::MsgPackBlosc];
        for codec in others.into_iter().filter(|codec| *codec != self.codec) {
            let mut config = Config::default();
            config.codec = codec;
            let asking = async {
                let visitor = Visitor::connect(to.endpoint(), &options, config, Duration::ZERO).await.ok()?;
                let _ = visitor.kind_of("0").await;
                (visitor.peer().counters().messages_in > 0).then_some(codec)
            };
            if let Ok(Some(codec)) = tokio::time::timeout(PATIENCE.min(self.timeout), asking).await {
                return Some(codec);
            }
        }
        None
    }

    /// An answer that comes in time.
    async fn in_time<T>(&self, answer: impl Future<Output = Result<T, CallError>>) -> Result<T, CallError> {
        let waited = isochrone::sim::display_span(self.timeout);
        let late = |_| Err(CallError::timeout(format!("no answer within {waited}")));
        tokio::time::timeout(self.timeout, answer).await.unwrap_or_else(late)
    }

    fn tell(&self, said: Said) -> ExitCode {
        let (value, code) = match said {
            Ok((_, text)) if !self.json => {
                print!("{text}");
                return ExitCode::SUCCESS;
            }
            Ok((value, _)) => (value, 0),
            Err(error) => {
                if !self.json {
                    eprintln!("error: {error}");
                    error.trace().iter().for_each(|line| eprintln!("{line}"));
                }
                let told = [("kind", error.kind()), ("message", error.message())];
                let code = match error.kind() {
                    FILES => 2,
                    CallError::DISCONNECTED | NOBODY => 3,
                    CallError::TIMEOUT => 4,
                    _ => 1,
                };
                (Value::map([("error", Value::map(told))]), code)
            }
        };
        if self.json {
            println!("{}", in_json(&value));
        }
        ExitCode::from(code)
    }
}

/// The kind of the error that a file of the command line is of no use.
const FILES: &str = "TlsError";

/// The kind of the error that an agent is not there.
const NOBODY: &str = "NoSuchAgent";

fn in_json(value: &Value) -> String {
    let mut bytes = Vec::new();
    match json::encode(value, &mut bytes) {
        Ok(()) => String::from_utf8_lossy(&bytes).into_owned(),
        // bytes and extensions: JSON has none
        Err(_) => in_json(&Value::from(value.to_string())),
    }
}

/// `name=value`, or a value: JSON, or else text.
fn argument(text: &str) -> (Option<&str>, Value) {
    let is_name = |name: &&str| {
        name.starts_with(|c: char| c.is_alphabetic() || c == '_')
            && name.chars().all(|c| c.is_alphanumeric() || c == '_')
    };
    let (name, text) = match text.split_once('=').filter(|(name, _)| is_name(name)) {
        Some((name, value)) => (Some(name), value),
        None => (None, text),
    };
    (name, json::decode(text.as_bytes(), &Limits::default()).unwrap_or_else(|_| Value::from(text)))
}

fn line(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::Str(text) => format!("{text}\n"),
        value => format!("{value}\n"),
    }
}

async fn exists(way: &Way, visitor: &Visitor, url: &Address) -> Result<Option<String>, CallError> {
    // a container has no agent of no name, but answers
    let asked = way.in_time(visitor.kind_of(url.agent().unwrap_or_default())).await;
    let kind = match asked {
        Ok(kind) => kind,
        // or fails it, by its allow-list
        Err(_) if url.agent().is_none() && visitor.peer().counters().messages_in > 0 => None,
        Err(error) => return Err(way.explained(error, visitor, url).await),
    };
    match (url.agent(), kind) {
        (_, Some(kind)) => Ok(Some(kind)),
        (None, None) => Ok(None),
        (Some(agent), None) => {
            Err(CallError::new(NOBODY, format!("no agent {agent:?} is at {}", url.endpoint())))
        }
    }
}

impl Call {
    /// Calls, and tells.
    pub async fn run(&self) -> ExitCode {
        let Some(agent) = self.url.agent() else {
            eprintln!("error: {} names no agent: write {}/agent", self.url, self.url);
            return ExitCode::from(2);
        };
        self.way.tell(self.call(agent).await)
    }

    async fn call(&self, agent: &str) -> Said {
        let visitor = self.way.visit(&self.url).await?;
        exists(&self.way, &visitor, &self.url).await?;
        let mut call = visitor.call(agent, &self.method);
        for text in &self.args {
            call = match argument(text) {
                (Some(name), value) => call.kwarg(name, value),
                (None, value) => call.arg(value),
            };
        }
        let value = self.way.in_time(call).await?;
        let text = line(&value);
        Ok((Value::map([("result", value)]), text))
    }
}

impl List {
    /// Lists, and tells.
    pub async fn run(&self) -> ExitCode {
        self.way.tell(self.list().await)
    }

    async fn list(&self) -> Said {
        let visitor = self.way.visit(&self.url).await?;
        exists(&self.way, &visitor, &self.url).await?;
        if !visitor.is_ours(self.way.timeout).await {
            return self.classes(&visitor).await;
        }
        let (mut agents, mut types, mut first) = (Vec::new(), Vec::<(Value, Value)>::new(), 0);
        loop {
            let told = self.way.in_time(visitor.list(self.url.agent(), first)).await?;
            agents.extend(told.get("agents").and_then(Value::as_list).unwrap_or_default().iter().cloned());
            for kind in told.get("types").and_then(Value::as_map).unwrap_or_default() {
                if !types.iter().any(|known| known.0 == kind.0) {
                    types.push(kind.clone());
                }
            }
            match told.get("next").and_then(Value::as_u64).and_then(|next| u32::try_from(next).ok()) {
                Some(next) if next > first => first = next,
                _ => break,
            }
        }
        let text = described(&agents, &types);
        Ok((Value::map([("agents", Value::List(agents)), ("types", Value::Map(types))]), text))
    }

    /// What a container of aiomas tells: of each number, whether an agent has it and what its class is called.
    async fn classes(&self, visitor: &Visitor) -> Said {
        const MOST: u32 = 1_000;
        let mut agents = Vec::new();
        let numbers: Vec<String> = match self.url.agent() {
            Some(agent) => vec![agent.into()],
            None => (0..MOST).map(|number| number.to_string()).collect(),
        };
        for number in numbers {
            let Some(kind) = self.way.in_time(visitor.kind_of(&number)).await? else { break };
            agents.push(Value::list([Value::Null, Value::from(number), Value::from(kind)]));
        }
        let note = format!(
            "{} is a container of aiomas: it tells the classes of its agents, but not what can be called\n",
            self.url.endpoint()
        );
        let text = described(&agents, &[]) + &note;
        Ok((Value::map([("agents", Value::List(agents)), ("types", Value::Null)]), text))
    }
}

fn described(agents: &[Value], types: &[(Value, Value)]) -> String {
    let mut text = String::new();
    let field = |value: &Value, at: usize| {
        value.as_list().and_then(|fields| fields.get(at)?.as_str()).unwrap_or_default().to_string()
    };
    let width = agents.iter().map(|agent| field(agent, 1).chars().count()).max().unwrap_or_default();
    for agent in agents {
        text += &format!("{:width$}  {}\n", field(agent, 1), field(agent, 2));
    }
    for (name, kind) in types {
        text += &format!("\n{}\n", name.as_str().unwrap_or_default());
        let part = |value: &Value, name: &str| {
            value.get(name).and_then(Value::as_str).unwrap_or_default().trim().to_string()
        };
        for line in part(kind, "doc").lines() {
            text += &format!("  {}\n", line.trim());
        }
        for method in kind.get("methods").and_then(Value::as_list).unwrap_or_default() {
            text += &format!("  {} -> {}\n", part(method, "signature"), part(method, "result"));
            for line in part(method, "doc").lines() {
                text += &format!("      {}\n", line.trim());
            }
        }
    }
    text
}

impl Ping {
    /// Asks, and tells.
    pub async fn run(&self) -> ExitCode {
        self.way.tell(self.ping().await)
    }

    #[allow(clippy::disallowed_methods, reason = "it is about wall time")]
    async fn ping(&self) -> Said {
        let millis = |span: Duration| span.as_secs_f64() * 1e3;
        let start = Instant::now();
        let visitor = self.way.visit(&self.url).await?;
        let connected = millis(start.elapsed());
        let kind = exists(&self.way, &visitor, &self.url).await?;
        let mut spans = Vec::new();
        for _ in 0..self.number {
            let start = Instant::now();
            self.way.in_time(visitor.kind_of(self.url.agent().unwrap_or_default())).await?;
            spans.push(millis(start.elapsed()));
        }
        let (least, most) = spans.iter().fold((f64::MAX, 0f64), |(a, b), span| (a.min(*span), b.max(*span)));
        let mean = spans.iter().sum::<f64>() / spans.len() as f64;
        let system = if visitor.is_ours(self.way.timeout).await { "isochrone" } else { "aiomas" };
        let who = match &kind {
            Some(kind) => format!("{} ({kind}, {system})", self.url),
            None => format!("{} ({system})", self.url),
        };
        let answers = self.number;
        let text = format!(
            "{who}: connected in {connected:.2} ms, {answers} answers in {least:.2} / {mean:.2} / {most:.2} ms (least, mean, most)\n"
        );
        let told = [
            ("system", Value::from(system)),
            ("type", Value::from(kind)),
            ("connected_ms", Value::from(connected)),
            ("answers_ms", Value::list(spans)),
        ];
        Ok((Value::map(told), text))
    }
}
