use isochrone::prelude::*;

#[derive(serde::Serialize, serde::Deserialize)]
struct Here(std::marker::PhantomData<*const u8>);

struct House;

#[agent]
impl House {
    #[expose]
    fn set(&mut self, value: Here) {
        let _ = value;
    }
}

fn main() {}
