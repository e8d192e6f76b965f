//! How a container is put on the network.
//!
//! Failure modes: [`BindError`]; nothing listens then.

use std::collections::BTreeMap;
use std::net::{IpAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::task::JoinSet;

use super::conn::Own;
use super::neighbour::Site;
use super::node::{Node, Shared};
use super::reach::{Connections, Later};
use super::{AllowList, neighbour};
use crate::agent::far::PATIENCE;
use crate::agent::{Container, local};
use crate::channel::transport::{ConnectOptions, ListenOptions, Listener, TransportError};
use crate::channel::{AddressError, Config, Endpoint};
use crate::clock::{Input, Live, Notice};
use crate::codec::{Codec, Types, Value};
use crate::rpc::Service;

/// How containers of the same process reach each other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SameProcess {
    /// Values are handed over as they are.
    #[default]
    Direct,
    /// Through memory, encoded as on a socket.
    Encoded,
    /// As everybody else.
    Socket,
}

/// Why a container is not on the network.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BindError {
    /// An address is none.
    #[error(transparent)]
    Address(#[from] AddressError),
    /// It cannot be listened on.
    #[error(transparent)]
    Transport(#[from] TransportError),
}

impl Container {
    /// Puts the container on the network, at `tcp://host:port`, `ipc://[path]` or `local://name`. Port 0 takes a free port,
    /// which every address then has.
    ///
    /// ```
    /// use isochrone::clock::{Interrupt, Wall};
    /// use isochrone::prelude::*;
    ///
    /// struct Meter;
    ///
    /// #[agent]
    /// impl Meter {
    ///     #[expose]
    ///     fn reading(&self) -> f64 { 230.0 }
    /// }
    ///
    /// struct Reader { meter: String }
    ///
    /// #[agent]
    /// impl Reader {
    ///     #[start]
    ///     async fn read(this: This<Self>) -> Result<(), CallError> {
    ///         let meter = MeterProxy::connect(&this.with(|me| me.meter.clone()), secs(5)).await?;
    ///         assert_eq!(meter.reading().await?, 230.0);
    ///         Ok(())
    ///     }
    /// }
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let mut config = Config::new("site");
    /// Wall::configure(&mut config);
    /// let (site, mut office) = (Container::new(config.clone())?, config);
    /// office.name = "office".into();
    /// let office = Container::new(office)?;
    /// let (mut wall, live) = Wall::new(Interrupt::default());
    /// let node = site.bind("tcp://localhost:0").serve(&live).await?;
    /// site.add("meter", Meter)?;
    ///
    /// let (mut office_wall, live) = Wall::new(Interrupt::default());
    /// let office_node = office.bind("tcp://localhost:0").serve(&live).await?;
    /// office.add("reader", Reader { meter: node.address("meter").to_string() })?;
    /// let until = Time::ZERO + millis(100);
    /// let (one, other) = tokio::join!(wall.run(site.kernel(), until), office_wall.run(office.kernel(), until));
    /// (one?, other?);
    /// # assert_eq!(office.kernel().reports(), []);
    /// node.shutdown(secs(1)).await;
    /// office_node.shutdown(secs(1)).await;
    /// # Ok(())
    /// # }
    /// ```
    pub fn bind(&self, address: &str) -> Binding<'_> {
        Binding {
            container: self,
            address: address.into(),
            advertise: None,
            numbers: false,
            config: Config::default(),
            types: Vec::new(),
            listen: ListenOptions::default(),
            connect: ConnectOptions::default(),
            allow: None,
            services: Service::new(),
            same_process: SameProcess::default(),
            patience: PATIENCE,
        }
    }
}

/// How a container is put on the network; see [`Container::bind`].
#[must_use = "nothing listens before `serve` is awaited"]
#[derive(Debug)]
pub struct Binding<'a> {
    container: &'a Container,
    address: String,
    advertise: Option<String>,
    numbers: bool,
    config: Config,
    types: Vec<String>,
    listen: ListenOptions,
    connect: ConnectOptions,
    allow: Option<AllowList>,
    services: Service,
    same_process: SameProcess,
    patience: Duration,
}

impl Binding<'_> {
    /// How messages are written: all peers must use the same (JSON, as in aiomas).
    pub fn codec(mut self, codec: Codec) -> Self {
        self.config.codec = codec;
        self
    }

    /// Custom types that travel by name, in the order in which aiomas peers have them as `extra_serializers`.
    pub fn types<S: Into<String>>(mut self, names: impl IntoIterator<Item = S>) -> Self {
        self.types = names.into_iter().map(Into::into).collect();
        self
    }

    /// Where peers find it, if that is not where it listens: behind a forwarded port, or on one of several interfaces. The
    /// port may be 0 for the one it listens on.
    pub fn advertise(mut self, address: &str) -> Self {
        self.advertise = Some(address.into());
        self
    }

    /// Whether agents are announced by their numbers, as aiomas does (`tcp://localhost:5555/0`), instead of their names.
    /// Peers may use either.
    pub fn numbers(mut self, numbers: bool) -> Self {
        self.numbers = numbers;
        self
    }

    /// Changes the limits of connections.
    pub fn limits(mut self, change: impl FnOnce(&mut Config)) -> Self {
        change(&mut self.config);
        self
    }

    /// Changes how it listens: connections at once, plain TCP beyond this machine.
    pub fn listen(mut self, change: impl FnOnce(&mut ListenOptions)) -> Self {
        change(&mut self.listen);
        self
    }

    /// Changes how it connects.
    pub fn connect(mut self, change: impl FnOnce(&mut ConnectOptions)) -> Self {
        change(&mut self.connect);
        self
    }

    /// Encrypts TCP, either way, with certificates on both sides.
    #[cfg(feature = "tls")]
    pub fn tls(mut self, tls: crate::channel::transport::Tls) -> Self {
        self.listen.tls = Some(tls.clone());
        self.connect.tls = Some(tls);
        self
    }

    /// Lets only those call who are on a list.
    pub fn allow(mut self, list: AllowList) -> Self {
        self.allow = Some(list);
        self
    }

    /// What peers may call beside agents: `manager` in here is called as `manager/..`.
    pub fn services(mut self, services: Service) -> Self {
        self.services = services;
        self
    }

    /// How containers of this process are reached.
    pub fn same_process(mut self, how: SameProcess) -> Self {
        self.same_process = how;
        self
    }

    /// How long the clock of a simulated or coupled run stands for the answer of an agent elsewhere, in wall time (30 s); then
    /// the call fails.
    pub fn patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// Listens, and lets agents be called and call; `live` is the way into the container, of the driver that is going to
    /// run it. Calls are answered when that runs.
    ///
    /// Needs a tokio runtime with I/O and time, in which connections get tasks.
    ///
    /// # Errors
    /// See [`BindError`].
    pub async fn serve(self, live: &Live) -> Result<Node, BindError> {
        let listener = Listener::bind(&self.address.parse()?, self.listen).await?;
        let announced = announced(listener.endpoint(), self.advertise.as_deref())?;
        let mut config = self.config;
        // what a peer can do with proxies is looked after where they are translated
        config.types = Types::container(self.types).with_addresses();
        let mut tasks = JoinSet::new();
        let name = self.container.kernel().config().name.clone();
        let site = Arc::new(Site {
            told: announced.to_string().into(),
            own: Arc::new(Own { announced, local: Endpoint::Local { name: name.clone() } }),
            name,
            live: live.clone(),
            allow: self.allow,
            same_process: self.same_process,
            withdrawn: AtomicBool::new(false),
        });
        let later = self.container.enter(local::shared::<Later>);
        let connections = later.as_ref().map_or(0, |later| later.connections);
        let shared = Arc::new_cyclic(|shared: &std::sync::Weak<Shared>| Shared {
            listening: tasks.spawn(Shared::accept(shared.clone(), listener)),
            site: site.clone(),
            numbers: self.numbers,
            services: self.services,
            patience: self.patience,
            config,
            connect: self.connect,
            counter: AtomicU64::new(connections),
            conns: Mutex::new(BTreeMap::new()),
            slots: Mutex::new(BTreeMap::new()),
            tasks: Mutex::new(Some(tasks)),
        });
        neighbour::announce(&shared);
        if let Some(later) = later {
            later.fulfil(&shared);
        }
        self.container.kernel().provide(Connections(shared.clone()).into_outside());
        let detail = Value::from(&*site.told);
        live.send(Input::Notice(Notice { from: site.told.clone(), what: "bound".into(), detail }));
        Ok(Node { shared })
    }
}

/// Where peers find what listens at `bound`.
fn announced(bound: &Endpoint, advertise: Option<&str>) -> Result<Endpoint, BindError> {
    let mut announced = match advertise {
        Some(text) => text.parse()?,
        None => bound.clone(),
    };
    if let (Endpoint::Tcp { port, .. }, Endpoint::Tcp { port: actual, .. }) = (&mut announced, bound)
        && *port == 0
    {
        *port = *actual;
    }
    let everywhere = announced.host().is_some_and(|host| {
        host.is_empty() || host.parse::<IpAddr>().is_ok_and(|ip| ip.to_canonical().is_unspecified())
    });
    if let Endpoint::Tcp { host, .. } = &mut announced
        && everywhere
    {
        // "everywhere" is no place that others can connect to
        *host = own_ip().map_or_else(|| "localhost".into(), |ip| ip.to_string());
    }
    Ok(announced)
}

/// The address of the interface that leads outside. Nothing is sent: connecting a datagram socket only chooses a way.
fn own_ip() -> Option<IpAddr> {
    let socket = UdpSocket::bind("0.0.0.0:0").ok()?;
    // an address for documentation, which is nobody's
    socket.connect("192.0.2.1:9").ok()?;
    socket.local_addr().ok().map(|address| address.ip()).filter(|ip| !ip.is_unspecified())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_announced_can_be_connected_to() {
        let told =
            |bound: &str, advertise| announced(&bound.parse().unwrap(), advertise).unwrap().to_string();
        assert_eq!(told("tcp://LocalHost:5555", None), "tcp://LocalHost:5555");
        assert_eq!(
            told("tcp://0.0.0.0:5555", Some("tcp://grid.example.org:0")),
            "tcp://grid.example.org:5555"
        );
        assert_eq!(told("tcp://0.0.0.0:5555", Some("tcp://[::1]:7")), "tcp://[::1]:7");
        for everywhere in ["tcp://0.0.0.0:5555", "tcp://[::]:5555", "tcp://:5555"] {
            let told = told(everywhere, None);
            assert!(told.ends_with(":5555") && told != everywhere, "{told}");
        }
        assert_eq!(told("ipc://[/tmp/a.sock]", None), "ipc://[/tmp/a.sock]");
    }
}
