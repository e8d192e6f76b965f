//! `#[isochrone::test]`: a function that takes a trial becomes a test that runs with many seeds.

use proc_macro2::TokenStream;
use quote::quote;
use syn::parse::{Parse, ParseStream};
use syn::{Ident, ItemFn, LitInt, Token};

/// Seeds of a test that does not say how many.
const SEEDS: u64 = 64;

/// What stands in the attribute's parentheses.
pub(crate) struct Options {
    seeds: u64,
}

impl Parse for Options {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        if input.is_empty() {
            return Ok(Options { seeds: SEEDS });
        }
        let name: Ident = input.parse()?;
        if name != "seeds" {
            return Err(syn::Error::new_spanned(name, "write `seeds = 64`: there is nothing else to say"));
        }
        input.parse::<Token![=]>()?;
        let number: LitInt = input.parse()?;
        match number.base10_parse()? {
            0 => Err(syn::Error::new_spanned(number, "a test with no seeds tests nothing")),
            seeds => Ok(Options { seeds }),
        }
    }
}

pub(crate) fn expand(Options { seeds }: &Options, function: &ItemFn) -> TokenStream {
    let signature = &function.sig;
    let problem = match () {
        () if signature.inputs.len() != 1 => Some("a test takes one argument, `world: &mut Trial`"),
        () if signature.asyncness.is_some() => {
            Some("a test moves the clock itself, by `world.advance(..)`: it is no `async fn`")
        }
        () => None,
    };
    if let Some(problem) = problem {
        let error = syn::Error::new_spanned(signature, problem).to_compile_error();
        return quote!(#error #function);
    }
    let (name, attributes, visibility) = (&signature.ident, &function.attrs, &function.vis);
    let mut body = function.clone();
    body.attrs.clear();
    body.vis = syn::Visibility::Inherited;
    quote! {
        #[::core::prelude::v1::test]
        #(#attributes)*
        #visibility fn #name() {
            #body
            ::isochrone::testing::run(
                ::core::concat!(::core::module_path!(), "::", ::core::stringify!(#name)),
                #seeds,
                #name,
            );
        }
    }
}
