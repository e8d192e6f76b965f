//! The `#[agent]` attribute.
/// placeholder until the macro branch lands
#[proc_macro_attribute]
pub fn agent(_: proc_macro::TokenStream, item: proc_macro::TokenStream) -> proc_macro::TokenStream { item }
