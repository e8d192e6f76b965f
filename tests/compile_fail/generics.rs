use isochrone::prelude::*;

struct House<T>(T);

#[agent]
impl<T: 'static> House<T> {
    #[expose]
    fn set(&mut self, value: T) {
        self.0 = value;
    }
}

#[agent]
impl House<f64> {
    #[expose]
    fn get(&self) -> f64 {
        self.0
    }
}

fn main() {}
