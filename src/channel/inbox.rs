//! Requests of the peer that wait until somebody takes them: the channel as aiomas has it, without RPC.
//!
//! Contract: every [`Request`] is answered once: by [`reply`](Request::reply), by [`fail`](Request::fail), or, when it is dropped
//! instead, by a failure that says so. Requests that nobody takes are bounded by [`Config::serving`].

use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use tokio::io::{AsyncRead, AsyncWrite};

use super::{Arrived, ChannelError, Config, Content, Driver, Id, Link, Replies, Requests, Serve, transport};
use crate::codec::Value;

/// What has arrived and was not taken.
#[derive(Debug, Default)]
struct Inbox(Mutex<Waiting>);

#[derive(Debug, Default)]
struct Waiting {
    requests: VecDeque<(Id, Content)>,
    readers: Vec<Waker>,
}

impl Inbox {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Puts requests where [`Link::recv`] finds them.
struct Arrivals {
    inbox: Arc<Inbox>,
}

impl Serve for Arrivals {
    const READS: bool = false;

    fn serve(
        &mut self,
        _: &mut Context<'_>,
        requests: &mut Requests,
        _: &mut Replies,
    ) -> Result<(), ChannelError> {
        if requests.is_empty() {
            return Ok(());
        }
        let mut waiting = self.inbox.lock();
        requests.drain(|Arrived { id, content, .. }| {
            waiting.requests.push_back((id, Content::new(content)));
            Ok::<(), ChannelError>(())
        })?;
        let readers = std::mem::take(&mut waiting.readers);
        drop(waiting);
        readers.into_iter().for_each(Waker::wake);
        Ok(())
    }

    fn give_up(&mut self, _: &str, _: &mut Replies) {
        // what runs is with whoever has received it
    }

    fn refusal(&self) -> Value {
        Value::from("Stopped: the connection is about to end\n")
    }

    fn is_idle(&self) -> bool {
        true
    }
}

impl Link {
    /// A channel over any stream: requests go out by [`send`](Link::send), those of the peer come by [`recv`](Link::recv).
    ///
    /// The returned future moves the bytes: spawn it, or poll it beside others. It ends with the connection, with the
    /// reason if that is an error.
    ///
    /// ```
    /// use isochrone::channel::{Config, Link};
    /// use isochrone::codec::Value;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let (near, far) = tokio::io::duplex(1024);
    /// let (client, driver) = Link::over(near, "a server", Config::default());
    /// tokio::spawn(driver);
    /// let (server, driver) = Link::over(far, "a client", Config::default());
    /// tokio::spawn(driver);
    /// let answer = client.send(&Value::from("how much?"))?;
    /// let request = server.recv().await.ok_or("the client has gone")?;
    /// assert_eq!(request.content(), Value::from("how much?"));
    /// request.reply(&Value::from(1.5))?;
    /// assert_eq!(answer.await, Ok(Value::from(1.5)));
    /// # Ok(())
    /// # }
    /// ```
    pub fn over<S, W>(
        stream: S,
        who: W,
        config: Config,
    ) -> (Link, impl Future<Output = Result<(), ChannelError>> + use<S, W>)
    where
        S: AsyncRead + AsyncWrite + Unpin,
        W: Into<transport::Peer>,
    {
        let inbox = Arc::new(Inbox::default());
        let arrivals = Arrivals { inbox: inbox.clone() };
        Driver::new(stream, who.into(), config, inbox, |_| arrivals)
    }

    /// Waits for a request of the peer; `None` when the connection has ended and none is left.
    ///
    /// Several may wait: each request goes to one of them. Dropped between polls, it loses nothing.
    pub async fn recv(&self) -> Option<Request> {
        poll_fn(|cx| {
            let Some(inbox) = self.core().owner::<Arc<Inbox>>() else { return Poll::Ready(None) };
            let mut waiting = inbox.lock();
            if let Some((id, content)) = waiting.requests.pop_front() {
                return Poll::Ready(Some(Request { link: self.clone(), id, content, answered: false }));
            }
            if !waiting.readers.iter().any(|reader| reader.will_wake(cx.waker())) {
                waiting.readers.push(cx.waker().clone());
            }
            drop(waiting);
            self.poll_ended(cx).map(|_| None)
        })
        .await
    }
}

/// A request of the peer, to be answered once.
#[derive(Debug)]
#[must_use = "dropping it answers with a failure"]
pub struct Request {
    link: Link,
    id: Id,
    content: Content,
    answered: bool,
}

impl Request {
    /// What is asked.
    pub fn content(&self) -> Value {
        self.content.raw(self.link.core().config()).value()
    }

    /// Over which connection.
    pub fn link(&self) -> &Link {
        &self.link
    }

    /// Answers with a result.
    ///
    /// # Errors
    /// It cannot be sent: the peer gets a failure that says so, unless the connection has ended.
    pub fn reply(mut self, content: &Value) -> Result<(), ChannelError> {
        self.answered = true;
        self.link.answer(&self.id, true, content).inspect_err(|error| self.cannot(error))
    }

    /// Answers with a failure: a text for aiomas.
    ///
    /// # Errors
    /// As [`reply`](Request::reply).
    pub fn fail(mut self, content: &Value) -> Result<(), ChannelError> {
        self.answered = true;
        self.link.answer(&self.id, false, content).inspect_err(|error| self.cannot(error))
    }

    fn cannot(&self, error: &ChannelError) {
        // Nobody is there any more, or it is a short text.
        let _ = self.link.answer(&self.id, false, &format!("TypeError: the answer {error}\n"));
    }
}

impl Drop for Request {
    fn drop(&mut self) {
        if !self.answered {
            let _ = self.link.answer(&self.id, false, "Error: the request was dropped without an answer\n");
        }
    }
}
