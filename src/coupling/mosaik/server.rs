//! The connection to mosaik, and the loop that serves it.
//!
//! Contract: while a request of mosaik's is being answered the connection is read on, since mosaik answers the agents'
//! requests meanwhile, and since `stop` may come at any time: it ends everything at once.

use std::collections::BTreeMap;
use std::io;
use std::time::Instant;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, oneshot};

use super::requests::{Ask, Link};
use super::session::{Refusal, Session};
use super::simulator::Simulator;
use crate::channel::{ChannelError, Config, Connection, Event, Failure, RequestId};
use crate::clock::{Input, Interrupt};
use crate::codec::Value;
use crate::coupling::{ServeError, Served};
use crate::rpc::Request;

/// Bytes of a frame.
const MOST: usize = 1 << 30;

fn address_error(address: &str) -> impl Fn(io::Error) -> ServeError {
    move |error| ServeError::Address { address: address.into(), error }
}

fn lost(error: Option<ChannelError>) -> ServeError {
    let why = error.map_or(String::new(), |error| format!(" ({error})"));
    ServeError::Lost(format!("the connection to mosaik was lost{why}"))
}

/// Connects to a mosaik that has started this program (`cmd`).
///
/// # Errors
/// When nobody listens there.
pub async fn connect(address: &str) -> Result<TcpStream, ServeError> {
    let nobody =
        |error: io::Error| io::Error::new(error.kind(), format!("mosaik cannot be reached there: {error}"));
    let stream = TcpStream::connect(address).await.map_err(nobody).map_err(address_error(address))?;
    stream.set_nodelay(true).map_err(address_error(address))?;
    Ok(stream)
}

/// Waits for mosaik to connect (`connect`), on an address with a port.
///
/// # Errors
/// When the address cannot be listened on.
pub async fn listen(address: &str) -> Result<TcpListener, ServeError> {
    TcpListener::bind(address).await.map_err(address_error(address))
}

/// Serves one run, until mosaik says `stop` or is gone.
pub async fn serve<S>(stream: S, simulator: &Simulator, interrupt: Interrupt) -> Served
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let started = Instant::now();
    let mut config = Config::default();
    // mosaik is the one that started us; the inputs of a large scenario come in one frame, and its outputs must go in one
    config.max_frame = MOST;
    config.max_first_frame = config.max_frame;
    config.max_unread = 2 * MOST;
    config.limits.nodes = config.max_frame;
    let mut server = Server {
        connection: Connection::new(stream, config),
        asked: BTreeMap::new(),
        queued: Vec::new(),
        refused: None,
        interrupt: interrupt.clone(),
    };
    let (sender, mut asks) = mpsc::unbounded_channel();
    let link = Link(sender);
    let mut session = Session::new(simulator, interrupt);
    let result = server.run(&mut session, &link, &mut asks).await;
    let result = match (result, session.fatal.take(), server.refused) {
        // a scenario that was told of a failure may end without a `stop`: that is then why, and not the network
        (Ok(()) | Err(ServeError::Lost(_)), Some(message), _)
        | (Err(ServeError::Lost(_)), None, Some((_, message))) => Err(ServeError::Failed(message)),
        (Err(ServeError::Lost(_)), None, None) if session.has_begun() == Some(false) => {
            Err(ServeError::Early("mosaik"))
        }
        (result, ..) => result,
    };
    Served { coupling: session.into_coupling(), wall: started.elapsed(), result }
}

struct Server<S> {
    connection: Connection<S>,
    asked: BTreeMap<RequestId, oneshot::Sender<Result<Value, Failure>>>,
    /// requests that came while another one was being answered
    queued: Vec<(Value, Value)>,
    /// what mosaik was told last, if that was a failure
    refused: Option<Refusal>,
    interrupt: Interrupt,
}

/// What the connection brought.
enum Came {
    Request(Value, Value),
    Stop(Value),
    Input(Input),
    Nothing,
}

/// What the agents are to do.
enum Work {
    Answer(Request),
    Handle(Input),
}

impl<S: AsyncRead + AsyncWrite + Unpin> Server<S> {
    async fn run(
        &mut self,
        session: &mut Session<'_>,
        link: &Link,
        asks: &mut mpsc::UnboundedReceiver<Ask>,
    ) -> Result<(), ServeError> {
        loop {
            let came = tokio::select! {
                biased;
                came = self.next_request() => came?,
                input = session.next_input() => Came::Input(input),
            };
            let (id, work) = match came {
                Came::Request(id, content) => match Request::from_content(content) {
                    Ok(request) => (Some(id), Work::Answer(request)),
                    Err(error) => {
                        self.refuse(&id, error.into());
                        continue;
                    }
                },
                Came::Input(input) => (None, Work::Handle(input)),
                Came::Stop(id) => return self.stop(&id).await,
                Came::Nothing => continue,
            };
            let interrupt = self.interrupt.clone();
            let result = {
                let mut answer = std::pin::pin!(async {
                    match work {
                        Work::Answer(request) => session.answer(request, link).await,
                        Work::Handle(input) => session.handle(input).await.map(|()| Value::Null),
                    }
                });
                loop {
                    tokio::select! {
                        biased;
                        result = &mut answer => break result,
                        () = interrupt.wait() => return Err(ServeError::Interrupted),
                        Some(ask) = asks.recv() => self.ask(ask),
                        came = self.event() => match came? {
                            Came::Request(id, content) => self.queued.push((id, content)),
                            Came::Stop(id) => return self.stop(&id).await,
                            Came::Input(_) | Came::Nothing => {}
                        },
                    }
                }
            };
            let Some(id) = id else {
                // mosaik has asked for nothing: a failure ends the run at its next request
                continue;
            };
            match result {
                Ok(value) => {
                    // what cannot be written is one failed call
                    match self.connection.channel().reply(&id, &value) {
                        Ok(()) => self.refused = None,
                        Err(error) => self.refuse(&id, ("TypeError".into(), error.to_string())),
                    }
                }
                Err(refusal) => self.refuse(&id, refusal),
            }
        }
    }

    async fn next_request(&mut self) -> Result<Came, ServeError> {
        if !self.queued.is_empty() {
            let (id, content) = self.queued.remove(0);
            return Ok(Came::Request(id, content));
        }
        let interrupt = self.interrupt.clone();
        tokio::select! {
            biased;
            () = interrupt.wait() => Err(ServeError::Interrupted),
            came = self.event() => came,
        }
    }

    async fn event(&mut self) -> Result<Came, ServeError> {
        match self.connection.event().await {
            Ok(Some(Event::Request { id, content })) => {
                let stop = content.as_list().and_then(|list| list.first()?.as_str()) == Some("stop");
                Ok(if stop { Came::Stop(id) } else { Came::Request(id, content) })
            }
            Ok(Some(Event::Answer { request, result })) => {
                if let Some(asker) = self.asked.remove(&request) {
                    // an agent that has lost interest is no error
                    let _ = asker.send(result);
                }
                Ok(Came::Nothing)
            }
            Ok(Some(_)) => Ok(Came::Nothing),
            Ok(None) => Err(lost(None)),
            Err(error) => Err(lost(Some(error))),
        }
    }

    fn ask(&mut self, ask: Ask) {
        match self.connection.channel().request(&ask.content) {
            Ok(id) => {
                self.asked.insert(id, ask.answer);
            }
            Err(error) => {
                let _ = ask.answer.send(Err(Failure::Closed(error.to_string().into())));
            }
        }
    }

    /// A failure as mosaik takes it: a list of strings.
    fn refuse(&mut self, id: &Value, refusal: Refusal) {
        let (kind, message) = &refusal;
        tracing::error!("{kind}: {message}");
        let content = Value::list([kind.as_str(), message.as_str()]);
        if let Err(error) = self.connection.channel().fail(id, &content) {
            tracing::error!("a failure could not be told to mosaik: {error}");
        }
        self.refused = Some(refusal);
    }

    async fn stop(&mut self, id: &Value) -> Result<(), ServeError> {
        // mosaik waits 0.1 s at most and may be gone already: nothing depends on this reply
        let _ = self.connection.channel().reply(id, &Value::Null);
        let _ = self.connection.flush().await;
        Ok(())
    }
}
