//! Calls that leave the simulated world, with outputs that a journal can hold.
//!
//! Why here: the kernel runs no futures and knows no format. It fixes when the agent resumes; how the output is written
//! down, so that a repetition of the run gets it without calling anybody, is said here: as a [`Value`].

use std::any::Any;
use std::future::Future;
use std::rc::Rc;
use std::time::Duration;

use isochrone_sim::{Ctx, External, Form};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::codec::{Value, from_value, to_value};

/// The way out of the simulated world, under every clock.
pub trait Externals {
    /// Takes part in the world outside: `make` is called, and its future run, by the driver of the clock; this agent
    /// resumes at `now + latency`, which is fixed before the outcome is known. With latency zero that is the next round.
    /// In simulated time the clock waits for a result that is late; on the wall clock the agent resumes when it is there.
    /// Results due at one instant resume in the order (task, call number), never in order of arrival.
    ///
    /// The output is recorded and compared, therefore the bounds; a replay gets the recorded one and never calls `make`. A
    /// panic of the future is a panic here.
    fn external<T, M, F>(&self, name: &str, latency: Duration, make: M) -> External<T>
    where
        T: Serialize + DeserializeOwned + 'static,
        M: FnOnce() -> F + 'static,
        F: Future<Output = T> + 'static;
}

impl Externals for Ctx {
    fn external<T, M, F>(&self, name: &str, latency: Duration, make: M) -> External<T>
    where
        T: Serialize + DeserializeOwned + 'static,
        M: FnOnce() -> F + 'static,
        F: Future<Output = T> + 'static,
    {
        self.external_as(name, latency, form(), make)
    }
}

/// As a [`Value`].
pub(crate) fn form<T: Serialize + DeserializeOwned>() -> Form<T> {
    Form { encode: encode::<T>, decode: decode::<T> }
}

fn encode<T: Serialize>(value: &T) -> Result<Rc<dyn Any>, String> {
    match to_value(value) {
        Ok(value) => Ok(Rc::new(value)),
        Err(error) => Err(error.to_string()),
    }
}

fn decode<T: DeserializeOwned>(written: &dyn Any) -> Result<T, String> {
    let value = written.downcast_ref::<Value>().ok_or("it is no value")?;
    from_value(value.clone()).map_err(|error| error.to_string())
}
