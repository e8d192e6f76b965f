//! The typed address.

use proc_macro2::TokenStream;
use quote::{ToTokens, quote};

use super::{Names, code, quiet};
use crate::attr::Key;
use crate::model::{Agent, Method};

pub(super) fn expand(agent: &Agent, names: &Names) -> TokenStream {
    let Names { proxy, .. } = names;
    let ty = &agent.ty;
    let quiet = quiet();
    let doc = format!("The typed address of a `{}`: each method is a request to it.", agent.name);
    let calls = agent.with(Key::Expose).map(|method| call(method, agent, names));
    code! {
        #[doc = #doc]
        #[derive(::core::clone::Clone, ::core::fmt::Debug, ::core::cmp::PartialEq, ::core::cmp::Eq)]
        #quiet
        pub struct #proxy(::isochrone::agent::Target<#ty>);

        #quiet
        impl #proxy {
            /// The agent itself, for one of this container; for one elsewhere, an agent that is nowhere.
            #[must_use]
            #[inline]
            pub fn agent(&self) -> ::isochrone::sim::Ref<#ty> {
                self.0.agent()
            }

            /// The same address, by which any method is called by its name.
            #[must_use]
            pub fn untyped(&self) -> ::isochrone::agent::Proxy {
                self.0.untyped()
            }

            #(#calls)*
        }

        #[automatically_derived]
        #quiet
        impl ::core::convert::From<::isochrone::sim::Ref<#ty>> for #proxy {
            #[inline]
            fn from(agent: ::isochrone::sim::Ref<#ty>) -> Self {
                #proxy(::isochrone::agent::Target::Near(agent))
            }
        }

        #[automatically_derived]
        #quiet
        impl ::core::convert::From<::isochrone::agent::Far> for #proxy {
            fn from(agent: ::isochrone::agent::Far) -> Self {
                #proxy(::isochrone::agent::Target::Far(agent))
            }
        }

        #[automatically_derived]
        #quiet
        impl ::core::convert::From<#proxy> for ::isochrone::agent::Proxy {
            fn from(proxy: #proxy) -> Self {
                proxy.untyped()
            }
        }

        #[automatically_derived]
        impl ::isochrone::agent::Connect for #proxy {}

        #[automatically_derived]
        #quiet
        impl ::isochrone::serde::Serialize for #proxy {
            fn serialize<S: ::isochrone::serde::Serializer>(
                &self,
                serializer: S,
            ) -> ::core::result::Result<S::Ok, S::Error> {
                ::isochrone::serde::Serialize::serialize(&self.0, serializer)
            }
        }

        #[automatically_derived]
        #quiet
        impl<'de> ::isochrone::serde::Deserialize<'de> for #proxy {
            fn deserialize<D: ::isochrone::serde::Deserializer<'de>>(
                deserializer: D,
            ) -> ::core::result::Result<Self, D::Error> {
                ::isochrone::serde::Deserialize::deserialize(deserializer).map(#proxy)
            }
        }
    }
}

fn call(method: &Method, agent: &Agent, names: &Names) -> TokenStream {
    let Names { message, reply, .. } = names;
    let (ty, ident, name, ok) = (&agent.ty, &method.ident, &method.name, method.ok());
    let (args, types): (Vec<_>, Vec<_>) = method.args.iter().map(|arg| (&arg.ident, &arg.ty)).unzip();
    let doc = doc(method);
    code! {
        #doc
        #[inline]
        pub fn #ident(&self, #(#args: #types),*) -> ::isochrone::agent::Call<#ok, #ty> {
            self.0.call(#message::#ident(#(#args),*), |reply| match reply {
                #reply::#ident(result) => result,
                _ => ::core::result::Result::Err(::isochrone::rpc::CallError::new(
                    "Internal",
                    ::std::format!("the reply to `{}` is that of another method", #name),
                )),
            })
        }
    }
}

/// The doc comment of a proxy's method.
pub(super) fn doc(method: &Method) -> TokenStream {
    let copied =
        method.attrs.iter().filter(|attr| attr.path().is_ident("doc") || attr.path().is_ident("deprecated"));
    let copied: TokenStream = copied.map(ToTokens::to_token_stream).collect();
    let own = method.doc.is_empty().then(|| {
        let own = format!("Calls `{}`.", method.name);
        quote!(#[doc = #own])
    });
    quote!(#own #copied)
}
