use isochrone::prelude::*;

struct House;

#[agent]
impl House {
    #[every]
    fn a(&mut self) {}

    #[every(fortnights = 2)]
    fn b(&mut self) {}

    #[every(minutes = 0.5)]
    fn c(&mut self) {}

    #[every(minutes = 0)]
    fn d(&mut self) {}

    #[every(days = 200000)]
    fn e(&mut self) {}

    #[every(minutes = 1)]
    async fn f(&mut self) {}

    #[every(minutes = 1)]
    fn g(&mut self, kw: f64) {
        let _ = kw;
    }

    #[every(minutes = 1)]
    fn h(&mut self) -> f64 {
        1.0
    }
}

fn main() {}
