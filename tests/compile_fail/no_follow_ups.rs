use isochrone::prelude::*;

struct House {
    neighbour: HouseProxy,
}

#[agent]
impl House {
    #[expose]
    fn set(&mut self, kw: &f64) {
        let _ = kw;
    }

    #[expose]
    fn get(&self) -> f64 {
        1.0
    }
}

fn build(container: &Container, house: House) {
    let _ = house.neighbour.get();
    let _ = container.add("house", house);
}

fn main() {}
