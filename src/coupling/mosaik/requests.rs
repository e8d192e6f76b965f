//! What agents may ask of mosaik while it waits for their step.
//!
//! Why `external`: the answer is not a function of the seed. The agent resumes in the next round of the same instant; the
//! kernel waits for mosaik meanwhile, and mosaik, which answers while it waits for our step, does not deadlock.

use std::any::Any;
use std::fmt;
use std::rc::Rc;
use std::time::Duration;

use isochrone_sim::fingerprint::{fold, payload_hash};
use isochrone_sim::{Ctx, Form, Order, Sending, local};
use serde::{Deserialize, Serialize};
use tokio::sync::{mpsc, oneshot};

use super::session::MOSAIK;
use crate::agent::external::form;
use crate::channel::Failure;
use crate::codec::{Value, to_value};
use crate::rpc::CallError;

/// How long mosaik may take to answer a request of an agent.
const PATIENCE: Duration = Duration::from_secs(30);

/// A request on its way to mosaik.
pub(crate) struct Ask {
    pub(crate) content: Value,
    pub(crate) answer: oneshot::Sender<Result<Value, Failure>>,
}

/// The connection to mosaik, as the kernel provides it to agents.
#[derive(Debug)]
pub(crate) struct Link(pub(crate) mpsc::UnboundedSender<Ask>);

/// A request that mosaik refused, or could not be asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{kind}: {message}")]
pub struct MosaikError {
    /// The name of mosaik's exception; `NotCoupled` when no mosaik is there, `Timeout`, `Disconnected`; `NotRecorded` in a
    /// fork of a recorded run that did not ask this at that time.
    pub kind: String,
    /// What it says.
    pub message: String,
}

impl MosaikError {
    fn new(kind: &str, message: impl Into<String>) -> Self {
        MosaikError { kind: kind.into(), message: message.into() }
    }

    fn from_failure(failure: Failure) -> Self {
        match failure {
            Failure::Remote(Value::List(parts)) => {
                let text = |n: usize| {
                    parts.get(n).map_or_else(String::new, |part| match part.as_str() {
                        Some(text) => text.to_string(),
                        None => part.to_string(),
                    })
                };
                MosaikError::new(&text(0), text(1))
            }
            Failure::Remote(other) => MosaikError::new("RemoteException", other.to_string()),
            Failure::Closed(reason) => MosaikError::new("Disconnected", &*reason),
        }
    }
}

/// mosaik, as an agent can ask it: `Mosaik::of(cx).get_progress().await?`.
pub struct Mosaik<'a> {
    cx: &'a Ctx,
}

impl fmt::Debug for Mosaik<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Mosaik")
    }
}

impl<'a> Mosaik<'a> {
    /// The mosaik this agent runs under; if there is none, every request says so.
    pub fn of(cx: &'a Ctx) -> Self {
        Mosaik { cx }
    }

    /// How far the co-simulation has come, in percent.
    ///
    /// # Errors
    /// See [`MosaikError`].
    pub async fn get_progress(&self) -> Result<f64, MosaikError> {
        let progress = self.ask("get_progress", vec![]).await?;
        progress.as_f64().ok_or_else(|| MosaikError::new("ValueError", format!("no number: {progress}")))
    }

    /// The entities that are connected to the given ones: `None` gives the whole graph with `nodes` and `edges`, a full id
    /// its neighbours, a list of full ids the neighbours of each.
    ///
    /// # Errors
    /// See [`MosaikError`].
    pub async fn get_related_entities(&self, entities: impl Serialize) -> Result<Value, MosaikError> {
        let entities = value(entities)?;
        self.ask("get_related_entities", vec![entities]).await
    }

    /// Data of other simulators, `{full id: [attribute]}`. Needs a connection from that simulator to this one with
    /// `async_requests=True`, and works only inside an own step.
    ///
    /// # Errors
    /// See [`MosaikError`].
    pub async fn get_data(&self, attributes: impl Serialize) -> Result<Value, MosaikError> {
        let attributes = value(attributes)?;
        self.ask("get_data", vec![attributes]).await
    }

    /// Writes to inputs of other simulators at their next step, `{own full id: {full id: {attribute: value}}}`. Needs a
    /// connection as [`get_data`](Mosaik::get_data) does.
    ///
    /// # Errors
    /// See [`MosaikError`].
    pub async fn set_data(&self, data: impl Serialize) -> Result<(), MosaikError> {
        let data = value(data)?;
        self.ask("set_data", vec![data]).await.map(drop)
    }

    /// Asks for a step at a time, in mosaik's steps; only in mosaik's real-time mode.
    ///
    /// # Errors
    /// See [`MosaikError`].
    pub async fn set_event(&self, step: i64) -> Result<(), MosaikError> {
        self.ask("set_event", vec![Value::Int(step)]).await.map(drop)
    }

    async fn ask(&self, method: &'static str, args: Vec<Value>) -> Result<Value, MosaikError> {
        let Some(link) = local::shared::<Link>() else {
            return Err(MosaikError::new(
                "NotCoupled",
                format!("`{method}`: this run is not coupled to mosaik"),
            ));
        };
        let content = Value::List(vec![method.into(), Value::List(args), Value::Map(vec![])]);
        let asking = Asking { method, content, link };
        self.cx.external_of(Rc::new(asking), Duration::ZERO).await
    }
}

/// What is asked of mosaik, as an operation.
struct Asking {
    method: &'static str,
    content: Value,
    link: Rc<Link>,
}

impl Order for Asking {
    type Output = Result<Value, MosaikError>;

    fn name(&self) -> String {
        format!("mosaik.{}", self.method)
    }

    fn question(&self) -> u64 {
        match self.method {
            // what is written makes no difference to the answer
            "set_data" | "set_event" => self.purpose(),
            _ => fold(self.purpose(), payload_hash(&self.content)),
        }
    }

    fn sends(&self, with_content: bool) -> Option<Sending> {
        let content = with_content.then(|| Rc::new(self.content.clone()) as Rc<dyn Any>);
        Some(Sending { to: MOSAIK.into(), hash: payload_hash(&self.content), content })
    }

    fn refused(&self, why: &str) -> Option<Self::Output> {
        Some(Err(MosaikError::new(CallError::NOT_RECORDED, why)))
    }

    fn form(&self) -> Form<Self::Output> {
        form()
    }

    async fn run(&self) -> Self::Output {
        let (answer, answered) = oneshot::channel();
        if self.link.0.send(Ask { content: self.content.clone(), answer }).is_err() {
            return Err(MosaikError::new("Disconnected", "mosaik is gone"));
        }
        match tokio::time::timeout(PATIENCE, answered).await {
            Ok(Ok(result)) => result.map_err(MosaikError::from_failure),
            Ok(Err(_)) => Err(MosaikError::new("Disconnected", "mosaik is gone")),
            Err(_) => {
                let text = format!("no answer to `{}` within 30 s", self.method);
                Err(MosaikError::new("Timeout", text))
            }
        }
    }
}

fn value(data: impl Serialize) -> Result<Value, MosaikError> {
    to_value(&data).map_err(|error| MosaikError::new("TypeError", error.to_string()))
}
