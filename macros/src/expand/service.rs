//! A service: its methods by name, and the typed proxy that peers use.

use proc_macro2::TokenStream;
use quote::format_ident;

use super::agent::{bind, methods};
use super::proxy::doc;
use super::{answer, code, invoke, locals, quiet};
use crate::attr::Key;
use crate::model::{Agent, Method};

pub(super) fn expand(service: &Agent) -> TokenStream {
    let ty = &service.ty;
    let (name, quiet) = (&service.name, quiet());
    let methods = methods(service);
    let arms = service.with(Key::Expose).enumerate().map(|(index, method)| arm(method, index));
    let proxy = proxy(service);
    code! {
        #[automatically_derived]
        #quiet
        impl ::isochrone::rpc::Exposed for #ty {
            const NAME: &'static str = #name;
            const METHODS: &'static [::isochrone::rpc::Method] = &[#(#methods),*];

            fn call(
                me: &::isochrone::rpc::Shared<Self>,
                method: &str,
                call: &mut ::isochrone::rpc::Incoming<'_>,
            ) -> ::core::result::Result<::isochrone::rpc::Outcome, ::isochrone::rpc::CallError> {
                match method {
                    #(#arms)*
                    _ => ::core::result::Result::Ok(::isochrone::rpc::Outcome::NotFound(0)),
                }
            }
        }
        #proxy
    }
}

/// The answer of one method: its arguments, then the call, in place if it does not wait and the lock is free.
fn arm(method: &Method, index: usize) -> TokenStream {
    let name = &method.name;
    let alone = method.sig.receiver().is_some_and(|me| me.mutability.is_some());
    let asynchronous = method.sig.asyncness.is_some();
    let (locals, types) = (locals(method), method.args.iter().map(|arg| &arg.ty));
    let bind = bind(method, &code!(&<Self as ::isochrone::rpc::Exposed>::METHODS[#index].signature));
    // nothing at all is an empty list, not `()`
    let (pattern, expected) = match method.args.is_empty() {
        true => (code!([]), code!([(); 0])),
        false => (code!((#(#locals,)*)), code!((#(#types,)*))),
    };
    let binding = code! {
        let #pattern = match call.positional::<#expected>() {
            ::core::option::Option::Some(args) => args,
            ::core::option::Option::None => {
                let args = call.args()?;
                #bind
                #pattern
            }
        };
    };
    let binding = match method.rest() {
        // what is left has no type of its own to be read into
        Some(_) => code!(let args = call.args()?; #bind),
        None => binding,
    };
    let (lock, try_lock, state) = match alone {
        true => (code!(write_owned), code!(try_write), code!(&mut me)),
        false => (code!(read_owned), code!(try_read), code!(&me)),
    };
    let invoked = invoke(method, &state, &code!(&peer));
    let invoked = if asynchronous { code!(#invoked.await) } else { invoked };
    let answered = answer(method, &invoked);
    let in_place = (!asynchronous).then(|| {
        let invoked = invoke(method, &state, &code!(call.peer()));
        let answered = answer(method, &invoked);
        code! {
            if let ::core::option::Option::Some(mut me) = me.#try_lock() {
                let result = #answered;
                return ::core::result::Result::Ok(call.answer(result));
            }
        }
    });
    let peer = method.cx.then(|| code!(let peer = ::core::clone::Clone::clone(call.peer());));
    code! {
        #name => {
            #binding
            #in_place
            let me = ::core::clone::Clone::clone(me);
            #peer
            ::core::result::Result::Ok(call.later(async move {
                let mut me = me.#lock().await;
                #answered
            }))
        }
    }
}

/// The typed proxy of such a service at a peer.
fn proxy(service: &Agent) -> TokenStream {
    let quiet = quiet();
    let proxy = format_ident!("{}Proxy", service.ident);
    let about =
        format!("The typed proxy of a `{}` that a peer has: each method is a call of it.", service.name);
    let calls = service.with(Key::Expose).map(|method| {
        let (doc, ident, name, ok) = (doc(method), &method.ident, &method.name, method.ok());
        let (args, types): (Vec<_>, Vec<_>) = method.args.iter().map(|arg| (&arg.ident, &arg.ty)).unzip();
        if method.rest().is_some() {
            let packed = method.args.iter().map(|arg| match (&arg.ident, arg.rest) {
                (ident, true) => code!(.args(#ident)),
                (ident, false) => code!(.arg(#ident)),
            });
            return code! {
                #doc
                pub fn #ident(&self, #(#args: #types),*) -> ::isochrone::rpc::Call<#ok> {
                    ::isochrone::rpc::Call::new(&self.0, #name, ::isochrone::rpc::Args::default())#(#packed)*
                }
            };
        }
        // `()` would be nothing, where no arguments are an empty list
        let (packed, packed_type) = match args.is_empty() {
            true => (code!([]), code!([(); 0])),
            false => (code!((#(#args,)*)), code!((#(#types,)*))),
        };
        code! {
            #doc
            #[inline]
            pub fn #ident(
                &self,
                #(#args: #types),*
            ) -> ::isochrone::rpc::Call<#ok, ::isochrone::rpc::Positional<#packed_type>> {
                ::isochrone::rpc::Call::new(&self.0, #name, ::isochrone::rpc::Positional(#packed))
            }
        }
    });
    code! {
        #[doc = #about]
        #[derive(::core::clone::Clone, ::core::fmt::Debug, ::core::cmp::PartialEq)]
        #quiet
        pub struct #proxy(::isochrone::rpc::Remote);

        #quiet
        impl #proxy {
            /// The same proxy, by which any method is called by its name.
            #[must_use]
            pub fn remote(&self) -> &::isochrone::rpc::Remote {
                &self.0
            }

            #(#calls)*
        }

        #[automatically_derived]
        #quiet
        impl ::core::convert::From<::isochrone::rpc::Remote> for #proxy {
            fn from(remote: ::isochrone::rpc::Remote) -> Self {
                #proxy(remote)
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
