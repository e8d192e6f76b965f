//! What the user wrote, as methods with roles.

use proc_macro2::{Group, Span, TokenStream, TokenTree};
use quote::{ToTokens, format_ident};
use syn::ext::IdentExt;
use syn::spanned::Spanned;
use syn::{
    Attribute, Expr, FnArg, GenericArgument, Ident, ImplItem, ImplItemFn, ItemImpl, Pat, PathArguments,
    PathSegment, ReturnType, Type,
};

use crate::Errors;
use crate::attr::{self, Key, Options, Role};

/// Which of our attributes stands on an impl block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Agent,
    Service,
}

impl Kind {
    /// The attribute, as its users write it.
    pub(crate) fn attribute(self) -> &'static str {
        match self {
            Kind::Agent => "#[agent]",
            Kind::Service => "#[service]",
        }
    }

    pub(crate) fn noun(self) -> &'static str {
        match self {
            Kind::Agent => "an agent",
            Kind::Service => "a service",
        }
    }

    /// The type of the handle that a method may take first.
    fn handle(self) -> &'static str {
        match self {
            Kind::Agent => "Ctx",
            Kind::Service => "Peer",
        }
    }
}

/// An impl block with one of our attributes.
pub(crate) struct Agent {
    pub(crate) kind: Kind,
    /// last part of the type's path
    pub(crate) ident: Ident,
    pub(crate) ty: Type,
    pub(crate) name: String,
    pub(crate) eid: String,
    pub(crate) doc: String,
    /// those with roles
    pub(crate) methods: Vec<Method>,
}

/// What a method takes itself by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// `fn(&mut self, ..)` or `fn(&self, ..)`
    Now,
    /// `async fn(this: This<Self>, ..)`
    Later,
    /// `async fn(&mut self, ..)`
    Exclusive,
    /// `fn(..)`
    Free,
    /// `self`, or `self` of a type of its own
    ByValue,
    /// `fn(this: This<Self>, ..)`, which is nothing
    NotAsync,
}

/// What a method returns.
pub(crate) enum Output {
    Value(Type),
    /// the type when all is well, if it is written there
    Result(Option<Type>),
}

pub(crate) struct Arg {
    /// a stand-in where the pattern is no name
    pub(crate) ident: Ident,
    pub(crate) pat: Pat,
    pub(crate) ty: Type,
    pub(crate) default: Option<Expr>,
    /// whether it is of type `Args` and takes what is left
    pub(crate) rest: bool,
}

pub(crate) struct Method {
    pub(crate) ident: Ident,
    /// without `r#`
    pub(crate) name: String,
    pub(crate) roles: Vec<Role>,
    pub(crate) form: Form,
    /// whether it takes `cx: &Ctx`, or `peer: &Peer` in a service
    pub(crate) cx: bool,
    /// the others
    pub(crate) args: Vec<Arg>,
    pub(crate) output: Output,
    /// other people's attributes
    pub(crate) attrs: Vec<Attribute>,
    pub(crate) doc: String,
    /// as it was, to judge and to point at
    pub(crate) sig: syn::Signature,
}

impl Agent {
    pub(crate) fn with(&self, key: Key) -> impl Iterator<Item = &Method> {
        self.methods.iter().filter(move |method| method.is(key))
    }
}

impl Method {
    pub(crate) fn role(&self, key: Key) -> Option<&Role> {
        self.roles.iter().find(|role| role.key == key)
    }

    pub(crate) fn is(&self, key: Key) -> bool {
        self.role(key).is_some()
    }

    /// Whether it reads events, which are taken out by reading.
    pub(crate) fn is_event(&self) -> bool {
        self.role(Key::Output).is_some_and(|role| role.flag("event"))
    }

    /// Where its result is written.
    pub(crate) fn result(&self) -> Span {
        match &self.sig.output {
            ReturnType::Default => self.ident.span(),
            ReturnType::Type(_, ty) => ty.span(),
        }
    }

    /// The argument that takes what is left by the others.
    pub(crate) fn rest(&self) -> Option<&Arg> {
        self.args.last().filter(|arg| arg.rest)
    }

    /// The type of its result when all is well.
    pub(crate) fn ok(&self) -> Option<&Type> {
        match &self.output {
            Output::Value(ty) => Some(ty),
            Output::Result(ty) => ty.as_ref(),
        }
    }
}

/// The name of a path's last part.
pub(crate) fn last(ty: &Type) -> Option<&PathSegment> {
    match ty {
        Type::Path(path) => path.path.segments.last(),
        Type::Group(group) => last(&group.elem),
        Type::Paren(paren) => last(&paren.elem),
        _ => None,
    }
}

/// The first type in angle brackets.
pub(crate) fn first_type(segment: &PathSegment) -> Option<&Type> {
    let PathArguments::AngleBracketed(list) = &segment.arguments else { return None };
    list.args.iter().find_map(|arg| match arg {
        GenericArgument::Type(ty) => Some(ty),
        _ => None,
    })
}

/// Types are also needed outside of the impl block, where `Self` is something else.
fn without_self(tokens: TokenStream, me: &Type) -> TokenStream {
    let replace = |token| match token {
        TokenTree::Ident(ident) if ident == "Self" => me.to_token_stream(),
        TokenTree::Group(group) => {
            let mut inner = Group::new(group.delimiter(), without_self(group.stream(), me));
            inner.set_span(group.span());
            TokenTree::Group(inner).into()
        }
        other => TokenStream::from(other),
    };
    tokens.into_iter().flat_map(replace).collect()
}

fn outside(ty: &Type, me: &Type) -> Type {
    syn::parse2(without_self(ty.to_token_stream(), me)).unwrap_or_else(|_| ty.clone())
}

fn is_handle(ty: &Type, kind: Kind) -> bool {
    matches!(ty, Type::Reference(reference) if last(&reference.elem).is_some_and(|segment| segment.ident == kind.handle()))
}

/// Reads an impl block, and takes our attributes out of it. `None` when it cannot be that of an agent.
pub(crate) fn read(item: &mut ItemImpl, kind: Kind, options: Options, errors: &mut Errors) -> Option<Agent> {
    let attribute = kind.attribute();
    let mut methods = Vec::new();
    for item_in in &mut item.items {
        match item_in {
            ImplItem::Fn(function) => {
                let method = read_method(function, &item.self_ty, kind, errors);
                methods.extend((!method.roles.is_empty()).then_some(method));
            }
            ImplItem::Const(constant) => refuse_roles(&mut constant.attrs, errors),
            ImplItem::Type(ty) => refuse_roles(&mut ty.attrs, errors),
            _ => {}
        }
    }
    if let Some((_, of, _)) = &item.trait_ {
        errors.add(of, format_args!("`{attribute}` goes on the type's own impl, not on that of a trait"));
        return None;
    }
    let segment = last(&item.self_ty).cloned();
    let Some(segment) = segment else {
        errors.add(&item.self_ty, format_args!("`{attribute}` goes on the impl of a struct or enum"));
        return None;
    };
    let generics = &item.generics;
    let generic = [
        (!generics.params.is_empty()).then(|| generics.params.to_token_stream()),
        (!segment.arguments.is_none()).then(|| segment.arguments.to_token_stream()),
        generics.where_clause.as_ref().map(ToTokens::to_token_stream),
    ];
    if let Some(generic) = generic.into_iter().flatten().next() {
        let noun = kind.noun();
        errors.add(
            generic,
            format_args!(
                "{noun}'s type has no generics, for it is found by its name; wrap the concrete type you need"
            ),
        );
        return None;
    }
    let ident = segment.ident;
    let unraw = ident.unraw().to_string();
    let name = checked(options.name, errors, |name| {
        let fine = !name.is_empty() && !name.contains(['/', '#']) && !name.chars().any(char::is_control);
        (!fine).then_some("the name of a type is part of paths: it must not be empty or hold '/', '#' or control characters")
    });
    let eid = checked(options.eid, errors, |eid| {
        (!eid.contains("{n}")).then_some("an entity id needs its number, as in \"bat_{n}\"")
    });
    let name = name.unwrap_or(unraw);
    let eid = eid.unwrap_or_else(|| format!("{name}_{{n}}"));
    let doc = attr::doc(&item.attrs);
    Some(Agent { kind, ident, ty: (*item.self_ty).clone(), name, eid, doc, methods })
}

fn checked(
    option: Option<syn::LitStr>,
    errors: &mut Errors,
    wrong: impl Fn(&str) -> Option<&'static str>,
) -> Option<String> {
    let literal = option?;
    let text = literal.value();
    if let Some(message) = wrong(&text) {
        errors.add(&literal, message);
        return None;
    }
    Some(text)
}

fn refuse_roles(attrs: &mut Vec<Attribute>, errors: &mut Errors) {
    for role in attr::take_roles(attrs, errors) {
        errors.add(&role.name, format_args!("`#[{}]` goes on a method", role.name));
    }
}

fn read_method(function: &mut ImplItemFn, me: &Type, kind: Kind, errors: &mut Errors) -> Method {
    let roles = attr::take_roles(&mut function.attrs, errors);
    let sig = &mut function.sig;
    let asynchronous = sig.asyncness.is_some();
    let mut form = Form::Free;
    let mut cx = false;
    let mut args = Vec::new();
    for input in &mut sig.inputs {
        match input {
            FnArg::Receiver(receiver) => {
                form = match (&receiver.reference, asynchronous) {
                    (None, _) => Form::ByValue,
                    (Some(_), false) => Form::Now,
                    (Some(_), true) => Form::Exclusive,
                };
            }
            FnArg::Typed(typed) => {
                let default = attr::take_default(&mut typed.attrs, errors);
                let is_this = last(&typed.ty).is_some_and(|segment| segment.ident == "This");
                let first = args.is_empty() && !cx;
                if first && form == Form::Free && is_this {
                    form = if asynchronous { Form::Later } else { Form::NotAsync };
                } else if first && form != Form::Later && is_handle(&typed.ty, kind) {
                    cx = true;
                } else {
                    let ident = match &*typed.pat {
                        Pat::Ident(pat) => pat.ident.clone(),
                        _ => format_ident!("argument_{}", args.len()),
                    };
                    let ty = outside(&typed.ty, me);
                    let rest = last(&ty).is_some_and(|segment| segment.ident == "Args");
                    args.push(Arg { ident, pat: (*typed.pat).clone(), ty, default, rest });
                    continue;
                }
                if let Some(default) = default {
                    errors.add(default, "this is no argument that a caller gives, so it has no default");
                }
            }
        }
    }
    if let (true, Some(arg)) = (roles.is_empty(), args.iter().find(|arg| arg.default.is_some())) {
        errors.add(&arg.default, "a default needs an `#[expose]` or a `#[constructor]` on its method");
    }
    let output = match &sig.output {
        ReturnType::Default => Output::Value(syn::parse_quote!(())),
        ReturnType::Type(_, ty) => match last(ty) {
            Some(segment) if segment.ident == "Result" => {
                Output::Result(first_type(segment).map(|ty| outside(ty, me)))
            }
            _ => Output::Value(outside(ty, me)),
        },
    };
    Method {
        ident: sig.ident.clone(),
        name: sig.ident.unraw().to_string(),
        roles,
        form,
        cx,
        args,
        output,
        doc: attr::doc(&function.attrs),
        attrs: function.attrs.clone(),
        sig: sig.clone(),
    }
}
