//! The requests of one connection, on their way to their handlers and back.
//!
//! Contract: every request is answered once: with the handler's result, with its failure, also if it panics, with a
//! ProtocolError if it is no call, with a TypeError if the result cannot be sent. A handler is polled in place first; only
//! one that is not ready then costs a task of its own, in the connection's driver. If the peer sends what ends the connection,
//! what runs is answered with the reason, and runs on without an answer for as long as the grace is.

use std::any::Any;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures::stream::{FuturesUnordered, StreamExt};

use super::incoming::{decode, no_call, unreadable, unsendable};
use super::service::{self, Later, Table};
use super::{CallError, Incoming, Outcome, Peer, Request, Service, context};
use crate::channel::{Arrived, ChannelError, Core, Id, Replies, Requests, Serve};
use crate::codec::{CodecError, Raw, Value};

pub(super) struct Dispatcher {
    peer: Peer,
    service: Service,
    /// The service's table as it was in this version.
    table: Arc<Table>,
    version: u64,
    running: FuturesUnordered<Running>,
}

/// A handler that was not ready at once.
struct Running {
    /// none once it is answered
    id: Option<Id>,
    later: Later,
}

impl Future for Running {
    type Output = (Option<Id>, Result<Value, CallError>);

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let me = &mut *self;
        poll(&mut me.later, cx).map(|result| (me.id.take(), result))
    }
}

impl Dispatcher {
    pub(super) fn new(core: &Arc<Core>, service: Service) -> Self {
        let (peer, version) = (Peer::of(core), service.version());
        Dispatcher { peer, table: service.table(), service, version, running: FuturesUnordered::new() }
    }

    /// Answers one request, or starts to.
    ///
    /// # Errors
    /// It is no value of the codec: the peer is not to be trusted any more.
    #[inline]
    fn request(
        &mut self,
        cx: &mut Context<'_>,
        request: Arrived<'_>,
        replies: &mut Replies,
    ) -> Result<(), ChannelError> {
        let (table, peer) = (&self.table, &self.peer);
        let outcome = catch_unwind(AssertUnwindSafe(|| call(table, peer, &request, replies)));
        let result = match outcome {
            Ok(Ok(Outcome::Written)) => return Ok(()),
            Ok(Ok(Outcome::Done(result))) => result,
            Ok(Ok(Outcome::NotFound(at))) => Err(not_found("", at)),
            Ok(Ok(Outcome::Later(mut later))) => match poll(&mut later, cx) {
                Poll::Ready(result) => result,
                Poll::Pending => {
                    self.running.push(Running { id: Some(request.id), later });
                    return Ok(());
                }
            },
            Ok(Err(error)) => return Err(ChannelError::Payload(error)),
            Err(panic) => Err(panicked(&*panic)),
        };
        self.answer(replies, &request.id, result);
        Ok(())
    }

    fn answer(&self, replies: &mut Replies, id: &Id, result: Result<Value, CallError>) {
        let failed = match result {
            Ok(value) => match replies.reply(id, &value) {
                Ok(()) => return,
                Err(error) => unsendable(&error),
            },
            Err(error) => error,
        };
        let told = if self.service.tells_traces() { failed } else { failed.with_trace([""; 0]) };
        if replies.fail(id, &told.to_aiomas()).is_err() {
            // An error text as long as a frame.
            let short = CallError::new("Error", "the failure cannot be sent").to_aiomas();
            let _ = replies.fail(id, &short);
        }
    }
}

/// Calls what is called.
///
/// # Errors
/// The content was not checked, and is no value of the codec.
#[inline]
fn call(
    table: &Table,
    peer: &Peer,
    request: &Arrived<'_>,
    replies: &mut Replies,
) -> Result<Outcome, CodecError> {
    let Arrived { id, content, checked } = request;
    if !checked && let Some((path, mut call)) = Incoming::unchecked(content, peer, (id, &mut *replies)) {
        let outcome = answer(table, path, &mut call);
        call.violation()?;
        return Ok(outcome);
    }
    if !checked {
        let value = match decode(content, peer) {
            Err(error) if error.is_limit() => return Ok(Outcome::Done(Err(unreadable(&error)))),
            value => value?,
        };
        return Ok(match Request::from_content(value) {
            Ok(request) => {
                answer(table, &request.path, &mut Incoming::read(request.args, peer, Some((id, replies))))
            }
            Err(error) => Outcome::Done(Err(error)),
        });
    }
    let config = peer.link().core().config();
    let content = Raw::checked(config.codec, content, &config.types);
    Ok(match Incoming::checked(&content, peer, (id, replies)) {
        Some((path, mut call)) => answer(table, &path, &mut call),
        None => Outcome::Done(Err(no_call(&content))),
    })
}

/// The answer of what is at `path`.
#[inline]
fn answer(table: &Table, path: &str, call: &mut Incoming<'_>) -> Outcome {
    let outcome = match path.ends_with('/') {
        true => Outcome::NotFound(path.len()),
        false => service::answer(table, path, call),
    };
    match outcome {
        Outcome::NotFound(at) => Outcome::Done(Err(not_found(path, at))),
        outcome => outcome,
    }
}

impl Serve for Dispatcher {
    const READS: bool = true;

    fn serve(
        &mut self,
        cx: &mut Context<'_>,
        requests: &mut Requests,
        replies: &mut Replies,
    ) -> Result<(), ChannelError> {
        if requests.is_empty() && self.running.is_empty() {
            return Ok(());
        }
        if self.version != self.service.version() {
            self.version = self.service.version();
            self.table = self.service.table();
        }
        let peer = self.peer.uncounted();
        context::within(&peer, || {
            requests.drain(|request| self.request(cx, request, replies))?;
            while let Poll::Ready(Some((id, result))) = self.running.poll_next_unpin(cx) {
                if let Some(id) = id {
                    self.answer(replies, &id, result);
                }
            }
            Ok(())
        })
    }

    fn give_up(&mut self, reason: &str, replies: &mut Replies) {
        let ids: Vec<Id> = self.running.iter_mut().filter_map(|running| running.id.take()).collect();
        for id in ids {
            let error = CallError::protocol_error(format!("the connection is cut: {reason}"));
            self.answer(replies, &id, Err(error));
        }
    }

    fn refusal(&self) -> Value {
        CallError::stopped("the connection is about to end").to_aiomas()
    }

    fn is_idle(&self) -> bool {
        self.running.is_empty()
    }
}

/// Polls a handler; a panic is its failure.
fn poll(later: &mut Later, cx: &mut Context<'_>) -> Poll<Result<Value, CallError>> {
    catch_unwind(AssertUnwindSafe(|| later.as_mut().poll(cx)))
        .unwrap_or_else(|panic| Poll::Ready(Err(panicked(&*panic))))
}

/// As aiomas says it.
#[cold]
fn not_found(path: &str, at: usize) -> CallError {
    let (parent, rest) = path.split_at_checked(at).unwrap_or((path, ""));
    let name = rest.split('/').next().unwrap_or(rest);
    CallError::lookup_error(format!("Name \"{name}\" not found in \"{}\"", parent.trim_end_matches('/')))
}

#[cold]
fn panicked(panic: &(dyn Any + Send)) -> CallError {
    let message = panic.downcast_ref::<&str>().map(|text| text.to_string());
    CallError::panicked(message.or_else(|| panic.downcast_ref().cloned()).unwrap_or_default())
}
