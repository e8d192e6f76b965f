use isochrone::prelude::*;

struct House;

#[agent]
impl House {
    #[expose]
    #[input]
    fn volts(&mut self, vm: Inputs<f64>) {
        drop(vm);
    }

    #[expose]
    #[output(event)]
    fn pong(&mut self) -> Vec<u8> {
        Vec::new()
    }

    #[expose]
    #[every(minutes = 1)]
    fn plan(&mut self, kw: f64) {
        let _ = kw;
    }

    #[start]
    fn one(&mut self) {}

    #[start]
    fn two(&mut self) {}

    #[expose]
    fn agent(&self) {}
}

fn main() {}
