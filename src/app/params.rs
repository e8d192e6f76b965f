//! Parameters of a run, as a serde struct of the program's.
//!
//! Why the probe: a misspelt parameter must be an error, but `time_resolution` and `step_size` come from every simulator
//! whether the program wants to know them or not. So the struct is asked for its fields first.

use std::rc::Rc;

use serde::de::{self, DeserializeOwned, Deserializer, Visitor};

use crate::agent::Container;
use crate::codec::{Value, from_value};

/// What every simulator tells.
const GIVEN: [&str; 2] = ["time_resolution", "step_size"];

/// For programs without parameters.
pub(super) fn none(_: &Container, params: &Value) -> Result<(), String> {
    check(params, &[])
}

/// Decodes the parameters and provides them to set-up and agents.
pub(super) fn provide<P: DeserializeOwned + 'static>(
    world: &Container,
    params: &Value,
) -> Result<(), String> {
    let fields = fields::<P>();
    if let Some(fields) = fields {
        check(params, fields)?;
    }
    let Value::Map(entries) = params else { return Err("parameters must have names".into()) };
    let wanted = |name: &Value| match (name.as_str(), fields) {
        (Some(name), Some(fields)) => fields.contains(&name),
        // what is no plain struct takes whatever is given
        (Some(name), None) => !GIVEN.contains(&name),
        (None, _) => false,
    };
    let known = entries.iter().filter(|(name, _)| wanted(name)).cloned().collect();
    let value: P = from_value(Value::Map(known)).map_err(|error| format!("parameters: {error}"))?;
    world.kernel().provide(Rc::new(value));
    Ok(())
}

fn check(params: &Value, fields: &[&str]) -> Result<(), String> {
    for (name, _) in params.as_map().unwrap_or_default() {
        let name = name.as_str().unwrap_or_default();
        if !fields.contains(&name) && !GIVEN.contains(&name) {
            let known = if fields.is_empty() {
                "it takes none".into()
            } else {
                format!("it takes {}", fields.join(", "))
            };
            return Err(format!("there is no parameter {name:?}: {known}"));
        }
    }
    Ok(())
}

/// `name=value`, the value as JSON or else as text.
pub(super) fn parse(texts: &[String]) -> Result<Value, String> {
    let mut entries = Vec::new();
    for text in texts {
        let (name, value) =
            text.split_once('=').ok_or_else(|| format!("{text:?} is no parameter: write name=value"))?;
        let decoded = crate::codec::json::decode(value.as_bytes(), &crate::codec::Limits::default());
        entries.push((Value::from(name), decoded.unwrap_or_else(|_| Value::from(value))));
    }
    Ok(Value::Map(entries))
}

/// The names of a struct's fields; `None` for what is no struct.
fn fields<P: DeserializeOwned>() -> Option<&'static [&'static str]> {
    let mut fields: Option<&'static [&'static str]> = None;
    // the probe always fails: all it wants is to be asked
    let _ = P::deserialize(Probe(&mut fields));
    fields
}

struct Probe<'a>(&'a mut Option<&'static [&'static str]>);

impl<'de> Deserializer<'de> for Probe<'_> {
    type Error = de::value::Error;

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Self::Error> {
        Err(de::Error::custom("probe"))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        _: V,
    ) -> Result<V::Value, Self::Error> {
        *self.0 = Some(fields);
        Err(de::Error::custom("probe"))
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 u8 u16 u32 u64 f32 f64 char str string bytes byte_buf option unit unit_struct newtype_struct
        seq tuple tuple_struct map enum identifier ignored_any
    }
}
