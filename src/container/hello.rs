//! What our peers tell each other: law 8.
//!
//! Contract: who connects as a container says `_iso/hello` along with its first question and does not wait. A LookupError or
//! silence means aiomas, which hears of nothing else. Who has answered or said hello understands addresses as proxies, and
//! may be asked what it has.

use crate::channel::Endpoint;
use crate::codec::Value;
use crate::rpc::Args;

/// Where it is asked.
pub(crate) const HELLO: &str = "_iso/hello";
/// Where to ask for agents, their methods and what those are for.
pub(crate) const LIST: &str = "_iso/list";

/// Of what we add to aiomas.
const VERSION: i64 = 1;

/// What is told, either way: the version, where the teller is, and the name of its container.
pub(crate) fn told(announced: &Endpoint, container: &str) -> Args {
    let told = [Value::from(VERSION), Value::from(announced.to_string()), Value::from(container)];
    Args::new(told.into(), Vec::new())
}

/// Where the peer is, if it is one of ours.
pub(super) fn heard(args: &[Value]) -> Option<Endpoint> {
    let [version, address, ..] = args else { return None };
    version.as_i64().filter(|version| *version >= VERSION)?;
    address.as_str()?.parse().ok()
}
