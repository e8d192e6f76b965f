//! mosaik's part, played from a recording: no mosaik, no Python, no network.

use std::time::Instant;

use tokio::sync::mpsc;

use super::requests::Link;
use super::session::Session;
use super::simulator::Simulator;
use crate::clock::Interrupt;
use crate::coupling::{ServeError, Served};
use crate::replay::Next;
use crate::rpc::Request;

/// Asks what mosaik asked when the simulator's tape was recorded, to the end of the recording or to its verdict.
pub async fn replay(simulator: &Simulator, interrupt: Interrupt) -> Served {
    let started = Instant::now();
    // nothing comes here: what agents asked mosaik is in the recording
    let (sender, _asks) = mpsc::unbounded_channel();
    let link = Link(sender);
    let mut session = Session::new(simulator, interrupt.clone());
    let result = loop {
        if interrupt.is_set() {
            break Err(ServeError::Interrupted);
        }
        let done = match simulator.tape.next(session.kernel()) {
            Next::End => break Ok(()),
            Next::Input(input) => session.handle(input).await,
            Next::Request(content) => match Request::from_content(content) {
                Ok(request) => session.answer(request, &link).await.map(drop),
                Err(error) => Err(error.into()),
            },
        };
        // what mosaik was refused is in the recording as well
        drop(done);
        if simulator.tape.check().is_err() {
            break Ok(());
        }
    };
    Served { coupling: session.into_coupling(), wall: started.elapsed(), result }
}
