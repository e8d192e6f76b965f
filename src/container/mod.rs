//! Containers on the network: their agents are called from elsewhere, and call agents there.
//!
//! Why beside the kernel: connections live on the driver's runtime and never touch an agent. What arrives enters the kernel
//! by its [door](crate::clock), as data; what leaves is an [external operation](crate::agent::Externals); sending never
//! waits for a socket.
//!
//! ```text
//!                 calls, notices                      Input
//!   peers ──> Listener ──> Conn ──> Root ── Allow? ──> door ──> kernel ──> agents
//!     ^                      ^                                               │ proxy.call(..).await
//!     └────── Slot <─────────┴─────────────────── Far <── external ──────────┘
//! ```
//!
//! | file | what |
//! |------|------|
//! | `binding` | [`Binding`]: how a container is put on the network |
//! | `node` | [`Node`]: where it is, until when |
//! | `conn` | one connection: who is there, and what proxies mean on it |
//! | `root` | what a peer may call: `validate_aid`, `agents/<name>/<method>`, services, and what we add to aiomas |
//! | `slot` | the one connection to each other container, lost and found again |
//! | `reach` | how calls of agents elsewhere get there |
//! | `neighbour` | containers of the same process, without a socket |
//! | `allow` | [`AllowList`]: who may call what |
//! | `visitor` | [`Visitor`]: programs that are no containers, and look into some |
//! | `hello` | what our peers tell each other; aiomas hears of nothing but an unknown name |
//!
//! Contract: the wire is aiomas 2.0.1's; an agent's name there is its path in the container, or its number. One connection
//! leads to each container. Proxies stay valid over the loss of a connection.
//!
//! Failure modes: a call fails with `Disconnected` when nobody is there, each time and at once; nothing that a peer sends
//! does more than end its own connection.

mod allow;
mod binding;
mod conn;
mod hello;
mod neighbour;
mod node;
mod reach;
mod root;
mod slot;
mod visitor;

pub use allow::AllowList;
pub use binding::{BindError, Binding, SameProcess};
pub use node::Node;
#[cfg(feature = "app")]
pub(crate) use reach::{Later, Recorded};
pub use visitor::Visitor;
