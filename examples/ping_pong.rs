//! Ping-pong: the same two agents live and simulated, from the same source.
//!
//! ```text
//!   Ping ── hit(n) ──> Pong (thinks 100 ms) ── n + 1 ──> Ping
//! ```
//!
//! Simulated, in no time: `cargo run --example ping_pong -- sim --until 10s`
//! Live, in two seconds:  `cargo run --example ping_pong -- live --until 2s`
//! Both print the same rallies at the same times.

use isochrone::prelude::*;

struct Pong;

#[agent]
impl Pong {
    /// Returns the ball, after a moment.
    #[expose]
    async fn hit(this: This<Self>, n: u32) -> u32 {
        this.sleep(millis(100)).await;
        n + 1
    }
}

struct Ping {
    pong: PongProxy,
}

#[agent]
impl Ping {
    #[start]
    async fn serve(this: This<Self>) -> Result<(), CallError> {
        let mut ball = 0;
        while ball < 10 {
            ball = this.with(|me| me.pong.hit(ball)).timeout(secs(1)).await?;
            // live as well the clock reads exactly what the timers say
            println!("rally {ball} at {}", this.now());
        }
        Ok(())
    }
}

fn main() -> ExitCode {
    App::new("ping_pong")
        .scenario(|world| {
            let pong = world.add("pong", Pong)?;
            world.add("ping", Ping { pong })?;
            Ok(())
        })
        .main()
}
