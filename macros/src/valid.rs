//! What is refused, and in which words: one sentence each, on the tokens it is about.

use quote::ToTokens;
use syn::visit::Visit;
use syn::{Expr, Pat, ReturnType, Type};

use crate::Errors;
use crate::attr::{Key, Role};
use crate::model::{Agent, Arg, Form, Kind, Method, Output, first_type, last};

/// Names that every proxy's own methods have.
fn taken(kind: Kind) -> &'static [&'static str] {
    match kind {
        Kind::Agent => &["agent", "untyped"],
        Kind::Service => &["remote"],
    }
}

/// Refuses what must be refused, and keeps the rest.
pub(crate) fn keep_valid(mut agent: Agent, errors: &mut Errors) -> Agent {
    for key in [Key::Constructor, Key::Start, Key::Stop, Key::Step] {
        let doubled: Vec<_> =
            agent.with(key).skip(1).filter_map(|method| method.role(key)).cloned().collect();
        for role in doubled {
            errors.add(&role.name, format_args!("an agent has only one `#[{}]`", role.name));
        }
        let mut seen = false;
        agent.methods.retain(|method| !method.is(key) || !std::mem::replace(&mut seen, true));
    }
    let kind = agent.kind;
    agent.methods.retain(|method| {
        let mut verdict = Verdict { kind, errors, fine: true };
        verdict.method(method);
        verdict.fine
    });
    agent
}

struct Verdict<'a> {
    kind: Kind,
    errors: &'a mut Errors,
    fine: bool,
}

impl Verdict<'_> {
    fn refuse(&mut self, at: impl ToTokens, message: impl std::fmt::Display) {
        self.fine = false;
        self.errors.add(at, message);
    }

    fn method(&mut self, method: &Method) {
        self.signature(method);
        match self.kind {
            Kind::Agent => self.together(method),
            Kind::Service => self.service(method),
        }
        if self.fine {
            for role in &method.roles {
                self.form(method, role);
                self.arguments(method, role);
                self.result(method, role);
            }
        }
    }

    /// What no method of ours can be.
    fn signature(&mut self, method: &Method) {
        let sig = &method.sig;
        let name = &method.name;
        if !sig.generics.params.is_empty() {
            self.refuse(
                &sig.generics,
                format_args!("`{name}` is called by its name alone, so it has no generics"),
            );
        }
        if let Some(token) = &sig.unsafety {
            self.refuse(token, format_args!("`{name}` is called from outside, so it must not be `unsafe`"));
        }
        let cfg = method.attrs.iter().find(|attr| attr.path().is_ident("cfg"));
        if let Some(attr) = cfg {
            self.refuse(
                attr,
                format_args!(
                    "`{name}` is part of what {} looks like from outside: put `cfg` on the whole impl",
                    self.kind.noun().replacen("an ", "the ", 1).replacen("a ", "the ", 1)
                ),
            );
        }
        match method.form {
            Form::ByValue => {
                self.refuse(
                    sig.receiver(),
                    match self.kind {
                        Kind::Agent => {
                            "an agent stays where it is: take `&mut self`, or `this: This<Self>` in an `async fn`"
                        }
                        Kind::Service => "a service stays where it is: take `&self` or `&mut self`",
                    },
                );
            }
            Form::NotAsync => {
                self.refuse(
                    sig.inputs.first(),
                    format_args!(
                        "a method with `This` is a task: write `async fn {name}`, or take `&mut self`"
                    ),
                );
            }
            _ => {}
        }
    }

    /// What a method of a service cannot be.
    fn service(&mut self, method: &Method) {
        let name = &method.name;
        for role in method.roles.iter().filter(|role| role.key != Key::Expose) {
            self.refuse(
                &role.name,
                format_args!("a service only answers calls: `#[{}]` is for agents", role.name),
            );
        }
        if method.form == Form::Later {
            let message = format!("a service has no `This`: write `async fn {name}(&self)`");
            self.refuse(&method.sig.inputs[0], message);
        } else if method.form == Form::Free {
            self.refuse(&method.sig.ident, format_args!("`{name}` needs `&self` or `&mut self`"));
        }
    }

    /// Which attributes may stand on one method.
    fn together(&mut self, method: &Method) {
        let by_itself = |role: &Role| matches!(role.key, Key::Expose | Key::Every | Key::Start);
        let readable =
            |role: &Role| role.key == Key::Expose || (role.key == Key::Output && !method.is_event());
        if method.roles.len() < 2 || method.roles.iter().all(by_itself) || method.roles.iter().all(readable) {
            return;
        }
        let (first, second) = (&method.roles[0].name, &method.roles[1].name);
        self.refuse(
            second,
            format_args!("`#[{first}]` and `#[{second}]` do not go together: let two methods call a third"),
        );
    }

    fn form(&mut self, method: &Method, role: &Role) {
        let name = &method.name;
        let attr = &role.name;
        let at = &method.sig.ident;
        match (role.key, method.form) {
            (Key::Constructor, Form::Free) if method.sig.asyncness.is_none() => {}
            (Key::Constructor, _) => self.refuse(
                at,
                format_args!(
                    "a constructor is `fn {name}(..) -> Self`, with `cx: &Ctx` first if it needs it"
                ),
            ),
            (_, Form::Free) => {
                self.refuse(at, format_args!("`{name}` needs `&mut self`, or `this: This<Self>` as the first argument of an `async fn`"));
            }
            (Key::Stop | Key::Output, Form::Later | Form::Exclusive) => {
                self.refuse(
                    method.sig.asyncness,
                    format_args!("`#[{attr}]` cannot wait: write `fn {name}(&mut self)`"),
                );
            }
            (Key::Every | Key::Start, Form::Exclusive) => {
                let message = format!(
                    "`#[{attr}]` does not lock the agent: write `async fn {name}(this: This<Self>)` and use `this.with`"
                );
                self.refuse(method.sig.receiver(), message);
            }
            (Key::Output, _) if method.cx => {
                self.refuse(&method.sig.inputs[1], "an output is read from the state alone, without `cx`");
            }
            (Key::Output, _)
                if method.is_event() && method.sig.receiver().is_some_and(|me| me.mutability.is_none()) =>
            {
                self.refuse(
                    method.sig.receiver(),
                    "reading an event port takes the events out, so it needs `&mut self`",
                );
            }
            _ => {}
        }
    }

    fn arguments(&mut self, method: &Method, role: &Role) {
        let name = &method.name;
        match role.key {
            Key::Expose | Key::Constructor => {
                if role.key == Key::Expose && taken(self.kind).contains(&name.as_str()) {
                    self.refuse(
                        &method.sig.ident,
                        format_args!("every proxy has a method `{name}` already: choose another name"),
                    );
                }
                let mut default: Option<&Expr> = None;
                for (index, arg) in method.args.iter().enumerate() {
                    self.argument(arg);
                    if arg.rest {
                        self.rest(arg, index + 1 == method.args.len());
                    } else if default.is_some() && arg.default.is_none() {
                        self.refuse(
                            &arg.pat,
                            "an argument without a default cannot follow one that has a default",
                        );
                    }
                    default = default.or(arg.default.as_ref());
                }
            }
            Key::Input => match &method.args[..] {
                [arg]
                    if last(&arg.ty)
                        .is_some_and(|last| last.ident == "Inputs" && first_type(last).is_some()) =>
                {
                    self.travels(&arg.ty);
                    self.no_default(arg);
                }
                [arg, ..] => self.refuse(
                    &arg.ty,
                    "an input takes one argument of type `Inputs<T>`: what each source wrote",
                ),
                [] => self.refuse(
                    &method.sig.ident,
                    "an input takes one argument of type `Inputs<T>`: what each source wrote",
                ),
            },
            _ => {
                if let Some(arg) = method.args.first() {
                    self.refuse(
                        &arg.pat,
                        format_args!("nobody gives `{name}` arguments when it runs by `#[{}]`", role.name),
                    );
                }
            }
        }
    }

    fn no_default(&mut self, arg: &Arg) {
        if let Some(default) = &arg.default {
            self.refuse(default, "an input has no default: it runs only when a source wrote something");
        }
    }

    /// An argument that takes what is left.
    fn rest(&mut self, arg: &Arg, last: bool) {
        if !last {
            self.refuse(&arg.pat, "`Args` takes what the other arguments have left, so it is the last one");
        }
        if let Some(default) = &arg.default {
            self.refuse(default, "`Args` needs no default: without anything left it is empty");
        }
    }

    fn argument(&mut self, arg: &Arg) {
        match &arg.pat {
            Pat::Ident(pat) if pat.by_ref.is_none() && pat.subpat.is_none() => {}
            pat => self.refuse(pat, "give this argument a name, for callers may pass it by name"),
        }
        self.travels(&arg.ty);
    }

    /// Whether a type can be one of what travels.
    fn travels(&mut self, ty: &Type) {
        if let Some(borrowed) = Borrowed::find(ty) {
            self.refuse(borrowed, "this travels between agents, so it must be a type of its own: no references, no `impl Trait`");
        }
    }

    fn result(&mut self, method: &Method, role: &Role) {
        let name = &method.name;
        let written = &method.sig.output;
        match (role.key, &method.output) {
            (Key::Constructor, _) => {
                if matches!(written, ReturnType::Default) {
                    self.refuse(
                        &method.sig.ident,
                        format_args!(
                            "a constructor returns `Self` or `Result<Self, E>`: `fn {name}(..) -> Self`"
                        ),
                    );
                }
            }
            (Key::Expose, Output::Result(None)) => {
                self.refuse(written, "callers must know what they get: write `Result<T, E>` with its `T`");
            }
            (Key::Expose, Output::Value(ty) | Output::Result(Some(ty))) => self.travels(ty),
            (Key::Output, Output::Result(_)) => {
                self.refuse(written, "an output cannot fail: return the value, or an `Option` of it");
            }
            (Key::Output, Output::Value(ty)) => self.output(method, role, ty),
            (_, Output::Value(ty) | Output::Result(Some(ty))) if !is_unit(ty) && !method.is(Key::Expose) => {
                self.refuse(
                    written,
                    format_args!("nobody takes a result of `{name}`: return nothing, or `Result<(), E>`"),
                );
            }
            _ => {}
        }
    }

    fn output(&mut self, method: &Method, role: &Role, ty: &Type) {
        let name = &method.name;
        let events = last(ty).filter(|last| last.ident == "Vec").and_then(first_type);
        let pairs = events.is_some_and(|item| matches!(item, Type::Tuple(pair) if pair.elems.len() == 2));
        if is_unit(ty) {
            self.refuse(&method.sig.ident, format_args!("an output needs a value: `fn {name}(&self) -> T`"));
        } else if role.flag("event") && role.flag("on_change") {
            self.refuse(
                &role.flags[1],
                "events are no state that could change: choose one of `event` and `on_change`",
            );
        } else if role.flag("stamped") && !role.flag("event") {
            self.refuse(&role.flags[0], "only events are stamped: `#[output(event, stamped)]`");
        } else if role.flag("stamped") && !pairs {
            self.refuse(ty, "a stamped event port returns `Vec<(Time, T)>`: what happened, and when the simulator is to see it");
        } else if role.flag("event") && events.is_none() {
            self.refuse(ty, "an event port returns `Vec<T>`: what happened since it was read last");
        } else if method.is(Key::Expose) || matches!(ty, Type::ImplTrait(_)) {
            self.travels(ty);
        }
    }
}

fn is_unit(ty: &Type) -> bool {
    matches!(ty, Type::Tuple(tuple) if tuple.elems.is_empty())
}

/// The first part of a type that cannot be taken along.
#[derive(Default)]
struct Borrowed<'a>(Option<&'a Type>);

impl<'a> Borrowed<'a> {
    fn find(ty: &'a Type) -> Option<&'a Type> {
        let mut visitor = Borrowed::default();
        visitor.visit_type(ty);
        visitor.0
    }
}

impl<'a> Visit<'a> for Borrowed<'a> {
    fn visit_type(&mut self, ty: &'a Type) {
        match ty {
            Type::Reference(_) | Type::ImplTrait(_) => self.0 = self.0.or(Some(ty)),
            _ => syn::visit::visit_type(self, ty),
        }
    }
}
