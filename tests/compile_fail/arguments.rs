use isochrone::prelude::*;

struct House;

#[agent]
impl House {
    #[expose]
    fn reference(&self, name: &str) {
        let _ = name;
    }

    #[expose]
    fn any(&self, values: Vec<Option<&'static str>>, more: impl Iterator<Item = f64>) {
        drop((values, more));
    }

    #[expose]
    fn pattern(&self, (a, b): (f64, f64), _: u8) {
        let _ = (a, b);
    }

    #[expose]
    fn result(&self) -> &'static str {
        "house"
    }

    #[expose]
    fn generic<T>(&self, value: T) {
        drop(value);
    }
}

fn main() {}
