use isochrone::prelude::*;

struct House;

#[agent]
impl House {
    #[constructor]
    fn new(&self) -> Self {
        House
    }
}

struct Later;

#[agent]
impl Later {
    #[constructor]
    async fn new() -> Self {
        Later
    }
}

struct Nothing;

#[agent]
impl Nothing {
    #[constructor]
    fn new(kw: f64) {
        let _ = kw;
    }
}

fn main() {}
