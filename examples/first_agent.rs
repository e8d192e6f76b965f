//! The first agent: a heat pump with a room, and a neighbour that asks for its temperature.
//!
//! ```text
//!   Neighbour ── every 10 min: temperature? ──> Room (cools every minute, heats below 19 °C)
//! ```
//!
//! Run it: `cargo run --example first_agent -- sim --until 1h`
//! and on the wall clock: `cargo run --example first_agent -- live`

use isochrone::prelude::*;

struct Room {
    celsius: f64,
}

#[agent]
impl Room {
    /// The room loses heat, and its heat pump helps when it has to.
    #[every(minutes = 1)]
    fn breathe(&mut self) {
        self.celsius += if self.celsius < 19.0 { 0.5 } else { -0.1 };
    }

    /// The temperature in degrees Celsius.
    #[expose]
    fn temperature(&self) -> f64 {
        self.celsius
    }
}

struct Neighbour {
    room: RoomProxy,
}

#[agent]
impl Neighbour {
    #[every(minutes = 10)]
    async fn look(this: This<Self>) -> Result<(), CallError> {
        let celsius = this.with(|me| me.room.temperature()).await?;
        println!("{}: {celsius:.1} °C", this.now());
        Ok(())
    }
}

fn main() -> ExitCode {
    App::new("first_agent")
        .scenario(|world| {
            let room = world.add("room", Room { celsius: 20.0 })?;
            world.add("neighbour", Neighbour { room })?;
            Ok(())
        })
        .main()
}
