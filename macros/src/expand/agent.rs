//! What the outside sees: constructor, names, ports.

use proc_macro2::TokenStream;
use syn::Ident;
use syn::spanned::Spanned;

use super::{Names, answer, code, code_at, invoke, locals, quiet, text};
use crate::attr::Key;
use crate::model::{Agent, Method};

pub(super) fn expand(agent: &Agent, names: &Names) -> TokenStream {
    let Names { message, reply, proxy, done } = names;
    let (ty, name) = (&agent.ty, &agent.name);
    let quiet = quiet();
    let model = model(agent);
    let construct = construct(agent);
    let decode = agent.with(Key::Expose).enumerate().map(|(index, method)| decode(method, index, message));
    let encode = agent.with(Key::Expose).map(|method| {
        let value = value(method, &code!(result?), format!("{}() returned", method.name));
        let ident = &method.ident;
        code!(#reply::#ident(result) => #value,)
    });
    let request = agent.with(Key::Expose).map(|method| {
        let (ident, name, args) = (&method.ident, &method.name, locals(method));
        let packed = pack(method, &args);
        code!(#message::#ident(#(#args),*) => (#name, #packed),)
    });
    let respond = agent.with(Key::Expose).map(|method| {
        let (ident, name) = (&method.ident, &method.name);
        code!(#name => #reply::#ident(::isochrone::agent::returned(method, result)),)
    });
    let input = agent.with(Key::Input).enumerate().map(|(index, method)| {
        let ident = &method.ident;
        let values = method.args.iter().map(|arg| {
            let ty = &arg.ty;
            code_at!(ty.span() => <#ty>::decode(values)?)
        });
        code!(#index => ::core::result::Result::Ok(#message::#ident(#(#values)*)),)
    });
    let step = agent.with(Key::Step).map(|method| &method.ident).next();
    let step = match step {
        Some(ident) => code!(::core::option::Option::Some(#message::#ident())),
        None => code!(::core::option::Option::None),
    };
    let output = agent.with(Key::Output).enumerate().map(|(index, method)| {
        let read = invoke(method, &code!(self), &TokenStream::new());
        let value = value(method, &read, format!("output {} gave", method.name));
        code!(#index => #value,)
    });
    let states = agent.with(Key::Output).enumerate().filter(|(_, method)| !method.is_event());
    let output_hash = states.map(|(index, method)| {
        let read = invoke(method, &code!(self), &TokenStream::new());
        let hash = code_at!(method.result() => { let value = #read; ::isochrone::sim::fingerprint::payload_hash(&value) });
        code!(#index => #hash,)
    });
    code! {
        #[automatically_derived]
        #quiet
        impl ::isochrone::agent::Agent for #ty {
            type Proxy = #proxy;

            const MODEL: &'static ::isochrone::agent::Model = &#model;

            fn construct(
                cx: &::isochrone::sim::Ctx,
                args: ::isochrone::rpc::Args,
            ) -> ::core::result::Result<Self, ::isochrone::rpc::CallError> {
                #construct
            }

            fn decode(
                method: &str,
                args: ::isochrone::rpc::Args,
            ) -> ::core::result::Result<#message, ::isochrone::rpc::CallError> {
                match method {
                    #(#decode)*
                    _ => ::core::result::Result::Err(::isochrone::rpc::CallError::lookup_error(
                        ::std::format!("{} has no method {method:?}", #name),
                    )),
                }
            }

            fn encode(
                reply: #reply,
            ) -> ::core::result::Result<::isochrone::codec::Value, ::isochrone::rpc::CallError> {
                match reply {
                    #(#encode)*
                    #reply::#done => ::core::result::Result::Ok(::isochrone::codec::Value::default()),
                }
            }

            fn request(message: #message) -> (&'static str, ::isochrone::rpc::Args) {
                match message {
                    #(#request)*
                    _ => ("", ::isochrone::rpc::Args::default()),
                }
            }

            fn respond(
                method: &str,
                result: ::core::result::Result<::isochrone::codec::Value, ::isochrone::rpc::CallError>,
            ) -> #reply {
                match method {
                    #(#respond)*
                    _ => #reply::#done,
                }
            }

            fn input(
                port: usize,
                values: ::std::vec::Vec<(::std::string::String, ::isochrone::codec::Value)>,
            ) -> ::core::result::Result<#message, ::isochrone::agent::BadInput> {
                match port {
                    #(#input)*
                    _ => ::core::result::Result::Err(::isochrone::agent::BadInput {
                        source: ::std::string::String::new(),
                        message: ::std::format!("{} has no input number {port}", #name),
                    }),
                }
            }

            fn step() -> ::core::option::Option<#message> {
                #step
            }

            fn output(
                &mut self,
                port: usize,
            ) -> ::core::result::Result<::isochrone::codec::Value, ::isochrone::rpc::CallError> {
                match port {
                    #(#output)*
                    _ => ::core::result::Result::Err(::isochrone::rpc::CallError::lookup_error(
                        ::std::format!("{} has no output number {port}", #name),
                    )),
                }
            }

            fn output_hash(&mut self, port: usize) -> u64 {
                match port { #(#output_hash)* _ => 0 }
            }
        }
    }
}

/// What a method made, as a value for others.
fn value(method: &Method, made: &TokenStream, what: String) -> TokenStream {
    let what = what + " something that cannot be sent";
    code_at! { method.result() => {
        let value = #made;
        ::isochrone::codec::to_value(&value)
            .map_err(|error| ::isochrone::rpc::CallError::type_error(::std::format!("{}: {error}", #what)))
    } }
}

/// What can be called, for those who ask.
pub(super) fn methods(agent: &Agent) -> impl Iterator<Item = TokenStream> {
    agent.with(Key::Expose).map(|method| {
        let (signature, result, doc) = (signature(method), method.ok().map(text), &method.doc);
        code!(::isochrone::rpc::Method { signature: #signature, result: #result, doc: #doc })
    })
}

fn model(agent: &Agent) -> TokenStream {
    let Agent { name, eid, doc, .. } = agent;
    let constructor = match agent.with(Key::Constructor).next() {
        Some(method) => {
            let signature = signature(method);
            code!(::core::option::Option::Some(&#signature))
        }
        None => code!(::core::option::Option::None),
    };
    let methods = methods(agent);
    let inputs = agent.with(Key::Input).map(|method| {
        let trigger = method.role(Key::Input).is_some_and(|role| role.flag("trigger"));
        let (name, doc) = (&method.name, &method.doc);
        code!(::isochrone::agent::Input { name: #name, trigger: #trigger, doc: #doc })
    });
    let outputs = agent.with(Key::Output).map(|method| {
        let flag = |name| method.role(Key::Output).is_some_and(|role| role.flag(name));
        let kind = if flag("stamped") {
            code!(Stamped)
        } else if flag("event") {
            code!(Event)
        } else if flag("on_change") {
            code!(OnChange)
        } else {
            code!(State)
        };
        let (name, doc) = (&method.name, &method.doc);
        code!(::isochrone::agent::Output { name: #name, kind: ::isochrone::agent::OutputKind::#kind, doc: #doc })
    });
    let step = agent.with(Key::Step).next().is_some();
    code! {
        ::isochrone::agent::Model {
            name: #name,
            eid: #eid,
            doc: #doc,
            constructor: #constructor,
            methods: &[#(#methods),*],
            inputs: &[#(#inputs),*],
            outputs: &[#(#outputs),*],
            step: #step,
        }
    }
}

pub(super) fn signature(method: &Method) -> TokenStream {
    let name = &method.name;
    let params = method.args.iter().map(|arg| {
        let name = syn::ext::IdentExt::unraw(&arg.ident).to_string();
        // as Python writes it
        let name = if arg.rest { format!("*{name}") } else { name };
        let (optional, ty) = (arg.default.is_some() || arg.rest, text(&arg.ty));
        code!(::isochrone::rpc::Param { name: #name, optional: #optional, ty: #ty })
    });
    code!(::isochrone::rpc::Signature { name: #name, params: &[#(#params),*] })
}

/// Arguments of their own types as those of a call by name.
pub(super) fn pack(method: &Method, args: &[Ident]) -> TokenStream {
    let packed = method.args.iter().zip(args).map(|(arg, local)| match arg.rest {
        true => code!(.and(#local)),
        false => code!(.arg(#local)),
    });
    let room = method.args.len();
    code!(::isochrone::rpc::Args::with_room(#room)#(#packed)*)
}

/// Takes the arguments out of `args`, in their order. A default is evaluated for each call that needs it.
pub(super) fn bind(method: &Method, signature: &TokenStream) -> TokenStream {
    let takes = method.args.iter().zip(locals(method)).enumerate().map(|(index, (arg, local))| {
        let ty = &arg.ty;
        match &arg.default {
            None if arg.rest => code!(let #local = bound.rest();),
            None => code!(let #local = ::isochrone::rpc::required::<#ty>(&mut bound, #index)?;),
            Some(default) => code! {
                let #local = match bound.take::<#ty>(#index)? {
                    ::core::option::Option::Some(value) => value,
                    ::core::option::Option::None => #default,
                };
            },
        }
    });
    code!(let mut bound = args.bind(#signature)?; #(#takes)*)
}

fn construct(agent: &Agent) -> TokenStream {
    let Some(method) = agent.with(Key::Constructor).next() else {
        let message = format!("{} has no #[constructor]", agent.name);
        return code!(::core::result::Result::Err(::isochrone::rpc::CallError::type_error(#message)));
    };
    let bind = bind(method, &signature_of_constructor(method));
    let built = answer(method, &invoke(method, &TokenStream::new(), &code!(cx)));
    code!(#bind #built)
}

fn signature_of_constructor(method: &Method) -> TokenStream {
    let signature = signature(method);
    code!(&#signature)
}

fn decode(method: &Method, index: usize, message: &syn::Ident) -> TokenStream {
    let (ident, name, args) = (&method.ident, &method.name, locals(method));
    let bind = bind(method, &code!(&<Self as ::isochrone::agent::Agent>::MODEL.methods[#index].signature));
    code! {
        #name => {
            #bind
            ::core::result::Result::Ok(#message::#ident(#(#args),*))
        }
    }
}
