//! The inputs of a recorded run are searched for an order in which it fails, and compared with themselves.

use std::cell::Cell;
use std::path::Path;
use std::thread;

use isochrone::codec::Value;
use isochrone::journal::{Reader, Record};
use isochrone::prelude::*;

use crate::net::run;
use crate::program::{Night, at, converse};

thread_local! {
    /// Changes from run to run, as nothing may that agents do.
    static RUNS: Cell<u64> = const { Cell::new(0) };
}

/// Sells while it is open: the mistake is that who opens and who buys come at the same instant.
#[derive(Default)]
struct Shop {
    is_open: bool,
}

#[agent]
impl Shop {
    #[expose]
    fn open(&mut self) {
        self.is_open = true;
    }

    #[expose]
    fn sell(&mut self) {
        isochrone::always!(self.is_open, "nobody stands before a closed door");
    }
}

struct Keeper {
    shop: ShopProxy,
    leaks: bool,
}

#[agent]
impl Keeper {
    #[input(trigger)]
    fn day(&mut self, _: Inputs<f64>) {
        self.shop.open().send();
    }

    /// Asks the outside, as the seed will have it.
    #[input(trigger)]
    async fn ask(this: This<Self>, _: Inputs<f64>) {
        if this.random("asks").chance(0.5) {
            this.external("weather", Duration::ZERO, || async { 21.5 }).await;
        }
    }

    #[every(seconds = 1)]
    fn count(&mut self) {
        if self.leaks {
            let run = RUNS.with(|runs| runs.replace(runs.get() + 1));
            (0..run % 3).for_each(|_| self.shop.open().send());
        }
    }
}

struct Customer {
    shop: ShopProxy,
}

#[agent]
impl Customer {
    #[input(trigger)]
    fn day(&mut self, _: Inputs<f64>) {
        self.shop.sell().send();
    }
}

fn app(args: &[&str]) -> String {
    let leaks = args.iter().any(|arg| arg.ends_with("leaks.jrn"));
    let app =
        App::new("shop").agent::<Keeper>("Keeper").agent::<Customer>("Customer").scenario(move |world| {
            let shop = world.add("shop", Shop::default())?;
            world.add("keeper", Keeper { shop: shop.clone(), leaks })?;
            world.add("customer", Customer { shop })?;
            Ok(())
        });
    let code = app.run([&["shop"], args].concat());
    // a search mutes panics; those of this test are to be heard
    let _ = std::panic::take_hook();
    format!("{code:?}")
}

/// Five days, each with its inputs.
fn record(night: &Night, name: &str, inputs: &str) {
    let (socket, listen) = night.socket();
    let record = night.path(name);
    let door = thread::spawn(move || app(&["serve", "--listen", &listen, "--record", &record]));
    let mut requests: Vec<String> =
        (0..5).map(|second| format!(r#"["sim/step", ["{second}s", {inputs}], {{}}]"#)).collect();
    requests.push(r#"["sim/stop", [], {}]"#.into());
    run(async { converse(at(&socket).await, &requests, |_| Value::Null).await });
    assert_eq!(door.join().unwrap(), "ExitCode(unix_exit_status(0))", "all is well");
}

const DAY: &str = r#"{"keeper": {"day": {"sun": 1.0}}, "customer": {"day": {"sun": 1.0}}}"#;

#[test]
fn an_order_in_which_a_coupled_run_fails_is_found_in_its_recording_and_shrunk() {
    let night = Night::new();
    record(&night, "run.jrn", DAY);
    let (journal, kept) = (night.path("run.jrn"), night.path("kept"));
    let found = app(&["explore", "--journal", &journal, "--seeds", "0..64", "--keep", &kept]);
    assert_eq!(found, "ExitCode(unix_exit_status(3))");
    let kept: Vec<_> = std::fs::read_dir(&kept).unwrap().map(|entry| entry.unwrap().path()).collect();
    let [failing] = &kept[..] else { panic!("one journal is kept: {kept:?}") };
    let broken = |path: &Path| {
        let mut records = Reader::open(path).unwrap().map(|entry| entry.unwrap().record);
        records
            .any(|record| matches!(record, Record::Failed { message, .. } if message.contains("closed door")))
    };
    assert!(broken(failing));
    let failing = failing.display().to_string();
    assert_eq!(app(&["replay", &failing]), "ExitCode(unix_exit_status(0))");
    assert_eq!(app(&["shrink", &failing]), "ExitCode(unix_exit_status(0))");
    let smaller = Path::new(&failing).with_extension("min.jrn");
    assert!(broken(&smaller));
    assert_eq!(app(&["replay", smaller.to_str().unwrap()]), "ExitCode(unix_exit_status(0))");
}

/// The outside would have answered: what fails for want of an answer is no finding.
#[test]
fn a_run_that_asks_what_was_not_recorded_is_not_judged() {
    let night = Night::new();
    record(&night, "run.jrn", r#"{"keeper": {"ask": {"sun": 1.0}}}"#);
    let found = app(&["explore", "--journal", &night.path("run.jrn"), "--seeds", "0..16"]);
    assert_eq!(found, "ExitCode(unix_exit_status(0))");
}

#[test]
fn a_search_where_nobody_is_says_what_to_do() {
    let empty = |command: &str| {
        let code = App::new("empty").agent::<Keeper>("Keeper").run(["empty", command, "--seeds", "0..4"]);
        let _ = std::panic::take_hook();
        format!("{code:?}")
    };
    assert_eq!(empty("explore"), "ExitCode(unix_exit_status(2))");
    assert_eq!(empty("verify"), "ExitCode(unix_exit_status(2))");
}

#[test]
fn a_recorded_run_that_is_no_function_of_its_seed_is_named_and_another_is_not() {
    let night = Night::new();
    record(&night, "run.jrn", r#"{"keeper": {"day": {"sun": 1.0}}}"#);
    record(&night, "leaks.jrn", r#"{"keeper": {"day": {"sun": 1.0}}}"#);
    let verify =
        |name: &str| app(&["verify", "--journal", &night.path(name), "--seeds", "0..4", "--times", "3"]);
    assert_eq!(verify("run.jrn"), "ExitCode(unix_exit_status(0))");
    assert_eq!(verify("leaks.jrn"), "ExitCode(unix_exit_status(3))");
}
