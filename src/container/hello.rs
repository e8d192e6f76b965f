//! What our peers tell each other: law 8.
//!
//! Contract: who connects as a container says `_iso/hello` along with its first question and does not wait. A LookupError or
//! silence means aiomas, which hears of nothing else. Who has answered or said hello understands addresses as proxies, and
//! may be asked what it has.

use crate::channel::Endpoint;
use crate::codec::Value;
use crate::rpc::Args;

/// Where it is asked.
pub(super) const HELLO: &str = "_iso/hello";
/// Where to ask for agents, their methods and what those are for.
pub(super) const LIST: &str = "_iso/list";

/// Of what we add to aiomas.
const VERSION: i64 = 1;

/// What is told, either way: the version, where the teller is (nowhere, if it is no container), and its name.
pub(super) fn told(announced: Option<&Endpoint>, name: &str) -> Args {
    let address = Value::from(announced.map(ToString::to_string));
    Args::new(vec![VERSION.into(), address, name.into()], Vec::new())
}

/// Whether a peer is one of ours, and where.
pub(super) fn heard(told: &[Value]) -> Option<Option<Endpoint>> {
    let [version, address, ..] = told else { return None };
    version.as_i64().filter(|version| *version >= VERSION)?;
    Some(address.as_str().and_then(|text| text.parse().ok()))
}
