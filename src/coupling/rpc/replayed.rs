//! The simulator's part, played from a recording: no simulator, no network.

use std::time::Instant;

use super::server::{ServeError, Served};
use super::session::{Offer, Session};
use crate::clock::Interrupt;
use crate::replay::Next;
use crate::rpc::Request;

/// Asks what the simulator asked when the offer's tape was recorded, to the end of the recording or to its verdict.
pub async fn replay(offer: &Offer, interrupt: Interrupt) -> Served {
    let started = Instant::now();
    let mut session = match Session::new(offer, interrupt.clone()).await {
        Ok(session) => session,
        Err(message) => {
            let result = Err(ServeError::SetUp(message));
            return Served { coupling: None, wall: started.elapsed(), result };
        }
    };
    let result = loop {
        if interrupt.is_set() {
            break Err(ServeError::Interrupted);
        }
        match offer.tape.next(Some(session.kernel())) {
            Next::End => break Ok(()),
            Next::Input(input) => session.handle(input).await,
            Next::Request(content) => {
                if let Ok(request) = Request::from_content(content) {
                    // what was refused is in the recording as well
                    let _ = session.answer(request).await;
                }
            }
        }
        if offer.tape.check().is_err() {
            break Ok(());
        }
    };
    Served { coupling: Some(session.into_coupling()), wall: started.elapsed(), result }
}
