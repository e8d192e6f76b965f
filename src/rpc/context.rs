//! The connection on whose behalf this thread encodes or decodes.
//!
//! Why: a proxy is bound to a connection, and serde passes none along. So whoever encodes or decodes says for which one,
//! for as long as that takes.
//!
//! Contract: contexts nest; the outer one is back when the inner one is left, also by a panic.

use std::cell::RefCell;

use super::Peer;

thread_local!(static CURRENT: RefCell<Option<Peer>> = const { RefCell::new(None) });

/// Restores what was current before.
struct Restore(Option<Peer>);

impl Drop for Restore {
    fn drop(&mut self) {
        CURRENT.set(self.0.take());
    }
}

/// Runs `f` on behalf of this connection.
pub(super) fn within<R>(peer: &Peer, f: impl FnOnce() -> R) -> R {
    let _restore = Restore(CURRENT.replace(Some(peer.uncounted())));
    f()
}

/// Looks at the connection on whose behalf something is done. Its lock may be held.
pub(super) fn current<R>(look: impl FnOnce(Option<&Peer>) -> R) -> R {
    CURRENT.with_borrow(|peer| look(peer.as_ref()))
}
