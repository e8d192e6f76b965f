use isochrone::prelude::*;

struct House;

#[agent]
impl House {
    #[expose]
    fn by_value(self) {}

    #[expose]
    fn nobody(kw: f64) {
        let _ = kw;
    }

    #[expose]
    fn not_async(this: This<Self>) {
        drop(this);
    }

    #[stop]
    async fn end(this: This<Self>) {
        drop(this);
    }

    #[output]
    async fn p_mw(&self) -> f64 {
        1.0
    }

    #[output]
    fn q_mw(&self, cx: &Ctx) -> Time {
        cx.now()
    }
}

fn main() {}
