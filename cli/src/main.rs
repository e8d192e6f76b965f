//! The program `isochrone`.
fn main() {}
