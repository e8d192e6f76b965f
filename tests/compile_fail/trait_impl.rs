use isochrone::prelude::*;

struct House;

#[agent]
impl Clone for House {
    fn clone(&self) -> Self {
        House
    }
}

trait Dwelling {}

#[agent]
impl dyn Dwelling {}

fn main() {}
