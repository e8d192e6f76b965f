//! How the kernel hands messages to the methods.

use proc_macro2::TokenStream;

use super::{
    Names, answer, code, code_at, failure, invoke, local, locals, name_hash, or_fail, quiet, received,
};
use crate::attr::{Key, Period};
use crate::model::{Agent, Form, Method};

pub(super) fn expand(agent: &Agent, names: &Names) -> TokenStream {
    let Names { message, reply, done, .. } = names;
    let (ty, name) = (&agent.ty, &agent.name);
    let quiet = quiet();
    let receive = received(agent).map(|method| receive(method, names));
    let (started, stopping) = (started(agent), stopping(agent));
    let labels = received(agent).map(|method| {
        let (ident, name) = (&method.ident, &method.name);
        code!(#message::#ident(..) => #name)
    });
    let message_hashes = received(agent).map(|method| {
        let (ident, args, hash) = (&method.ident, locals(method), name_hash(&method.name));
        code! {
            #message::#ident(#(ref #args),*) => {
                ::isochrone::sim::fingerprint::PayloadHasher::new(#hash)#(.add(#args))*.finish()
            }
        }
    });
    let message_values = received(agent).map(|method| {
        let (ident, args) = (&method.ident, locals(method));
        code! {
            #message::#ident(#(ref #args),*) => ::isochrone::agent::show([#(::isochrone::agent::value(#args)),*])
        }
    });
    let reply_values = agent.with(Key::Expose).map(|method| {
        let ident = &method.ident;
        code! {
            #reply::#ident(ref result) => ::isochrone::agent::show_result(result)
        }
    });
    let reply_hashes = agent.with(Key::Expose).map(|method| {
        let (ident, hash) = (&method.ident, name_hash(&method.name));
        let failed = !hash;
        let value = method.ok().map(|ty| local("value", ty));
        code! {
            #reply::#ident(::core::result::Result::Ok(ref #value)) => {
                ::isochrone::sim::fingerprint::PayloadHasher::new(#hash).add(#value).finish()
            }
            #reply::#ident(::core::result::Result::Err(ref error)) => {
                ::isochrone::sim::fingerprint::PayloadHasher::new(#failed).add(error.kind()).add(error.message()).finish()
            }
        }
    });
    code! {
        #[automatically_derived]
        #quiet
        impl ::isochrone::sim::Actor for #ty {
            type Msg = #message;
            type Reply = #reply;
            const TYPE: &'static str = #name;

            // where it is called the pieces of the message are at hand
            #[inline(always)]
            fn receive(this: &::isochrone::sim::This<Self>, message: #message, reply: ::isochrone::sim::ReplyTo<Self>) {
                match message { #(#receive)* }
            }

            fn started(this: &::isochrone::sim::This<Self>) { #started }

            fn stopping(this: &::isochrone::sim::This<Self>) { #stopping }

            #[inline]
            fn label(message: &#message) -> &'static str {
                match *message { #(#labels,)* }
            }

            #[inline]
            fn message_hash(message: &#message) -> u64 {
                match *message { #(#message_hashes)* }
            }

            #[inline]
            fn reply_hash(reply: &#reply) -> u64 {
                match *reply { #(#reply_hashes)* #reply::#done => 0 }
            }

            fn message_value(message: &#message) -> ::core::option::Option<::std::rc::Rc<dyn ::core::any::Any>> {
                match *message { #(#message_values,)* }
            }

            fn reply_value(reply: &#reply) -> ::core::option::Option<::std::rc::Rc<dyn ::core::any::Any>> {
                match *reply { #(#reply_values,)* #reply::#done => ::core::option::Option::None }
            }

            fn facet() -> ::core::option::Option<&'static dyn ::core::any::Any> {
                ::core::option::Option::Some(::isochrone::agent::Vtable::of::<Self>())
            }
        }
    }
}

/// What one message does. One that answers a caller ends with the caller's variant; of the others errors are failures.
fn receive(method: &Method, names: &Names) -> TokenStream {
    let Names { message, reply: replies, done, .. } = names;
    let (ident, name, args) = (&method.ident, &method.name, locals(method));
    let asked = method.is(Key::Expose);
    let (this, nothing) = (code!(this), TokenStream::new());
    let value = |call: &TokenStream| {
        if asked {
            let answer = answer(method, call);
            code!(#replies::#ident(#answer))
        } else {
            let run = or_fail(method, &this, call, &nothing);
            code!({ #run #replies::#done })
        }
    };
    let body = match method.form {
        Form::Later => {
            let call = invoke(method, &nothing, &code!(::core::clone::Clone::clone(&this)));
            let value = value(&code!(#call.await));
            code! {
                this.answer_later(#name, reply, {
                    let this = ::core::clone::Clone::clone(this);
                    async move { #value }
                });
            }
        }
        Form::Exclusive => {
            let call = invoke(method, &code!(&mut me), &code!(&this));
            let value = value(&code!(#call.await));
            code! {
                this.exclusively(#name, reply, move |mut me, this| async move {
                    let value = #value;
                    (me, value)
                });
            }
        }
        _ => {
            let call = invoke(method, &code!(me), &this);
            let value = value(&code!(this.with(|me| #call)));
            code!(reply.send(#value);)
        }
    };
    code!(#message::#ident(#(#args),*) => { #body })
}

/// First the method that starts, then the periodic ones.
fn started(agent: &Agent) -> TokenStream {
    let start = agent.with(Key::Start).map(start);
    let every = agent.with(Key::Every).map(every);
    code!(#(#start)* #(#every)*)
}

fn start(method: &Method) -> TokenStream {
    let (name, this, nothing) = (&method.name, code!(this), TokenStream::new());
    if method.form == Form::Later {
        let call = invoke(method, &nothing, &code!(::core::clone::Clone::clone(&this)));
        let run = or_fail(method, &this, &code!(#call.await), &nothing);
        return code! {
            this.start_now(#name, {
                let this = ::core::clone::Clone::clone(this);
                async move { #run }
            });
        };
    }
    let call = invoke(method, &code!(me), &this);
    or_fail(method, &this, &code!(this.with(|me| #call)), &code!(return;))
}

fn every(method: &Method) -> TokenStream {
    let name = &method.name;
    let period = match method.role(Key::Every).and_then(|role| role.period.as_ref()) {
        Some(Period::Method(period)) => code_at!(period.span() => this.with(|me| Self::#period(me))),
        Some(Period::Nanos(nanos)) => code!(::core::time::Duration::from_nanos(#nanos)),
        None => return TokenStream::new(),
    };
    let body = if method.form == Form::Later {
        let failure = failure(method, &{
            let call = invoke(method, &TokenStream::new(), &code!(this));
            code!(#call.await)
        });
        code!(Later(|this| ::std::boxed::Box::pin(async move { #failure })))
    } else {
        let call = invoke(method, &code!(me), &code!(this));
        let failure = failure(method, &code!(this.with(|me| #call)));
        code!(Now(|this| #failure))
    };
    code!(::isochrone::agent::every(this, #name, #period, ::isochrone::agent::Body::#body);)
}

fn stopping(agent: &Agent) -> TokenStream {
    let stop = agent.with(Key::Stop).map(|method| {
        let call = invoke(method, &code!(me), &code!(this));
        or_fail(method, &code!(this), &code!(this.with(|me| #call)), &TokenStream::new())
    });
    code!(#(#stop)*)
}
