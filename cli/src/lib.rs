//! The parts of the program `isochrone`, as a library so that its tests can reach them; no interface for anybody else.

pub mod cert;
pub mod demo;
pub mod journal;
pub mod visit;
