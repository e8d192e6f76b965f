//! The grammar of our attributes, as one table.

use proc_macro2::TokenStream;
use quote::ToTokens;
use syn::parse::{Parse, ParseStream, Parser};
use syn::punctuated::Punctuated;
use syn::{Attribute, Expr, ExprLit, Ident, Lit, LitStr, Meta, Token};

use crate::Errors;

/// What a method can be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Key {
    Expose,
    Constructor,
    Start,
    Stop,
    Every,
    Step,
    Input,
    Output,
}

/// What stands in an attribute's parentheses.
enum Takes {
    Nothing,
    Flags(&'static [&'static str]),
    Period,
}

const ROLES: &[(&str, Key, Takes)] = &[
    ("expose", Key::Expose, Takes::Nothing),
    ("constructor", Key::Constructor, Takes::Nothing),
    ("start", Key::Start, Takes::Nothing),
    ("stop", Key::Stop, Takes::Nothing),
    ("every", Key::Every, Takes::Period),
    ("step", Key::Step, Takes::Nothing),
    ("input", Key::Input, Takes::Flags(&["trigger"])),
    ("output", Key::Output, Takes::Flags(&["on_change", "event", "stamped"])),
];

/// The attribute of an argument: `#[default(1.0)]`.
const DEFAULT: &str = "default";

const OPTIONS: &[&str] = &["name", "eid"];

const UNITS: &[(&str, u64)] = &[
    ("nanos", 1),
    ("micros", 1_000),
    ("millis", 1_000_000),
    ("seconds", 1_000_000_000),
    ("minutes", 60_000_000_000),
    ("hours", 3_600_000_000_000),
    ("days", 86_400_000_000_000),
];

/// The period of an `every`.
#[derive(Clone)]
pub(crate) enum Period {
    Nanos(u64),
    Method(Ident),
}

/// One of our attributes on a method.
#[derive(Clone)]
pub(crate) struct Role {
    pub(crate) key: Key,
    /// as written, to point at
    pub(crate) name: Ident,
    pub(crate) flags: Vec<Ident>,
    pub(crate) period: Option<Period>,
}

impl Role {
    pub(crate) fn flag(&self, name: &str) -> bool {
        self.flags.iter().any(|flag| flag == name)
    }
}

/// What stands in the parentheses of `#[agent(..)]`.
#[derive(Default)]
pub(crate) struct Options {
    pub(crate) name: Option<LitStr>,
    pub(crate) eid: Option<LitStr>,
}

fn names(list: impl IntoIterator<Item = &'static str>) -> String {
    let names: Vec<_> = list.into_iter().map(|name| format!("`{name}`")).collect();
    match names.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} and {last}", rest.join(", ")),
        _ => names.concat(),
    }
}

pub(crate) fn options(tokens: TokenStream, errors: &mut Errors) -> Options {
    struct Pair(Ident, LitStr);
    impl Parse for Pair {
        fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
            let name = input.parse()?;
            input.parse::<Token![=]>()?;
            Ok(Pair(name, input.parse()?))
        }
    }
    let mut options = Options::default();
    let pairs = match Punctuated::<Pair, Token![,]>::parse_terminated.parse2(tokens) {
        Ok(pairs) => pairs,
        Err(error) => {
            errors.push(error);
            return options;
        }
    };
    for Pair(name, value) in pairs {
        let slot = match name.to_string().as_str() {
            "name" => &mut options.name,
            "eid" => &mut options.eid,
            _ => {
                errors.add(&name, format_args!("`#[agent]` knows only {}", names(OPTIONS.iter().copied())));
                continue;
            }
        };
        if slot.replace(value).is_some() {
            errors.add(&name, format_args!("`{name}` stands here twice"));
        }
    }
    options
}

/// Takes our attributes out of a method's.
pub(crate) fn take_roles(attrs: &mut Vec<Attribute>, errors: &mut Errors) -> Vec<Role> {
    let mut roles: Vec<Role> = Vec::new();
    attrs.retain(|attr| {
        let Some((_, key, takes)) = ROLES.iter().find(|(name, ..)| attr.path().is_ident(name)) else {
            return true;
        };
        match role(attr, *key, takes) {
            Ok(role) if roles.iter().any(|other| other.key == role.key) => {
                errors.add(&role.name, format_args!("`#[{}]` stands here twice", role.name));
            }
            Ok(role) => roles.push(role),
            Err(error) => errors.push(error),
        }
        false
    });
    roles
}

fn role(attr: &Attribute, key: Key, takes: &Takes) -> syn::Result<Role> {
    let name = attr.path().require_ident()?.clone();
    let refuse = |message: String| Err(syn::Error::new_spanned(&attr.meta, message));
    let mut role = Role { key, name, flags: Vec::new(), period: None };
    match (takes, &attr.meta) {
        (Takes::Nothing | Takes::Flags(_), Meta::Path(_)) => {}
        (Takes::Nothing, _) => return refuse(format!("`#[{}]` stands alone", role.name)),
        (Takes::Flags(known), Meta::List(list)) => {
            let flags = list.parse_args_with(Punctuated::<Ident, Token![,]>::parse_terminated)?;
            for flag in flags {
                if !known.iter().any(|name| flag == name) {
                    let known = names(known.iter().copied());
                    return Err(syn::Error::new_spanned(
                        &flag,
                        format!("`#[{}]` knows only {known}", role.name),
                    ));
                }
                role.flags.push(flag);
            }
        }
        (Takes::Period, Meta::List(list)) => role.period = Some(list.parse_args_with(period)?),
        (Takes::Period, Meta::Path(_)) => {
            return refuse(
                "say how often: `#[every(minutes = 15)]`, or the name of a method that returns a `Duration`"
                    .into(),
            );
        }
        (_, Meta::NameValue(_)) => {
            return refuse(format!("what `#[{}]` takes stands in parentheses", role.name));
        }
    }
    Ok(role)
}

fn period(input: ParseStream<'_>) -> syn::Result<Period> {
    if input.peek(syn::Ident) && !input.peek2(Token![=]) {
        let method = input.parse()?;
        return if input.is_empty() {
            Ok(Period::Method(method))
        } else {
            Err(input.error("the name of one method is enough"))
        };
    }
    let whole = input.fork().parse::<TokenStream>()?;
    let mut nanos = 0_u64;
    while !input.is_empty() {
        let unit: Ident = input.parse()?;
        let Some((_, size)) = UNITS.iter().find(|(name, _)| unit == name) else {
            let known = names(UNITS.iter().map(|(name, _)| *name));
            return Err(syn::Error::new_spanned(&unit, format!("periods are given in {known}")));
        };
        input.parse::<Token![=]>()?;
        let count: Expr = input.parse()?;
        let Expr::Lit(ExprLit { lit: Lit::Int(count), .. }) = count else {
            let message = "a period is given in whole numbers; use a smaller unit for parts of one";
            return Err(syn::Error::new_spanned(count, message));
        };
        nanos = count
            .base10_parse::<u64>()
            .ok()
            .and_then(|count| nanos.checked_add(count.checked_mul(*size)?))
            .filter(|nanos| i64::try_from(*nanos).is_ok())
            .ok_or_else(|| {
                syn::Error::new_spanned(&count, "this is longer than time is counted: 292 years")
            })?;
        if !input.is_empty() {
            input.parse::<Token![,]>()?;
        }
    }
    if nanos == 0 {
        let message =
            "a period of zero never comes; only one that a method returns may be zero, to switch it off";
        let whole = if whole.is_empty() { return Err(input.error(message)) } else { whole };
        return Err(syn::Error::new_spanned(whole, message));
    }
    Ok(Period::Nanos(nanos))
}

/// Takes the default out of an argument's attributes.
pub(crate) fn take_default(attrs: &mut Vec<Attribute>, errors: &mut Errors) -> Option<Expr> {
    let mut default = None;
    attrs.retain(|attr| {
        if !attr.path().is_ident(DEFAULT) {
            return true;
        }
        match attr.parse_args::<Expr>() {
            Ok(_) if default.is_some() => {
                errors.add(attr.meta.to_token_stream(), "`#[default]` stands here twice")
            }
            Ok(value) => default = Some(value),
            Err(_) => errors.add(attr.meta.to_token_stream(), "say which value: `#[default(1.0)]`"),
        }
        false
    });
    default
}

/// The text of the doc comments among the attributes.
pub(crate) fn doc(attrs: &[Attribute]) -> String {
    let lines: Vec<_> = attrs.iter().filter_map(doc_line).collect();
    lines.join("\n").trim().into()
}

fn doc_line(attr: &Attribute) -> Option<String> {
    let Meta::NameValue(pair) = &attr.meta else { return None };
    let Expr::Lit(literal) = &pair.value else { return None };
    match &literal.lit {
        Lit::Str(text) if pair.path.is_ident("doc") => {
            let text = text.value();
            Some(text.strip_prefix(' ').unwrap_or(&text).trim_end().to_owned())
        }
        _ => None,
    }
}
