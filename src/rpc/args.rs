//! Arguments as Python passes them.
//!
//! Why: callers are Python programs as often as Rust ones, and they pass by position, by keyword and by default. A mistake
//! is theirs to find, so it is named in CPython's words.
//!
//! Contract: [`Args::bind`] checks in CPython's order: unknown and doubled keywords, then surplus, then missing arguments.
//! The receiver (`self`) is no argument and not counted.
//!
//! Failure modes: always a `TypeError`.

use std::fmt;

use serde::de::DeserializeOwned;
use serde::{Serialize, Serializer};

use super::CallError;
use crate::codec::{CodecErrorKind, Value, from_value, to_value};

/// The arguments of one call.
///
/// ```
/// use isochrone::rpc::Args;
/// let args = Args::default().arg(1.5).kwarg("rounds", 3);
/// assert_eq!(args.to_string(), "(1.5, rounds=3)");
/// ```
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Args {
    /// By position.
    pub positional: Vec<Value>,
    /// By name, in the order given.
    pub keyword: Vec<(String, Value)>,
    /// The first argument that could not be serialized: a builder has no place to say so.
    failed: Option<CallError>,
}

impl Args {
    /// Arguments that are values already.
    pub fn new(positional: Vec<Value>, keyword: Vec<(String, Value)>) -> Self {
        Args { positional, keyword, failed: None }
    }

    /// None yet, with room for so many by position.
    #[doc(hidden)]
    pub fn with_room(positional: usize) -> Self {
        Args { positional: Vec::with_capacity(positional), ..Args::default() }
    }

    /// Adds an argument by position. One that cannot be serialized fails the call, not the building.
    #[must_use]
    pub fn arg(mut self, value: impl Serialize) -> Self {
        match to_value(&value) {
            Ok(value) => self.positional.push(value),
            Err(e) => self.fail(format!("argument {}: {e}", self.positional.len() + 1)),
        }
        self
    }

    /// Adds an argument by name. One that cannot be serialized fails the call, not the building.
    #[must_use]
    pub fn kwarg(mut self, name: impl Into<String>, value: impl Serialize) -> Self {
        let name = name.into();
        match to_value(&value) {
            Ok(value) => self.keyword.push((name, value)),
            Err(e) => self.fail(format!("argument '{name}': {e}")),
        }
        self
    }

    /// Adds others behind.
    #[must_use]
    pub fn and(mut self, others: Args) -> Self {
        self.positional.extend(others.positional);
        self.keyword.extend(others.keyword);
        self.failed = self.failed.or(others.failed);
        self
    }

    fn fail(&mut self, message: String) {
        self.failed.get_or_insert_with(|| CallError::type_error(message));
    }

    /// Whether every argument could be serialized.
    ///
    /// # Errors
    /// The first that could not.
    pub fn check(&self) -> Result<(), CallError> {
        self.failed.clone().map_or(Ok(()), Err)
    }

    /// Gives every parameter its argument.
    ///
    /// # Errors
    /// The `TypeError` that Python would raise.
    pub fn bind(self, signature: &Signature) -> Result<Bound<'_>, CallError> {
        self.check()?;
        let Signature { name, .. } = *signature;
        let (params, takes_rest) = signature.named();
        let mut positional = self.positional;
        let given = positional.len();
        if given == params.len() && self.keyword.is_empty() && !takes_rest {
            // as most calls are
            let values = positional.into_iter().map(Some).collect();
            return Ok(Bound { signature, values, rest: None });
        }
        let mut rest = takes_rest.then(Args::default);
        if let Some(rest) = &mut rest
            && given > params.len()
        {
            rest.positional = positional.split_off(params.len());
        }
        let given = positional.len();
        let mut values: Vec<Option<Value>> = positional.into_iter().map(Some).collect();
        values.resize(params.len().max(given), None);
        for (keyword, value) in self.keyword {
            let Some(at) = params.iter().position(|param| param.name == keyword) else {
                if let Some(rest) = &mut rest {
                    rest.keyword.push((keyword, value));
                    continue;
                }
                return Err(wrong(name, format_args!("got an unexpected keyword argument '{keyword}'")));
            };
            if values[at].replace(value).is_some() {
                return Err(wrong(name, format_args!("got multiple values for argument '{keyword}'")));
            }
        }
        if given > params.len() {
            return Err(surplus(signature, given));
        }
        let missing: Vec<&str> = (params.iter().zip(&values))
            .filter(|(param, value)| value.is_none() && !param.optional)
            .map(|(param, _)| param.name)
            .collect();
        if !missing.is_empty() {
            return Err(lacking(name, &missing));
        }
        Ok(Bound { signature, values, rest })
    }
}

/// As on the wire: a list of those by position, and a dict of those by name.
impl Serialize for Args {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.check().map_err(serde::ser::Error::custom)?;
        (&self.positional, Keyword(&self.keyword)).serialize(serializer)
    }
}

struct Keyword<'a>(&'a [(String, Value)]);

impl Serialize for Keyword<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, value)| (name, value)))
    }
}

/// As in a Python call: `(1.5, rounds=3)`.
impl fmt::Display for Args {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(")?;
        let mut separator = "";
        for value in &self.positional {
            write!(f, "{separator}{value}")?;
            separator = ", ";
        }
        for (name, value) in &self.keyword {
            write!(f, "{separator}{name}={value}")?;
            separator = ", ";
        }
        f.write_str(")")
    }
}

#[cold]
fn wrong(function: &str, what: fmt::Arguments<'_>) -> CallError {
    CallError::type_error(format!("{function}() {what}"))
}

#[cold]
fn surplus(signature: &Signature, given: usize) -> CallError {
    let most = signature.params.len();
    let least = signature.params.iter().filter(|param| !param.optional).count();
    let were = if given == 1 { "was" } else { "were" };
    let takes = match (least, most) {
        (least, most) if least < most => format!("from {least} to {most} positional arguments"),
        (_, 1) => "1 positional argument".to_owned(),
        (_, most) => format!("{most} positional arguments"),
    };
    wrong(signature.name, format_args!("takes {takes} but {given} {were} given"))
}

#[cold]
fn lacking(function: &str, missing: &[&str]) -> CallError {
    let quoted: Vec<String> = missing.iter().map(|name| format!("'{name}'")).collect();
    let names = match &quoted[..] {
        [one] => one.clone(),
        [one, two] => format!("{one} and {two}"),
        [most @ .., last] => format!("{}, and {last}", most.join(", ")),
        [] => String::new(),
    };
    let s = if missing.len() == 1 { "" } else { "s" };
    wrong(function, format_args!("missing {} required positional argument{s}: {names}", missing.len()))
}

/// What a method takes.
///
/// ```
/// use isochrone::rpc::{Param, Signature};
/// const SET: Signature = Signature {
///     name: "set",
///     params: &[
///         Param { name: "kw", optional: false, ty: "f64" },
///         Param { name: "scale", optional: true, ty: "f64" },
///     ],
/// };
/// assert_eq!(SET.to_string(), "set(kw: f64, scale: f64 = ...)");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Signature {
    /// Name of the method.
    pub name: &'static str,
    /// Its parameters in order, the receiver left out.
    pub params: &'static [Param],
}

/// A parameter of a [`Signature`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Param {
    /// Its name. A last one whose name begins with `*` takes what is left, by position and by keyword.
    pub name: &'static str,
    /// Whether it has a default.
    pub optional: bool,
    /// Its type as written in the source, for those who read the signature.
    pub ty: &'static str,
}

impl Signature {
    /// The parameters that take one argument each, and whether a further one takes what they leave.
    fn named(&self) -> (&'static [Param], bool) {
        match self.params {
            [named @ .., last] if last.name.starts_with('*') => (named, true),
            params => (params, false),
        }
    }
}

impl fmt::Display for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}(", self.name)?;
        for (i, param) in self.params.iter().enumerate() {
            let separator = if i > 0 { ", " } else { "" };
            let has_default = param.optional && !param.name.starts_with('*');
            let default = if has_default { " = ..." } else { "" };
            write!(f, "{separator}{}: {}{default}", param.name, param.ty)?;
        }
        f.write_str(")")
    }
}

/// Arguments by parameter.
#[derive(Debug, Clone, PartialEq)]
pub struct Bound<'a> {
    signature: &'a Signature,
    values: Vec<Option<Value>>,
    /// What the last parameter takes, if it takes what is left.
    rest: Option<Args>,
}

impl Bound<'_> {
    /// Takes the argument of the parameter at `index` out; `None` if it was left to its default.
    ///
    /// # Errors
    /// It does not have the parameter's type; the error names function, parameter, expected and got.
    ///
    /// # Panics
    /// The signature has no such parameter.
    pub fn take<T: DeserializeOwned>(&mut self, index: usize) -> Result<Option<T>, CallError> {
        let Some(value) = self.values[index].take() else { return Ok(None) };
        from_value(value).map(Some).map_err(|e| {
            let parameter = self.signature.params[index].name;
            match e.kind() {
                CodecErrorKind::Mismatch { path, message } => {
                    wrong(self.signature.name, format_args!("argument '{parameter}'{path}: {message}"))
                }
                other => wrong(self.signature.name, format_args!("argument '{parameter}': {other}")),
            }
        })
    }

    /// What no other parameter has taken.
    pub fn rest(&mut self) -> Args {
        self.rest.take().unwrap_or_default()
    }

    /// The argument of the parameter at `index`, untouched; `None` if it was left to its default.
    ///
    /// # Panics
    /// The signature has no such parameter.
    pub fn take_value(&mut self, index: usize) -> Option<Value> {
        self.values[index].take()
    }
}

#[cfg(test)]
mod tests;
