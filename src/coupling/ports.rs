//! What simulators write and ask for, as it comes in their requests.
//!
//! Why maps: in mosaik's protocol as in ours an entity's port has one value per source, and every language has maps.

use super::PortInput;
use crate::codec::Value;

/// Reads `{entity: {port: {source: value}}}`; `None` if it is something else.
pub(crate) fn inputs(value: Value) -> Option<Vec<PortInput>> {
    let mut inputs = Vec::new();
    for (eid, ports) in entries(value)? {
        for (port, values) in entries(ports)? {
            inputs.push(PortInput { eid: eid.clone(), port, values: entries(values)? });
        }
    }
    Some(inputs)
}

/// The entities for which no port is given: their names are to be right all the same.
#[cfg(feature = "serve")]
pub(crate) fn bare(inputs: &Value) -> impl Iterator<Item = &str> {
    let entries = inputs.as_map().unwrap_or_default().iter();
    entries
        .filter(|(_, ports)| ports.as_map().is_some_and(<[_]>::is_empty))
        .filter_map(|(eid, _)| eid.as_str())
}

/// Reads `{entity: [port]}`; `None` if it is something else.
pub(crate) fn wanted(value: &Value) -> Option<Vec<(&str, &str)>> {
    let mut wanted = Vec::new();
    for (eid, ports) in value.as_map()? {
        for port in ports.as_list()? {
            wanted.push((eid.as_str()?, port.as_str()?));
        }
    }
    Some(wanted)
}

/// Groups what was read: `{entity: {port: value}}`, in the order given.
pub(crate) fn readings(values: Vec<(String, String, Value)>) -> Vec<(Value, Value)> {
    let mut data: Vec<(Value, Value)> = Vec::new();
    for (eid, port, value) in values {
        let entry = (Value::Str(port), value);
        match data.last_mut() {
            Some((Value::Str(known), Value::Map(entries))) if *known == eid => entries.push(entry),
            _ => data.push((Value::Str(eid), Value::Map(vec![entry]))),
        }
    }
    data
}

/// Reads `{name: value}`; `None` if it is something else.
pub(crate) fn entries(value: Value) -> Option<Vec<(String, Value)>> {
    let Value::Map(entries) = value else { return None };
    let text = |(key, value)| if let Value::Str(key) = key { Some((key, value)) } else { None };
    entries.into_iter().map(text).collect()
}
