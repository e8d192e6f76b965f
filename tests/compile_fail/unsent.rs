use isochrone::prelude::*;

struct House;

#[agent]
impl House {
    #[expose]
    fn set(&mut self, kw: f64) {
        let _ = kw;
    }
}

#[deny(unused_must_use)]
fn forget(house: HouseProxy) {
    house.set(1.0);
}

fn main() {}
