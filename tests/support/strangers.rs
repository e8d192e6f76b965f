//! Somebody elsewhere, whom the agents of a test meet.

use isochrone::codec::Value;
use isochrone::prelude::*;

use crate::net::Running;

/// Calls back, and calls whom it is told to.
struct Stranger;

#[agent]
impl Stranger {
    #[expose]
    async fn call_back(this: This<Self>, who: Proxy, x: f64) -> Result<f64, CallError> {
        let _ = this;
        who.call("double").arg(x).returning().await
    }

    #[expose]
    fn note(&self, x: f64) {
        let _ = x;
    }

    #[expose]
    async fn call(this: This<Self>, url: String, method: String, args: Args) -> Result<Value, CallError> {
        let _ = this;
        Proxy::connect(&url, secs(5)).await?.call(&method).args(args).await
    }
}

/// A container with the agent `stranger`.
pub(crate) async fn start() -> Running {
    let build = |world: &Container| drop(world.add("stranger", Stranger).expect("added"));
    Running::start("strangers", "tcp://127.0.0.1:0", |all| all, build).await
}
