//! The program as a partner of any simulator that can make an RPC.

use std::io::Write;
use std::rc::Rc;
use std::time::Instant;

use super::cli::Serve;
use super::network::Joining;
use super::run::{Ended, Taping, configure, finish, set_up};
use super::{App, params};
use crate::agent::Container;
use crate::channel::Config;
use crate::channel::transport::{ListenOptions, Listener};
use crate::clock::Interrupt;
use crate::coupling::Served;
use crate::coupling::rpc::{Offer, Server, Session, play};

/// How a run ends that does not fail.
const WELL: &str = "the simulator said stop";

pub(super) async fn serve(
    app: &Rc<App>,
    args: Serve,
    taping: &Taping<'_>,
    interrupt: Interrupt,
) -> Result<(), Ended> {
    let mut access = args.network.access(taping.is_replay())?;
    access.says = "agents at";
    let mut config = configure(app.config.clone(), &args.common);
    let tape = taping.tape(app, &mut config, "coupled", &args.common.record)?;
    let params = params::parse(&args.common.params).map_err(Ended::Usage)?;
    let scratch = Container::new(config.clone()).map_err(|error| Ended::Failed(error.to_string()))?;
    (app.prepare)(&scratch, &params).map_err(Ended::Usage)?;
    drop(scratch);
    let models = app.types.iter().map(|kind| (kind.name.clone(), (kind.vtable, kind.public))).collect();
    let (mode, app, joined) = (args.mode.unwrap_or(app.mode), app.clone(), app.clone());
    let (common, played) = (args.common, tape.clone());
    let build = Rc::new(move |world: &Container| {
        (app.prepare)(world, &params)?;
        set_up(&app, world, &common, &played)
    });
    let (joining, join) = Joining::new(&joined, access, &tape);
    let channel = Config { codec: args.network.codec, ..Offer::connections() };
    let offer = Offer { models, mode, config, build, tape, join, channel };
    let mut resumed = None;
    if offer.tape.is_playing() {
        let started = Instant::now();
        let mut session = Session::new(&offer, interrupt.clone()).await.map_err(Ended::Failed)?;
        let played = play(&mut session, interrupt.clone()).await;
        match played {
            Ok(unanswered) if offer.tape.is_resumed() && !session.is_stopped() => {
                resumed = Some((session, unanswered))
            }
            played => {
                let (coupling, wall) = (Some(session.into_coupling()), started.elapsed());
                return finish(Served { coupling, wall, result: played.map(drop) }, &offer.tape, WELL);
            }
        }
    }

    let failed = |error: &dyn std::fmt::Display| Ended::Failed(error.to_string());
    let listening = ListenOptions { insecure_bind: args.network.insecure_bind, ..ListenOptions::default() };
    let listened = Listener::bind(&args.listen, listening).await;
    let listener = listened.map_err(|error| failed(&error))?;
    // one line, and at once: scripts wait for it
    let mut stdout = std::io::stdout();
    let told = writeln!(stdout, "listening at {}", listener.endpoint()).and_then(|()| stdout.flush());
    told.map_err(|error| failed(&format!("the address could not be printed: {error}")))?;
    let mut server = Server::new(listener, args.on_owner_loss);
    let ended = loop {
        let mut served = match resumed.take() {
            Some((session, unanswered)) => {
                session.join(&offer).await.map_err(Ended::Failed)?;
                server.go_on(session, &offer, unanswered, interrupt.clone()).await
            }
            None => server.serve(&offer, interrupt.clone()).await,
        };
        joining.leave(served.coupling.as_mut()).await;
        // a set-up that has failed would fail again
        let keep = args.keep && served.coupling.is_some();
        match finish(served, &offer.tape, WELL) {
            Err(Ended::Failed(message)) if keep => tracing::warn!("{message}"),
            Ok(()) if keep => {}
            ended => break ended,
        }
    };
    server.close().await;
    ended
}
