//! Containers that run on the wall clock and on the network, for as long as a test needs them.

use std::future::Future;
use std::rc::Rc;
use std::time::Duration;

use isochrone::clock::{Input, Interrupt, Live, Reply, Request, Route, RunError, Wall};
use isochrone::codec::Value;
use isochrone::container::{Binding, Node};
use isochrone::prelude::*;
use tokio::sync::oneshot;
use tokio::task::{JoinHandle, LocalSet};

/// A running container.
pub(crate) struct Running {
    pub(crate) world: Rc<Container>,
    pub(crate) node: Node,
    live: Live,
    interrupt: Interrupt,
    run: JoinHandle<Result<(), RunError>>,
}

impl Running {
    /// Starts one that listens as `bind` says; `build` adds agents once its address is known.
    pub(crate) async fn start(
        name: &str,
        address: &str,
        bind: impl FnOnce(Binding<'_>) -> Binding<'_>,
        build: impl FnOnce(&Container),
    ) -> Running {
        let mut config = Config::new(name);
        config.policy = Policy::Stop;
        Wall::configure(&mut config);
        let world = Rc::new(Container::new(config).unwrap());
        let interrupt = Interrupt::default();
        let (mut wall, live) = Wall::new(interrupt.clone());
        let node = bind(world.bind(address)).serve(&live).await.unwrap_or_else(|error| panic!("{error}"));
        build(&world);
        let running = world.clone();
        let run = tokio::task::spawn_local(async move { wall.run(running.kernel(), Time::MAX).await });
        Running { world, node, live, interrupt, run }
    }

    /// The address of an agent.
    pub(crate) fn address(&self, agent: &str) -> String {
        self.node.address(agent).to_string()
    }

    /// Calls an agent by the container's door.
    pub(crate) async fn ask(&self, agent: &str, method: &str, args: Args) -> Result<Value, CallError> {
        let (reply, answer) = oneshot::channel();
        self.live.send(Input::Call(Request {
            method: method.to_string().into(),
            args,
            reply: Reply::new(Route::new("the test", agent), move |answer| drop(reply.send(answer))),
        }));
        answer.await.unwrap()
    }

    /// Ends it in an orderly way.
    pub(crate) async fn stop(self) {
        self.interrupt.set();
        self.run.await.unwrap().unwrap();
        self.node.shutdown(Duration::from_secs(2)).await;
    }
}

/// Runs a test's future, with everything it starts, on this thread.
pub(crate) fn run<R>(test: impl Future<Output = R>) -> R {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    LocalSet::new().block_on(&runtime, async {
        tokio::time::timeout(Duration::from_secs(60), test).await.expect("the test takes too long")
    })
}
