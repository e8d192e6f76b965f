struct Calc;

#[isochrone::service]
impl Calc {
    #[every(seconds = 1)]
    fn tick(&self) {}

    #[expose]
    fn free(a: i64) -> i64 {
        a
    }

    #[expose]
    fn taken(self) {}

    #[expose]
    fn remote(&self) {}

    #[expose]
    fn borrowed(&self, _text: &str) {}
}

struct Options;

#[isochrone::service(name = "x")]
impl Options {}

struct Generic<T>(T);

#[isochrone::service]
impl<T> Generic<T> {}

fn main() {}
