//! How the container of a coupled run gets on the network.
//!
//! Why a function: the container is made when the simulator begins a run, and its set-up may want to know where its agents
//! are for others. So it joins in between, by what the program has left here.

use std::fmt;
use std::rc::Rc;

use futures::future::LocalBoxFuture;

use super::Coupling;
use crate::agent::Container;
use crate::clock::Live;

type Joins = dyn for<'a> Fn(&'a Container, &'a Live) -> LocalBoxFuture<'a, Result<(), String>>;

/// Puts the container of each run on the network before it is set up; by default it stays off.
///
/// Calls of peers are handled from the moment at which the agents start, while the simulator's clock stands; agents call
/// peers in steps, during which it stands.
#[derive(Clone, Default)]
pub struct Join(Option<Rc<Joins>>);

impl fmt::Debug for Join {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "Join(..)" } else { "Join(not at all)" })
    }
}

impl Join {
    /// Joins by this function: it gets the container and the way into it, for
    /// [`Binding::serve`](crate::container::Binding::serve), and fails with a sentence.
    pub fn new(
        join: impl for<'a> Fn(&'a Container, &'a Live) -> LocalBoxFuture<'a, Result<(), String>> + 'static,
    ) -> Self {
        Join(Some(Rc::new(join)))
    }

    pub(super) async fn join(&self, coupling: &Coupling) -> Result<(), String> {
        match &self.0 {
            Some(join) => join(coupling.container(), &coupling.live()).await,
            None => Ok(()),
        }
    }
}
