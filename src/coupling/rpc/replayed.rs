//! The simulator's part, played from a recording: no simulator, no network.

use std::time::Instant;

use super::desk;
use super::session::{Offer, Session};
use crate::clock::Interrupt;
use crate::codec::Value;
use crate::coupling::{ServeError, Served};
use crate::replay::Next;
use crate::rpc::Request;

/// Asks what the simulator asked when the offer's tape was recorded, to the end of the recording or to its verdict.
pub async fn replay(offer: &Offer, interrupt: Interrupt) -> Served {
    let started = Instant::now();
    match Session::new(offer, interrupt.clone()).await {
        Ok(mut session) => {
            let result = play(&mut session, interrupt).await.map(drop);
            Served { coupling: Some(session.into_coupling()), wall: started.elapsed(), result }
        }
        Err(message) => {
            let result = Err(ServeError::SetUp(message));
            Served { coupling: None, wall: started.elapsed(), result }
        }
    }
}

/// The same, with a session that was set up; returns what its simulator may not have heard: the reply to a step that was its
/// last request.
pub(crate) async fn play(session: &mut Session, interrupt: Interrupt) -> Result<Value, ServeError> {
    let tape = session.tape().clone();
    let mut unanswered = Value::Null;
    loop {
        if interrupt.is_set() {
            return Err(ServeError::Interrupted);
        }
        match tape.next(Some(session.kernel())) {
            Next::End => return Ok(unanswered),
            Next::Input(input) => session.handle(input).await,
            Next::Request(content) => {
                if let Ok(request) = Request::from_content(content) {
                    let what = desk::moving(&request);
                    // what was refused is in the recording as well
                    let reply = session.answer(request).await.ok();
                    unanswered = what.zip(reply).map_or(Value::Null, |(what, reply)| {
                        desk::unanswered(super::session::SIMULATOR, &what, reply)
                    });
                }
            }
        }
        if tape.check().is_err() {
            return Ok(unanswered);
        }
    }
}
