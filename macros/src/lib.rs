//! The `#[agent]` attribute.
