//! A server that is killed and comes back is found again.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Instant;

use isochrone::channel::transport::{ListenOptions, Listener};
use isochrone::clock::{Interrupt, Wall};
use isochrone::container::SameProcess;
use isochrone::prelude::*;
use isochrone::sim::Kernel;
use net::run;

#[path = "support/net.rs"]
#[allow(dead_code, reason = "each test uses its part")]
mod net;

const CLIENTS: usize = 200;

struct Server;

#[agent]
impl Server {
    #[expose]
    fn add(&self, a: i64, b: i64) -> i64 {
        a + b
    }
}

/// Asks ten times a second, whatever the answer is.
struct Client {
    server: ServerProxy,
    answers: u32,
    lost: u32,
    /// of answers since the last loss
    since: u32,
}

#[agent]
impl Client {
    #[every(millis = 100)]
    async fn ask(this: This<Self>) {
        let server = this.with(|me| me.server.clone());
        let answer = server.add(1, 2).await;
        this.with(|me| match answer {
            Ok(3) => (me.answers, me.since) = (me.answers + 1, me.since + 1),
            Err(error) if error.kind() == "Disconnected" => (me.lost, me.since) = (me.lost + 1, 0),
            other => panic!("{other:?}"),
        });
    }
}

/// A server on a thread of its own, as a process of its own would be; its end is sudden.
struct Serving {
    end: Interrupt,
    thread: thread::JoinHandle<()>,
    port: u16,
}

impl Serving {
    fn start(port: u16) -> Serving {
        let end = Interrupt::default();
        let (told, bound) = std::sync::mpsc::channel();
        let interrupt = end.clone();
        let thread = thread::spawn(move || {
            run(async {
                let mut config = Config::new("server");
                Wall::configure(&mut config);
                let world = Container::new(config).unwrap();
                world.add("server", Server).unwrap();
                let (mut wall, live) = Wall::new(interrupt);
                let node = world
                    .bind(&format!("tcp://127.0.0.1:{port}"))
                    .same_process(SameProcess::Socket)
                    .listen(|options| options.max_per_address = 1_000)
                    .serve(&live)
                    .await
                    .unwrap();
                let isochrone::channel::Endpoint::Tcp { port, .. } = *node.endpoint() else { unreachable!() };
                told.send(port).unwrap();
                wall.run(world.kernel(), Time::MAX).await.unwrap();
                drop(node);
            });
        });
        Serving { end, thread, port: bound.recv().unwrap() }
    }

    fn kill(self) {
        self.end.set();
        self.thread.join().unwrap();
    }
}

fn look(kernel: &Kernel, see: impl Fn(&mut Client) -> u32) -> Vec<u32> {
    let one = |n| kernel.look::<Client, _>(isochrone::sim::AgentId::new(n), &see);
    (0..kernel.population()).filter_map(one).collect()
}

#[test]
fn a_server_that_is_killed_and_restarted_is_found_again_by_200_clients_without_a_storm() {
    run(async {
        let server = Serving::start(0);
        let port = server.port;
        let stop = Interrupt::default();
        let mut clients = Vec::new();
        for n in 0..CLIENTS {
            let mut config = Config::new(format!("client_{n}"));
            Wall::configure(&mut config);
            let world = std::rc::Rc::new(Container::new(config).unwrap());
            let (mut wall, live) = Wall::new(stop.clone());
            let node =
                world.bind("tcp://127.0.0.1:0").same_process(SameProcess::Socket).serve(&live).await.unwrap();
            let server = world.connect(&format!("tcp://127.0.0.1:{port}/server"), secs(10)).await.unwrap();
            world.add("client", Client { server, answers: 0, lost: 0, since: 0 }).unwrap();
            let running = world.clone();
            let run = tokio::task::spawn_local(async move { wall.run(running.kernel(), Time::MAX).await });
            clients.push((world, node, run));
        }
        let all = |see: fn(&mut Client) -> u32| -> Vec<u32> {
            clients.iter().flat_map(|(world, ..)| look(world.kernel(), see)).collect()
        };
        let until = |what: &'static str, see: fn(&mut Client) -> u32| async move {
            let start = Instant::now();
            while !all(see).iter().all(|n| *n > 0) {
                assert!(start.elapsed() < secs(30), "{what}: {:?}", all(see));
                tokio::time::sleep(millis(20)).await;
            }
        };
        until("answers", |me| me.answers).await;
        server.kill();
        until("losses", |me| me.lost).await;

        // while it is gone, something listens in its place and counts who comes
        let counting = Arc::new(AtomicUsize::new(0));
        let counted = counting.clone();
        let mut options = ListenOptions::default();
        options.max_per_address = 1_000;
        let place = format!("tcp://127.0.0.1:{port}").parse().unwrap();
        let mut listener = Listener::bind(&place, options).await.unwrap();
        let counter = tokio::task::spawn_local(async move {
            loop {
                drop(listener.accept().await);
                counted.fetch_add(1, Ordering::Relaxed);
            }
        });
        let gone = secs(3);
        tokio::time::sleep(gone).await;
        counter.abort();
        let _ = counter.await;
        let attempts = counting.load(Ordering::Relaxed);
        // each client asks thirty times meanwhile; connects are few: waits double from 100 ms on
        assert!((CLIENTS..CLIENTS * 12).contains(&attempts), "{attempts} attempts in {gone:?}");

        let server = Serving::start(port);
        until("answers after the restart", |me| me.since).await;
        stop.set();
        for (_, node, run) in clients {
            run.await.unwrap().unwrap();
            drop(node);
        }
        server.kill();
    });
}
