//! Law 2: the trace of a simulated or coupled run is a function of scenario, seed and external inputs, of nothing else.
//!
//! The fingerprint stands for the trace here. What shuffle mode may change is at the end.

use isochrone::clock::{Coupled, FreeRun, Interrupt};
use isochrone::codec::Value;
use isochrone::coupling::{Coupling, Mode, PortInput};
use isochrone::prelude::*;
use isochrone::sim::OrderCheck;
use support::{Log, block_on};

mod support;

/// A crowd that talks at random: who, what and when are drawn.
struct Guest {
    others: Vec<GuestProxy>,
    heard: f64,
    asked: u32,
}

#[agent]
impl Guest {
    #[expose]
    fn listen(&mut self, word: f64, to_whom: String) -> f64 {
        self.heard += word * to_whom.len() as f64;
        self.heard
    }

    #[expose]
    async fn think(this: This<Self>, about: Vec<u32>) -> u32 {
        this.sleep(micros(this.random("thinking").below(3_000))).await;
        about.iter().sum()
    }

    #[expose]
    fn meet(&mut self, others: Vec<GuestProxy>) {
        self.others = others;
    }

    #[every(millis = 20)]
    async fn talk(this: This<Self>) -> Result<(), CallError> {
        let mut random = this.random("talking");
        let Some(other) = this.with(|me| random.choose(&me.others).cloned()) else { return Ok(()) };
        other.listen(random.normal(0.0, 1.0), this.path()).send();
        this.sleep(micros(random.below(5_000))).await;
        if random.chance(0.5) {
            let sum = other.think(vec![1, 2, 3]).timeout(millis(2)).await.unwrap_or(0);
            this.with(|me| me.asked += sum);
        }
        Ok(())
    }
}

fn party(config: Config) -> Container {
    let world = Container::new(config).unwrap();
    let guests: Vec<_> = (0..7)
        .map(|_| world.add_unnamed(Guest { others: Vec::new(), heard: 0.0, asked: 0 }).unwrap())
        .collect();
    for guest in &guests {
        let others = guests.iter().filter(|other| other.agent() != guest.agent()).cloned().collect();
        world.with(guest.agent(), |me| me.others = others).unwrap();
    }
    world
}

fn seeded(seed: u64) -> Config {
    let mut config = Config::new("party");
    config.seed = seed;
    config
}

const END: Time = Time::from_nanos(1_000_000_000);

fn fingerprint(seed: u64) -> u64 {
    let world = party(seeded(seed));
    world.run_until(END).unwrap();
    assert!(world.kernel().counts().messages > 300);
    world.kernel().fingerprint()
}

// Broken once: `Random::next_u64` drew with the seed plus the number of the kernel in its process. Seen: this
// test and four others failed, `seed 0` with 6697163105491460322 against 8634226067595987323 in one process.
#[test]
fn the_same_seed_gives_the_same_fingerprint_and_another_seed_another_one() {
    let all: std::collections::BTreeSet<_> = (0..20).map(fingerprint).collect();
    assert_eq!(all.len(), 20, "twenty seeds, twenty fingerprints");
    for seed in [0, 7, 19] {
        assert_eq!(fingerprint(seed), fingerprint(seed), "seed {seed}");
    }
}

/// Asserted by debug and release builds on every platform. It may change only together with what a fingerprint is
/// made of, or with the order of things: then say so in the CHANGELOG.
const GOLDEN: u64 = 0xca31_1431_7c2e_102a;

#[test]
fn the_fingerprint_of_a_known_run_is_the_same_in_debug_and_release_builds() {
    let found = fingerprint(7);
    assert_eq!(found, GOLDEN, "{found:#018x}");
}

#[test]
fn the_wall_clock_the_driver_and_its_load_leave_no_trace() {
    let expected = fingerprint(3);
    let (world, mut last) = (party(seeded(3)), Time::ZERO);
    block_on(async {
        let busy = tokio::task::spawn_local(async {
            loop {
                tokio::task::yield_now().await;
            }
        });
        FreeRun::default().run(world.kernel(), END, |now| last = now).await.unwrap();
        busy.abort();
    });
    assert_eq!((world.kernel().fingerprint(), last), (expected, END));
}

#[test]
fn a_coupled_run_without_inputs_does_not_depend_on_the_size_of_its_steps() {
    let expected = fingerprint(3);
    for step in [millis(1), micros(777), millis(20), millis(333), secs(1)] {
        let world = party(seeded(3));
        block_on(async {
            let (mut driver, mut at) = (Coupled::default(), Time::ZERO);
            while at < END {
                at = (at + step).min(END);
                // a step at the same time goes on with the rounds; there is nothing to go on with
                driver.advance_before(world.kernel(), at).await.unwrap();
                driver.advance(world.kernel(), at).await.unwrap();
                driver.advance(world.kernel(), at).await.unwrap();
            }
        });
        assert_eq!(world.kernel().fingerprint(), expected, "steps of {step:?}");
    }
}

#[test]
fn a_coupled_run_does_not_depend_on_the_order_in_which_the_simulator_lists_its_inputs() {
    struct Meter {
        log: Log,
    }

    #[agent]
    impl Meter {
        #[constructor]
        fn new(cx: &Ctx) -> Self {
            Meter { log: cx.shared::<Log>().map(|log| (*log).clone()).unwrap_or_default() }
        }

        #[input]
        fn second(&mut self, cx: &Ctx, values: Inputs<f64>) {
            self.log.note(cx.now(), format!("{} second {:?}", cx.path(), values.iter().collect::<Vec<_>>()));
        }

        #[input]
        fn first(&mut self, cx: &Ctx, values: Inputs<f64>) {
            self.log.note(cx.now(), format!("{} first {}", cx.path(), values.sum()));
        }
    }

    let run = |turn: usize| {
        let world = Container::new(seeded(0)).unwrap();
        let log = Log::default();
        world.kernel().provide(std::rc::Rc::new(log.clone()));
        let models = [("Meter".to_string(), isochrone::agent::Vtable::of::<Meter>())].into();
        let mut coupling = Coupling::new(world, models, Mode::Exact, Interrupt::default());
        coupling.create("Meter", 2, &Args::default()).unwrap();
        let eids: Vec<_> = coupling.entities().iter().map(|entity| entity.eid.clone()).collect();
        let mut inputs: Vec<_> = eids
            .iter()
            .flat_map(|eid| ["first", "second"].map(|port| (eid.clone(), port.to_string())))
            .map(|(eid, port)| {
                let mut values = vec![
                    ("b".into(), Value::from(0.1)),
                    ("a".into(), Value::from(0.7)),
                    ("c".into(), Value::from(0.2)),
                ];
                values.rotate_left(turn % 3);
                PortInput { eid, port, values }
            })
            .collect();
        inputs.rotate_left(turn % 4);
        block_on(coupling.step(Time::ZERO + secs(5), inputs, None)).unwrap();
        (log.words(), coupling.container().kernel().fingerprint())
    };
    let expected = run(0);
    let order = ["Meter_0 second", "Meter_0 first", "Meter_1 second", "Meter_1 first"];
    assert_eq!(expected.0.len(), 4, "{:?}", expected.0);
    for (line, start) in expected.0.iter().zip(order) {
        assert!(line.starts_with(start), "by agent, then by declaration: {:?}", expected.0);
    }
    for turn in 1..6 {
        assert_eq!(run(turn), expected, "listed from {turn} on");
    }
}

/// Three messages to a guest, the last of which can be changed.
fn with_message(word: f64, whom: &str, times: u32) -> u64 {
    let world = Container::new(seeded(0)).unwrap();
    let guest = world.add("guest", Guest { others: Vec::new(), heard: 0.0, asked: 0 }).unwrap();
    world.enter(|| guest.listen(1.0, "a".into()).send());
    world.run_until(END).unwrap();
    for _ in 0..times {
        world.enter(|| guest.listen(word, whom.into()).send());
    }
    world.run_until(END + secs(1)).unwrap();
    world.kernel().fingerprint()
}

#[test]
fn a_flipped_bit_of_a_payload_changes_the_fingerprint() {
    let expected = with_message(0.3, "house_1", 1);
    assert_eq!(with_message(0.3, "house_1", 1), expected);
    for bit in 0..64 {
        let word = f64::from_bits(0.3_f64.to_bits() ^ 1 << bit);
        assert_ne!(with_message(word, "house_1", 1), expected, "bit {bit} of the number");
    }
    for at in 0..7 {
        let mut text = b"house_1".to_vec();
        text[at] ^= 1;
        assert_ne!(
            with_message(0.3, std::str::from_utf8(&text).unwrap(), 1),
            expected,
            "byte {at} of the text"
        );
    }
    let quiet = f64::NAN;
    let other = f64::from_bits(f64::NAN.to_bits() ^ 1);
    assert_eq!(with_message(quiet, "a", 1), with_message(other, "a", 1), "there is one NaN");
}

#[test]
fn a_message_that_comes_twice_or_at_another_time_changes_the_fingerprint() {
    let prints = [0, 1, 2, 3].map(|times| with_message(0.3, "house_1", times));
    for (a, first) in prints.iter().enumerate() {
        for (b, second) in prints.iter().enumerate().skip(a + 1) {
            assert_ne!(first, second, "{a} and {b} messages");
        }
    }
    let sent_at = |time| {
        let world = Container::new(seeded(0)).unwrap();
        let guest = world.add("guest", Guest { others: Vec::new(), heard: 0.0, asked: 0 }).unwrap();
        world.kernel().inject_with(time, move || guest.listen(1.0, "a".into()).send()).unwrap();
        world.run_until(END).unwrap();
        world.kernel().fingerprint()
    };
    assert_ne!(sent_at(Time::ZERO + secs(1)), sent_at(Time::ZERO + secs(1) - nanos(1)));
}

#[test]
fn an_agent_with_a_name_more_shifts_nobodys_random_numbers() {
    struct Gambler {
        drawn: Vec<u64>,
    }

    #[agent]
    impl Gambler {
        #[every(seconds = 1)]
        fn draw(&mut self, cx: &Ctx) {
            self.drawn.push(cx.random("dice").below(6));
            if self.drawn.len().is_multiple_of(3) {
                cx.random("cards").next_u64();
            }
        }
    }

    let play = |names: &[&str]| {
        let world = Container::new(seeded(5)).unwrap();
        let all: Vec<_> =
            names.iter().map(|name| world.add(name, Gambler { drawn: Vec::new() }).unwrap()).collect();
        world.run_until(Time::ZERO + minutes(1)).unwrap();
        let drawn = |n: usize| world.with(all[n].agent(), |me| me.drawn.clone()).unwrap();
        (0..names.len()).map(drawn).collect::<Vec<_>>()
    };
    let (two, three) = (play(&["ann", "bob"]), play(&["eve", "ann", "bob"]));
    assert_ne!(two[0], two[1]);
    assert_eq!(two, three[1..]);
}

// ---- shuffle mode
//
// What it may change: which agent of a round runs first, in which order messages of *different* senders of one round
// reach an agent, and through both whatever agents make of it, the fingerprint included. What it may not: a sender's own
// order, a round, a phase, a time, and the trace of a program that leaves no order open.

/// Writes down what it gets; the sender numbers its own messages.
struct Inbox {
    got: Vec<(String, u32)>,
}

#[agent]
impl Inbox {
    #[expose]
    fn put(&mut self, from: String, number: u32) {
        self.got.push((from, number));
    }
}

struct Sender {
    inbox: InboxProxy,
    number: u32,
}

#[agent]
impl Sender {
    #[every(seconds = 1)]
    fn send(&mut self, cx: &Ctx) {
        for _ in 0..2 {
            self.number += 1;
            self.inbox.put(cx.path(), self.number).send();
        }
    }
}

fn race(shuffle: Option<u64>) -> (Vec<(String, u32)>, u64) {
    let mut config = seeded(0);
    config.shuffle = shuffle;
    let world = Container::new(config).unwrap();
    let inbox = world.add("inbox", Inbox { got: Vec::new() }).unwrap();
    for name in ["a", "b", "c"] {
        world.add(name, Sender { inbox: inbox.clone(), number: 0 }).unwrap();
    }
    let check = OrderCheck::new(shuffle.is_some());
    world.kernel().set_observer(Some(Box::new(check.clone())));
    world.run_until(Time::ZERO + secs(10)).unwrap();
    assert_eq!(check.violations(), [""; 0]);
    (world.with(inbox.agent(), |me| me.got.clone()).unwrap(), world.kernel().fingerprint())
}

#[test]
fn shuffle_mode_shows_a_race_and_its_seed_reproduces_it() {
    let canonical = race(None);
    let order: Vec<_> = canonical.0.iter().take(6).map(|(from, number)| format!("{from}{number}")).collect();
    assert_eq!(order, ["a1", "a2", "b1", "b2", "c1", "c2"], "by order of creation, then by number");
    let mut orders = std::collections::BTreeSet::new();
    for seed in 0..20 {
        let shuffled = race(Some(seed));
        assert_eq!(race(Some(seed)), shuffled, "seed {seed} reproduces its order");
        orders.insert(shuffled.0.clone());
        // a sender's own order stays, and so does the round: all of one second come before those of the next
        for sender in ["a", "b", "c"] {
            let numbers: Vec<_> =
                shuffled.0.iter().filter(|(from, _)| from == sender).map(|(_, n)| *n).collect();
            assert_eq!(numbers, (1..=20).collect::<Vec<_>>(), "seed {seed}, sender {sender}");
        }
        for (second, messages) in shuffled.0.chunks(6).enumerate() {
            let last = 2 * (second as u32 + 1);
            assert!(
                messages.iter().all(|(_, number)| (last - 1..=last).contains(number)),
                "seed {seed}, second {second}"
            );
        }
    }
    assert!(orders.len() > 10, "twenty seeds gave {} orders", orders.len());
}

#[test]
fn a_program_that_leaves_no_order_open_is_the_same_under_every_shuffle() {
    let run = |shuffle| {
        let mut config = seeded(0);
        config.shuffle = shuffle;
        let world = Container::new(config).unwrap();
        // each sender has an inbox of its own, and all draw from streams of their own
        let inboxes: Vec<_> = (0..10)
            .map(|n| {
                let inbox = world.add(&format!("inbox_{n}"), Inbox { got: Vec::new() }).unwrap();
                world.add(&format!("sender_{n}"), Sender { inbox: inbox.clone(), number: 0 }).unwrap();
                inbox
            })
            .collect();
        world.run_until(Time::ZERO + secs(20)).unwrap();
        let got: Vec<_> =
            inboxes.iter().map(|inbox| world.with(inbox.agent(), |me| me.got.clone()).unwrap()).collect();
        (got, world.kernel().fingerprint())
    };
    let canonical = run(None);
    for seed in 0..20 {
        assert_eq!(run(Some(seed)), canonical, "seed {seed}");
    }
}
