//! `#[agent]` makes of one impl block what its agents are called by, from near and far.
use isochrone::prelude::*;
#[derive(Default)]
struct House {
    load_kw: f64,
    ticks: u32,
}
#[agent]
impl House {
    /// Sets the load.
    #[expose]
    fn set(&mut self, cx: &Ctx, kw: f64, #[default(1.0)] scale: f64) -> Result<f64, CallError> {
        let _ = cx.now();
        self.load_kw = kw * scale;
        Ok(self.load_kw)
    }
    #[expose]
    async fn bid(this: This<Self>, price: f64) -> f64 {
        this.sleep(secs(2)).await;
        this.with(|me| me.load_kw) * price
    }
    #[expose]
    async fn excl(&mut self, cx: &Ctx) -> f64 {
        cx.sleep(secs(1)).await;
        self.load_kw
    }
    #[every(minutes = 15)]
    fn plan(&mut self) {
        self.ticks += 1;
    }
    #[input]
    fn voltage(&mut self, vm: Inputs<f64>) {
        self.load_kw = vm.sum()
    }
    #[output]
    fn p_mw(&self) -> f64 {
        self.load_kw
    }
}
#[test]
fn x() {
    use isochrone::sim::*;
    let k = Kernel::new(Config::new("grid")).unwrap();
    let h = k.create(Some("h"), House::default()).unwrap();
    let mut asked = k.ask(h, HouseMessage::set(2.0, 3.0));
    k.run_until(Time::ZERO).unwrap();
    assert_eq!(6.0, House::encode(k.answer(&mut asked).unwrap().unwrap()).unwrap().as_f64().unwrap());
}
