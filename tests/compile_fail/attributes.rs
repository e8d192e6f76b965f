use isochrone::prelude::*;

struct House;

#[agent(eid = "house", nam = "House")]
impl House {
    #[expose(please)]
    fn set(&mut self) {}

    #[input(triger)]
    fn volts(&mut self, vm: Inputs<f64>) {
        drop(vm);
    }

    #[expose]
    #[expose]
    fn twice(&self) {}

    #[expose]
    const LIMIT: f64 = 1.0;
}

#[agent(name = "a/b")]
impl Other {}

struct Other;

fn main() {}
