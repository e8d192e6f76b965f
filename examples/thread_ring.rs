//! The thread ring: 100 agents in a circle pass a token 100,000 times, and each sleeps 1 ms before it passes it on.
//!
//! ```text
//!   node 0 ──1 ms──> node 1 ──1 ms──> .. ──> node 99 ──1 ms──> node 0
//! ```
//!
//! The clock then stands at exactly 100 s: sleeps do not drift.
//!
//! Run it: `cargo run --release --example thread_ring`

use std::error::Error;

use isochrone::prelude::*;

const NODES: usize = 100;
const HOPS: u64 = 100_000;

#[derive(Default)]
struct Node {
    next: Option<NodeProxy>,
    last: bool,
}

#[agent]
impl Node {
    #[expose]
    async fn pass(this: This<Self>, left: u64) {
        if left == 0 {
            this.with(|me| me.last = true);
            return;
        }
        this.sleep(millis(1)).await;
        this.with(|me| me.next.as_ref().map(|next| next.pass(left - 1).send()));
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let world = Container::new(Config::new("ring"))?;
    let nodes = (0..NODES).map(|_| world.add_unnamed(Node::default())).collect::<Result<Vec<_>, _>>()?;
    for (at, node) in nodes.iter().enumerate() {
        let next = nodes[(at + 1) % NODES].clone();
        world.with(node.agent(), |me| me.next = Some(next));
    }
    world.enter(|| nodes[0].pass(HOPS).send());
    let next = world.run_until(Time::MAX)?;
    let counts = world.kernel().counts();
    println!(
        "{} messages, {} activations; the clock stands at {:#}",
        counts.messages,
        counts.activations,
        world.now()
    );
    let at_its_end =
        nodes.iter().filter_map(|node| world.with(node.agent(), |me| me.last)).filter(|last| *last).count();
    if world.now() != Time::ZERO + secs(100) || next.is_some() || at_its_end != 1 {
        return Err(format!("expected the token's end at 100 s, not at {:#}", world.now()).into());
    }
    Ok(())
}
