mod differential;
mod serde;
mod typed;
mod types;
pub(super) mod values;
