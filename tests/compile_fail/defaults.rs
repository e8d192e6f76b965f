use isochrone::prelude::*;

struct House;

#[agent]
impl House {
    #[expose]
    fn set(&self, cx: &Ctx, #[default(1.0)] kw: f64, scale: f64) {
        let _ = (cx, kw, scale);
    }

    #[expose]
    fn clock(&self, #[default(1)] cx: &Ctx) {
        let _ = cx;
    }

    #[expose]
    fn empty(&self, #[default] kw: f64) {
        let _ = kw;
    }

    #[expose]
    fn rest(&self, first: Args, #[default(Args::default())] second: Args) {
        drop((first, second));
    }

    #[input]
    fn volts(&mut self, #[default(1)] vm: Inputs<f64>) {
        drop(vm);
    }

    fn helper(&self, #[default(1.0)] kw: f64) {
        let _ = kw;
    }
}

fn main() {}
