//! What we write beside the user's impl.
//!
//! | file | what it writes |
//! |------|----------------|
//! | `mod` | the messages, the replies, and the assertions about what they carry |
//! | `actor` | how the kernel hands messages to the methods |
//! | `agent` | what the outside sees: constructor, names, ports |
//! | `proxy` | the typed address |
//! | `service` | all of that for a service, which is no agent |
//!
//! Contract: locals have the macro's own hygiene, so that a user's default or constant never meets them; user's tokens
//! keep their spans, so that the compiler's errors point at what the user wrote. Every item is hidden or documented.

mod actor;
mod agent;
mod proxy;
mod service;

use std::collections::BTreeSet;

use proc_macro2::{Delimiter, Span, TokenStream, TokenTree};
use quote::{ToTokens, format_ident, quote, quote_spanned};
use syn::spanned::Spanned;
use syn::{Ident, Type};

use crate::attr::Key;
use crate::model::{Agent, Form, Kind, Method, Output};

/// `quote!` whose locals are ours.
macro_rules! code {
    ($($tokens:tt)*) => { ::quote::quote_spanned!(::proc_macro2::Span::mixed_site() => $($tokens)*) };
}
use code;

/// As `code!`, where errors point at `span`.
macro_rules! code_at {
    ($span:expr => $($tokens:tt)*) => {
        ::quote::quote_spanned!(::proc_macro2::Span::mixed_site().located_at($span) => $($tokens)*)
    };
}
use code_at;

/// Names that several of the generated items share.
struct Names {
    message: Ident,
    reply: Ident,
    proxy: Ident,
    /// the variant that answers what nobody calls
    done: Ident,
}

impl Names {
    fn of(agent: &Agent) -> Self {
        let mut done = String::from("Done");
        while agent.methods.iter().any(|method| method.name == done) {
            done.push('_');
        }
        Names {
            message: format_ident!("{}Message", agent.ident),
            reply: format_ident!("{}Reply", agent.ident),
            proxy: format_ident!("{}Proxy", agent.ident),
            done: Ident::new(&done, Span::call_site()),
        }
    }
}

pub(crate) fn expand(agent: &Agent) -> TokenStream {
    match agent.kind {
        Kind::Agent => self::agent(agent),
        Kind::Service => service::expand(agent),
    }
}

fn agent(agent: &Agent) -> TokenStream {
    let names = Names::of(agent);
    let (messages, assertions) = (messages(agent, &names), assertions(agent));
    let (actor, proxy) = (actor::expand(agent, &names), proxy::expand(agent, &names));
    let agent = agent::expand(agent, &names);
    quote!(#messages #assertions #actor #agent #proxy)
}

/// What the compiler and clippy would say of generated code that is no business of the user's.
fn quiet() -> TokenStream {
    quote!(#[allow(
        clippy::all, clippy::pedantic, clippy::nursery, dead_code, deprecated, missing_debug_implementations,
        non_camel_case_types, non_snake_case, private_interfaces, unreachable_code, unreachable_pub, unused_mut,
        unused_variables
    )])
}

fn messages(agent: &Agent, names: &Names) -> TokenStream {
    let Names { message, reply, done, .. } = names;
    let quiet = quiet();
    let requests = received(agent).map(|method| {
        let (ident, types) = (&method.ident, method.args.iter().map(|arg| &arg.ty));
        code!(#ident(#(#types),*))
    });
    let replies = agent.with(Key::Expose).map(|method| {
        let (ident, ok) = (&method.ident, method.ok());
        code!(#ident(::core::result::Result<#ok, ::isochrone::rpc::CallError>))
    });
    code! {
        #[doc(hidden)]
        #quiet
        pub enum #message { #(#requests),* }
        #[doc(hidden)]
        #quiet
        pub enum #reply { #(#replies,)* #done }
    }
}

/// The methods that messages lead to.
fn received(agent: &Agent) -> impl Iterator<Item = &Method> {
    agent
        .methods
        .iter()
        .filter(|method| method.is(Key::Expose) || method.is(Key::Input) || method.is(Key::Step))
}

/// One line for each type that travels, where an error about it points at the type. What the rest of the generated code
/// asks of a type is left out, or the same would be said twice.
fn assertions(agent: &Agent) -> TokenStream {
    let mut lines = Lines::default();
    for method in agent.with(Key::Expose) {
        method.args.iter().for_each(|arg| lines.add("is_sent", &arg.ty));
        method.ok().into_iter().for_each(|ty| lines.add("is_returned", ty));
    }
    for method in agent.with(Key::Input) {
        method.args.iter().for_each(|arg| lines.add("is_sent", &arg.ty));
    }
    let lines = lines.code;
    let quiet = quiet();
    code! {
        #quiet
        const _: () = {
            const fn is_sent<T: ::core::marker::Send + 'static>() {}
            const fn is_returned<T>()
            where
                T: ::isochrone::serde::de::DeserializeOwned + ::core::marker::Send + 'static,
            {
            }
            #(#lines)*
        };
    }
}

#[derive(Default)]
struct Lines {
    seen: BTreeSet<(&'static str, String)>,
    code: Vec<TokenStream>,
}

impl Lines {
    fn add(&mut self, function: &'static str, ty: &Type) {
        if self.seen.insert((function, ty.to_token_stream().to_string())) {
            let function = Ident::new(function, Span::call_site());
            self.code.push(quote_spanned!(ty.span() => #function::<#ty>();));
        }
    }
}

/// A local for each argument.
fn locals(method: &Method) -> Vec<Ident> {
    let types = method.args.iter().map(|arg| &arg.ty);
    types.enumerate().map(|(index, ty)| local(&format!("a{index}"), ty)).collect()
}

/// A local of ours. Errors about it point at its type.
fn local(name: &str, ty: &Type) -> Ident {
    Ident::new(name, Span::mixed_site().located_at(ty.span()))
}

/// The call of a method: `me` leads to the state, `cx` to the handle.
fn invoke(method: &Method, me: &TokenStream, cx: &TokenStream) -> TokenStream {
    let (ident, args) = (&method.ident, locals(method));
    let first = match method.form {
        Form::Later => Some(cx),
        Form::Free => None,
        _ => Some(me),
    };
    let cx = method.cx.then_some(cx);
    let front = first.into_iter().chain(cx);
    code!(Self::#ident(#(#front,)* #(#args),*))
}

/// The result of a call as its caller gets it.
fn answer(method: &Method, call: &TokenStream) -> TokenStream {
    match method.output {
        Output::Value(_) => code!(::core::result::Result::Ok(#call)),
        Output::Result(_) => code_at! { method.result() =>
            match #call {
                ::core::result::Result::Ok(value) => ::core::result::Result::Ok(value),
                ::core::result::Result::Err(error) => {
                    ::core::result::Result::Err(::isochrone::rpc::CallError::from_error(error))
                }
            }
        },
    }
}

/// The text of the error of a call that nobody waits for.
fn failure(method: &Method, call: &TokenStream) -> TokenStream {
    match method.output {
        Output::Value(_) => code!({
            let _ = #call;
            ::core::option::Option::None
        }),
        Output::Result(_) => {
            code_at!(method.result() => #call.err().map(|error| ::std::string::ToString::to_string(&error)))
        }
    }
}

/// Lets the agent fail when a call that nobody waits for does.
fn or_fail(method: &Method, this: &TokenStream, call: &TokenStream, then: &TokenStream) -> TokenStream {
    match method.output {
        Output::Value(_) => code!(let _ = #call;),
        Output::Result(_) => code_at! { method.result() =>
            if let ::core::result::Result::Err(error) = #call {
                #this.fail(error);
                #then
            }
        },
    }
}

/// A type as its author would write it.
fn text(ty: &Type) -> String {
    fn write(text: &mut String, tokens: TokenStream) {
        let mut after_word = false;
        for token in tokens {
            let word = matches!(token, TokenTree::Ident(_) | TokenTree::Literal(_));
            match token {
                TokenTree::Group(group) => {
                    let (open, close) = match group.delimiter() {
                        Delimiter::Parenthesis => ("(", ")"),
                        Delimiter::Bracket => ("[", "]"),
                        Delimiter::Brace => ("{", "}"),
                        Delimiter::None => ("", ""),
                    };
                    text.push_str(open);
                    write(text, group.stream());
                    text.push_str(close);
                }
                TokenTree::Punct(punct) => match punct.as_char() {
                    mark @ (',' | ';') => text.extend([mark, ' ']),
                    mark @ ('+' | '=') => text.extend([' ', mark, ' ']),
                    '-' => text.push_str(" -"),
                    '>' if text.ends_with(" -") => text.push_str("> "),
                    mark => text.push(mark),
                },
                word => {
                    text.push_str(if after_word { " " } else { "" });
                    text.push_str(&word.to_string());
                }
            }
            after_word = word;
        }
    }
    let mut text = String::new();
    write(&mut text, ty.to_token_stream());
    text.trim_end().into()
}

/// FNV-1a, for constants that must be the same in every build.
fn name_hash(name: &str) -> u64 {
    name.bytes()
        .fold(0xCBF2_9CE4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3))
}
