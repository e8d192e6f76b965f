//! Agents in several processes tell each other what they have heard, whoever of them is there at the moment.
//!
//! ```text
//!   gossip live --bind tcp://127.0.0.1:7001        gossip live --bind tcp://127.0.0.1:7002
//!     teller_0 .. teller_3  ------ hear(n) -------->  teller_0 .. teller_3
//!                           <----- the largest n ----
//! ```
//!
//! Run it in two terminals, or three; kill them as you like, with `kill -9` too, and start them again. With `--record` each
//! process has its own side of the story, which replays without the others:
//!
//! ```text
//! cargo run --example gossip -- live --bind tcp://127.0.0.1:7001 --param peers=tcp://127.0.0.1:7002 --record one.jrn
//! cargo run --example gossip -- live --bind tcp://127.0.0.1:7002 --param peers=tcp://127.0.0.1:7001 --record two.jrn
//! cargo run --example gossip -- replay one.jrn
//! ```

use isochrone::prelude::*;

/// Where the others are, separated by commas.
#[derive(serde::Deserialize)]
struct Params {
    peers: String,
}

const TELLERS: u64 = 4;

#[derive(Default)]
struct Teller {
    peers: Vec<String>,
    largest: u64,
    misses: u64,
}

#[agent]
impl Teller {
    #[every(millis = 7)]
    async fn tell(this: This<Self>) {
        let (peers, largest) = this.with(|me| (me.peers.clone(), me.largest));
        let Some(peer) = this.random("peer").choose(&peers).cloned() else { return };
        let teller = this.random("teller").below(TELLERS);
        let heard = async {
            let peer = Proxy::connect(&format!("{peer}/teller_{teller}"), millis(500)).await?;
            let told = peer.call("hear").arg(largest + 1).returning::<u64>();
            told.timeout(millis(500)).await
        };
        let heard = heard.await;
        this.with(|me| match heard {
            Ok(heard) => me.largest = me.largest.max(heard),
            // whoever is away comes back
            Err(_) => me.misses += 1,
        });
    }

    /// Hears a number, and answers with the largest.
    #[expose]
    fn hear(&mut self, number: u64) -> u64 {
        self.largest = self.largest.max(number);
        self.largest
    }
}

fn build(world: &Container) -> Built {
    let peers = world.shared::<Params>().map_or(Vec::new(), |params| {
        params.peers.split(',').filter(|peer| !peer.is_empty()).map(str::to_owned).collect()
    });
    for n in 0..TELLERS {
        world.add(&format!("teller_{n}"), Teller { peers: peers.clone(), ..Default::default() })?;
    }
    Ok(())
}

fn main() -> ExitCode {
    App::new("gossip").about("Agents in several processes").params::<Params>().scenario(build).main()
}
