//! The connections, and the loop that lets the session work.
//!
//! Contract: a connection is read on while its requests are being answered, and it is never the cause of what the session
//! does: a step goes on when nobody waits for it any more.
//!
//! Failure modes: see [`ServeError`]. What one connection sends never disturbs another.

use std::rc::Rc;
use std::time::{Duration, Instant};

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;

use super::desk::{Caller, Desk, End, Job, METHODS, OwnerLoss};
use super::session::{Offer, Session};
use crate::channel::Config;
use crate::channel::transport::{Incoming, Listener};
use crate::clock::Interrupt;
use crate::codec::Value;
use crate::coupling::{ServeError, Served};
use crate::rpc::{self, CallError, Entry, Request, Service};

/// How long connections may take to get their last replies.
const GRACE: Duration = Duration::from_secs(5);

/// Serves one run after the other to whoever connects. Connections stay from run to run.
#[derive(Debug)]
pub struct Server {
    listener: Listener,
    on_owner_loss: OwnerLoss,
    desk: Option<(Rc<Desk>, mpsc::Receiver<Job>)>,
    open: JoinSet<()>,
    connected: u64,
    over: Interrupt,
}

impl Server {
    /// A server of those who connect to the listener; what happens when the owner is gone, is said here.
    pub fn new(listener: Listener, on_owner_loss: OwnerLoss) -> Self {
        let (open, over) = (JoinSet::new(), Interrupt::default());
        Server { listener, on_owner_loss, desk: None, open, connected: 0, over }
    }

    /// Serves one run, from the first request to the owner's `stop`; to be called on a `LocalSet`.
    pub async fn serve(&mut self, offer: &Offer, interrupt: Interrupt) -> Served {
        let started = Instant::now();
        match Session::new(offer, interrupt.clone()).await {
            Ok(session) => self.go_on(session, offer, Value::Null, interrupt).await,
            Err(message) => {
                let result = Err(ServeError::SetUp(message));
                Served { coupling: None, wall: started.elapsed(), result }
            }
        }
    }

    /// Serves the rest of a run that has begun; `unanswered` is the reply that its last owner may not have heard.
    pub(crate) async fn go_on(
        &mut self,
        mut session: Session,
        offer: &Offer,
        unanswered: Value,
        interrupt: Interrupt,
    ) -> Served {
        let started = Instant::now();
        let result = self.run(&mut session, &offer.channel, unanswered, interrupt).await;
        let result = match (result, session.failed()) {
            (Err(ServeError::Interrupted), _) => Err(ServeError::Interrupted),
            (_, Some(failed)) => Err(ServeError::Failed(failed.to_string())),
            (result, None) => result,
        };
        Served { coupling: Some(session.into_coupling()), wall: started.elapsed(), result }
    }

    async fn run(
        &mut self,
        session: &mut Session,
        channel: &Config,
        unanswered: Value,
        interrupt: Interrupt,
    ) -> Result<(), ServeError> {
        let Server { listener, on_owner_loss, desk, open, connected, over } = self;
        let new = || Desk::new(session.catalog(), *on_owner_loss);
        let (desk, jobs) = desk.get_or_insert_with(new);
        // what was asked of the last run and not answered is over with it
        while jobs.try_recv().is_ok() {}
        desk.begin(session.catalog(), unanswered);
        let desk = desk.clone();
        let mut work = std::pin::pin!(work(&desk, session, jobs, interrupt));
        loop {
            tokio::select! {
                biased;
                result = &mut work => return result,
                incoming = listener.accept() => {
                    *connected += 1;
                    let peer = Caller { id: *connected, name: incoming.peer().address.as_str().into() };
                    let (desk, over, config) = (desk.clone(), over.clone(), channel.clone());
                    open.spawn_local(async move {
                        converse(incoming, &desk, &peer, config, over).await;
                        desk.gone(&peer);
                    });
                }
                Some(_) = open.join_next() => {}
            }
        }
    }

    /// Ends all connections when they have got their last replies, which may take 5 s.
    pub async fn close(mut self) {
        self.over.set();
        let all = async { while self.open.join_next().await.is_some() {} };
        if tokio::time::timeout(GRACE, all).await.is_err() {
            tracing::warn!("a connection has not taken its last replies within 5 s");
        }
    }
}

/// Lets the session answer one request after the other, and lets in what else comes from outside.
async fn work(
    desk: &Desk,
    session: &mut Session,
    jobs: &mut mpsc::Receiver<Job>,
    interrupt: Interrupt,
) -> Result<(), ServeError> {
    loop {
        let Job { request, ticket } = tokio::select! {
            biased;
            () = interrupt.wait() => return Err(ServeError::Interrupted),
            end = desk.ended() => return match end {
                End::Stopped => Ok(()),
                End::Lost(text) => Err(ServeError::Lost(text)),
            },
            Some(job) = jobs.recv() => job,
            input = session.next_input() => {
                session.handle(input).await;
                desk.note(session.failed());
                continue;
            }
        };
        let free = match ticket.moves() {
            false => true,
            true => loop {
                tokio::select! {
                    biased;
                    () = interrupt.wait() => return Err(ServeError::Interrupted),
                    free = desk.free(&ticket) => break free,
                    input = session.next_input() => session.handle(input).await,
                }
            },
        };
        let answer = if free { Some(session.answer(request).await) } else { None };
        desk.done(ticket, answer, session.failed());
    }
}

/// A request on its way to the desk, which lives on the agents' thread.
struct Ask {
    request: Request,
    answer: oneshot::Sender<Result<Value, CallError>>,
}

/// What one peer may call: its requests go to `asks`, in the order in which they come.
fn service(asks: &mpsc::UnboundedSender<Ask>) -> Service {
    let service = Service::new();
    for path in METHODS {
        let asks = asks.clone();
        let entry = Entry::future(move |_, args| {
            let (answer, answered) = oneshot::channel();
            // the connection serves so many requests at once, and no more
            let _ = asks.send(Ask { request: Request::new(path, args), answer });
            async { answered.await.unwrap_or_else(|_| Err(CallError::stopped("the run is over"))) }
        });
        service.insert(path, entry);
    }
    service
}

/// Answers what comes over one connection, until it ends or the server does.
async fn converse(incoming: Incoming, desk: &Desk, from: &Caller, config: Config, over: Interrupt) {
    let stream = match incoming.establish().await {
        Ok(stream) => stream,
        Err(error) => return tracing::warn!("{}: {error}", from.name),
    };
    let (asks, mut asked) = mpsc::unbounded_channel();
    let who = stream.peer().clone();
    let (peer, driver) = rpc::Peer::over(stream, who, config, service(&asks));
    let mut driver = std::pin::pin!(driver);
    let mut answering = FuturesUnordered::new();
    let ended = loop {
        tokio::select! {
            biased;
            // first, so that a request reaches the desk before the next one does
            Some(()) = answering.next() => {}
            Some(Ask { request, answer }) = asked.recv() => answering.push(async move {
                // nobody listens any more if the peer is gone
                let _ = answer.send(desk.answer(from, request).await);
            }),
            () = over.wait() => break false,
            _ = &mut driver => break true,
        }
    };
    if !ended {
        // whoever still waits is told that the run is over
        drop((answering, asked));
        let _ = tokio::join!(peer.shutdown(GRACE), driver);
    }
}
