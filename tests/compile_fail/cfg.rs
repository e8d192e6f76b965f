use isochrone::prelude::*;

struct House;

#[agent]
impl House {
    #[cfg(unix)]
    #[expose]
    fn set(&mut self) {}

    #[expose]
    unsafe fn raw(&self) {}

    #[expose]
    fn untold(&self) -> std::fmt::Result {
        Ok(())
    }
}

fn main() {}
