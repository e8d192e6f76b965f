use isochrone::prelude::*;

struct House;

#[agent]
impl House {
    #[input]
    fn none(&mut self) {}

    #[input]
    fn bare(&mut self, vm: f64) {
        let _ = vm;
    }

    #[input]
    fn two(&mut self, vm: Inputs<f64>, va: Inputs<f64>) {
        drop((vm, va));
    }

    #[output]
    fn nothing(&self) {}

    #[output]
    fn failing(&self) -> Result<f64, CallError> {
        Ok(1.0)
    }

    #[output(event)]
    fn no_list(&mut self) -> f64 {
        1.0
    }

    #[output(event)]
    fn only_looking(&self) -> Vec<f64> {
        Vec::new()
    }

    #[output(event, stamped)]
    fn no_stamps(&mut self) -> Vec<f64> {
        Vec::new()
    }

    #[output(stamped)]
    fn no_event(&mut self) -> Vec<(Time, f64)> {
        Vec::new()
    }

    #[output(event, on_change)]
    fn both(&mut self) -> Vec<f64> {
        Vec::new()
    }
}

fn main() {}
