//! Addresses of containers and agents, as aiomas writes them.
//!
//! Why the host is kept as written: aiomas tells containers apart by their text, so `localhost` and `127.0.0.1` are two
//! connections there, and an address of ours must come back as it went out.
//!
//! | form | reaches |
//! |------|---------|
//! | `tcp://host:port/agent` | TCP; IPv6 as `tcp://[::1]:5555/0` and, as aiomas prints it, `tcp://::1:5555/0` |
//! | `ipc://[/path/to.sock]/agent` | a Unix socket |
//! | `local://name/agent` | a container in this process |
//!
//! Without `/agent` it is the container itself. An agent's name may hold further `/`.
//!
//! Failure modes: an [`AddressError`] that says which form was meant.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Where a container listens.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Endpoint {
    /// TCP.
    Tcp {
        /// Name or number, as written; empty for every interface.
        host: String,
        /// Port; 0 asks for a free one.
        port: u16,
    },
    /// A Unix socket.
    Unix {
        /// Where its file is.
        path: String,
    },
    /// A queue within this process.
    Local {
        /// Its name.
        name: String,
    },
}

impl Endpoint {
    /// The host without the brackets of IPv6; `None` where there is none.
    pub fn host(&self) -> Option<&str> {
        let Endpoint::Tcp { host, .. } = self else { return None };
        Some(host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host))
    }

    /// The address of an agent there.
    pub fn agent(&self, name: &str) -> Address {
        Address { endpoint: self.clone(), agent: Some(name.into()) }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Endpoint::Tcp { host, port } => write!(f, "tcp://{host}:{port}"),
            Endpoint::Unix { path } => write!(f, "ipc://[{path}]"),
            Endpoint::Local { name } => write!(f, "local://{name}"),
        }
    }
}

impl FromStr for Endpoint {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let address: Address = text.parse()?;
        match address.agent {
            None => Ok(address.endpoint),
            Some(_) => Err(refuse(text, "an agent's address where that of a container is meant")),
        }
    }
}

/// Where an agent is, or a container.
///
/// ```
/// use isochrone::channel::Address;
/// let address: Address = "tcp://localhost:5555/house_3".parse()?;
/// assert_eq!((address.agent(), address.endpoint().host()), (Some("house_3"), Some("localhost")));
/// assert_eq!(address.to_string(), "tcp://localhost:5555/house_3");
/// # Ok::<(), isochrone::channel::AddressError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Address {
    endpoint: Endpoint,
    agent: Option<String>,
}

impl Address {
    /// Where its container is.
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// The agent's name in its container.
    pub fn agent(&self) -> Option<&str> {
        self.agent.as_deref()
    }
}

impl From<Endpoint> for Address {
    fn from(endpoint: Endpoint) -> Self {
        Address { endpoint, agent: None }
    }
}

/// Text that is no address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is no address: {why}")]
#[non_exhaustive]
pub struct AddressError {
    /// The text.
    pub text: String,
    /// What is wrong with it.
    pub why: &'static str,
}

#[cold]
fn refuse(text: &str, why: &'static str) -> AddressError {
    const SHOWN: usize = 256;
    AddressError { text: text.chars().take(SHOWN).collect(), why }
}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let no = |why| refuse(text, why);
        let (scheme, rest) = text
            .split_once("://")
            .ok_or_else(|| no("write tcp://host:port/agent, ipc://[/path]/agent or local://name/agent"))?;
        let (endpoint, agent) = match scheme {
            "tcp" => {
                let (place, agent) = cut(rest);
                let (host, port) =
                    place.rsplit_once(':').ok_or_else(|| no("the port is missing: tcp://host:port/agent"))?;
                let port = port.parse().map_err(|_| no("the port must be a number up to 65535"))?;
                if host.starts_with('[') != host.ends_with(']') {
                    return Err(no("a bracket of its host is missing"));
                }
                (Endpoint::Tcp { host: host.into(), port }, agent)
            }
            "ipc" => {
                let (path, rest) = rest
                    .strip_prefix('[')
                    .and_then(|rest| rest.rsplit_once(']'))
                    .ok_or_else(|| no("a socket's path stands in brackets: ipc://[/path/to.sock]/agent"))?;
                let agent = match rest.strip_prefix('/') {
                    Some(agent) => Some(agent),
                    None if rest.is_empty() => None,
                    None => return Err(no("after the path comes /agent")),
                };
                if path.is_empty() {
                    return Err(no("the socket's path is missing"));
                }
                (Endpoint::Unix { path: path.into() }, agent)
            }
            "local" => {
                let (name, agent) = cut(rest);
                if name.is_empty() {
                    return Err(no("the container's name is missing: local://name/agent"));
                }
                (Endpoint::Local { name: name.into() }, agent)
            }
            _ => return Err(no("its scheme is none of tcp, ipc and local")),
        };
        // a single slash at the end is no agent
        let agent = agent.filter(|agent| !agent.is_empty()).map(String::from);
        Ok(Address { endpoint, agent })
    }
}

/// Cuts what comes after the first slash off.
fn cut(text: &str) -> (&str, Option<&str>) {
    text.split_once('/').map_or((text, None), |(place, agent)| (place, Some(agent)))
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.endpoint.fmt(f)?;
        self.agent.as_ref().map_or(Ok(()), |agent| write!(f, "/{agent}"))
    }
}

impl Serialize for Address {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Address {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Address {
        text.parse().unwrap_or_else(|error| panic!("{error}"))
    }

    #[test]
    fn addresses_come_back_as_they_were_written() {
        for text in [
            "tcp://localhost:5555/0",
            "tcp://LocalHost:5555/0",
            "tcp://127.0.0.1:5555",
            "tcp://::1:5555/0",
            "tcp://[::1]:5555/0",
            "tcp://:5555/0",
            "tcp://grid.example.org:1/house_3/Battery#0",
            "ipc://[/tmp/a b.sock]/0",
            "ipc://[/tmp/a]b.sock]/0",
            "ipc://[relative.sock]",
            "local://grid/house_3",
        ] {
            assert_eq!(parsed(text).to_string(), text);
        }
    }

    #[test]
    fn both_forms_of_ipv6_name_one_host() {
        for text in ["tcp://::1:5555/0", "tcp://[::1]:5555/0"] {
            let address = parsed(text);
            assert_eq!(address.endpoint().host(), Some("::1"));
            assert_eq!(address.agent(), Some("0"));
            assert!(matches!(address.endpoint(), Endpoint::Tcp { port: 5555, .. }));
        }
    }

    #[test]
    fn what_is_no_address_says_what_to_write() {
        let why = |text: &str| text.parse::<Address>().unwrap_err().why;
        assert!(why("localhost:5555").contains("tcp://host:port/agent"));
        assert!(why("http://a:1/0").contains("scheme"));
        assert!(why("tcp://localhost/0").contains("port"));
        assert!(why("tcp://localhost:70000/0").contains("port"));
        assert!(why("tcp://[::1:5/0").contains("bracket"));
        assert!(why("ipc:///tmp/a.sock/0").contains("brackets"));
        assert!(why("ipc://[/tmp/a]0").contains("/agent"));
        assert!(why("ipc://[]/0").contains("path"));
        assert!(why("local:///0").contains("name"));
        assert!("tcp://a:1/0".parse::<Endpoint>().unwrap_err().to_string().contains("container"));
        let long = "x".repeat(10_000).parse::<Address>().unwrap_err();
        assert_eq!(long.text.len(), 256);
    }
}
