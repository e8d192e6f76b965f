//! Discrete-event kernel.
