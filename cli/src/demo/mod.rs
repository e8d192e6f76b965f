//! `isochrone demo`: agents that keep a real low-voltage grid within its limits, on real load data.
//!
//! | module | what |
//! |--------|------|
//! | [`agents`] | the agents, as any user would write them |
//! | [`plant`] | the external simulator: it owns the grid and moves the agents' clock, through the coupling alone |
//! | [`grid`], [`data`] | power flow, and the week it is solved for |
//! | [`baseline`] | the columns the agents are measured against |
//! | [`trace`] | one negotiation, caught by an observer |
//! | [`command`], [`report`] | the command line, the table, the checks; the page |

pub mod agents;
pub mod baseline;
pub mod command;
pub mod data;
pub mod grid;
pub mod plant;
pub mod report;
pub mod trace;
