//! `#[isochrone::test]`: many seeds, and a failing one is named with the line that repeats it.

use std::panic::catch_unwind;

use isochrone::prelude::*;
use isochrone::testing::{Spans, Trial, run};

struct Market {
    best: Option<(String, f64)>,
}

#[agent]
impl Market {
    #[expose]
    fn bid(&mut self, house: String, price: f64) -> bool {
        let better = self.best.as_ref().is_none_or(|(_, best)| price < *best);
        if better {
            self.best = Some((house, price));
        }
        better
    }
}

struct House {
    name: String,
    price: f64,
    market: MarketProxy,
}

#[agent]
impl House {
    #[every(minutes = 15)]
    fn offer(&mut self) {
        self.market.bid(self.name.clone(), self.price).send();
    }
}

fn street(world: &Trial, prices: &[f64]) -> MarketProxy {
    let market = world.add("market", Market { best: None }).unwrap();
    for (n, price) in prices.iter().enumerate() {
        let name = format!("house_{n}");
        let house = House { name: name.clone(), price: *price, market: market.clone() };
        world.add(&name, house).unwrap();
    }
    market
}

fn best(world: &Trial, market: &MarketProxy) -> String {
    world.with(market.agent(), |me| me.best.clone()).unwrap().expect("a bid").0
}

#[isochrone::test(seeds = 64)]
fn the_cheapest_house_wins_in_every_order(world: &mut Trial) {
    let market = street(world, &[0.3, 0.2, 0.4]);
    world.advance(15.mins());
    assert_eq!(best(world, &market), "house_1");
    let (name, price): (String, f64) = world.expect_message("house_2", "market");
    assert_eq!((name.as_str(), price), ("house_2", 0.4));
    world.no_dead_letters();
}

#[isochrone::test]
fn a_test_may_end_with_a_result(world: &mut Trial) -> Result<(), CallError> {
    street(world, &[0.3]);
    world.advance(1.hours());
    for _ in 0..4 {
        world.expect_message::<(String, f64)>("house_0", "market");
    }
    Ok(())
}

fn said(test: impl Fn(&mut Trial) + std::panic::UnwindSafe) -> String {
    let panic = catch_unwind(|| run("here::a_test", 64, test)).expect_err("it fails");
    panic.downcast_ref::<String>().expect("a message").clone()
}

#[test]
fn a_test_that_depends_on_the_order_fails_with_its_seed_and_the_line_that_repeats_it() {
    let text = said(|world| {
        // both at the same price: who is first wins
        let market = street(world, &[0.2, 0.2]);
        world.advance(15.mins());
        assert_eq!(best(world, &market), "house_0", "the first house wins");
    });
    assert!(text.starts_with("seed ") && text.contains("the first house wins"), "{text}");
    assert!(text.contains("reproduce ISOCHRONE_SEED=") && text.ends_with("cargo test a_test"), "{text}");
}

#[test]
fn a_test_that_is_no_function_of_its_seed_is_named_with_the_first_difference() {
    let prices = std::sync::atomic::AtomicU32::new(0);
    let text = said(move |world| {
        let n = prices.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        street(world, &[f64::from(n)]);
        world.advance(15.mins());
    });
    assert!(text.starts_with("two runs of seed 0 differ: first difference at event"), "{text}");
    assert!(text.contains("agent house_0") && text.contains("args[1]: 0.0 became 1.0"), "{text}");
}

#[test]
fn a_message_that_is_missing_is_told_with_those_that_there_were() {
    let text = said(|world| {
        street(world, &[0.2]);
        world.advance(15.mins());
        world.expect_message::<f64>("market", "house_0");
    });
    assert!(text.contains("no message of market to house_0 by 15min"), "{text}");
    assert!(text.contains("`bid` of house_0 to market at 15min"), "{text}");
}

#[test]
fn dead_letters_and_failing_agents_fail_the_test() {
    let text = said(|world| {
        let market = street(world, &[0.2]);
        world.kernel().stop(market.agent().id());
        world.advance(15.mins());
        world.no_dead_letters();
    });
    assert!(text.contains("1 dead letters") && text.contains("`bid` to market"), "{text}");
}
