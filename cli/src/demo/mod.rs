//! `isochrone demo`: agents that keep a real low-voltage grid within its limits, on real load data.

pub mod baseline;
pub mod data;
pub mod grid;
pub mod report;
