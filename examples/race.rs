//! A race that no ordinary test shows: two tellers read the balance of one account, and the deposit of one of them is lost.
//!
//! ```text
//!   teller_4                account                teller_9
//!      ------ balance ------->  70
//!      <------- 70 -----------       <------ balance ------
//!   thinks 2 ms                      --------- 70 -------->
//!      ------ set 80 -------->  80                   thinks 2 ms
//!                               80   <------ set 80 -------      one deposit is lost
//! ```
//!
//! Twelve tellers come at random moments of ten seconds, so hardly ever do two of them meet. A search meets them:
//!
//! ```text
//! cargo run --example race -- sim                                    nearly always all is well
//! cargo run --example race -- explore --seeds 0..1000 --jobs 2       a seed at which it is not, and its journal
//! cargo run --example race -- shrink target/explore/race-22.jrn      two tellers are left, and the line that repeats it
//! ```

use isochrone::prelude::*;

#[derive(Default)]
struct Account {
    balance: i64,
    deposits: i64,
}

#[agent]
impl Account {
    #[expose]
    fn balance(&self) -> i64 {
        self.balance
    }

    /// The mistake: whoever calls this has read the balance some time ago.
    #[expose]
    fn set(&mut self, balance: i64) {
        self.balance = balance;
        self.deposits += 1;
        isochrone::always!(
            self.balance == 10 * self.deposits,
            "no deposit is lost",
            "after {} deposits of 10 there are {}",
            self.deposits,
            self.balance
        );
    }
}

struct Teller {
    account: AccountProxy,
}

#[agent]
impl Teller {
    #[start]
    async fn deposit(this: This<Self>) -> Result<(), CallError> {
        let comes = this.random("comes").uniform();
        this.sleep(secs(10).mul_f64(comes)).await;
        let account = this.with(|me| me.account.clone());
        let balance = account.balance().await?;
        isochrone::sometimes!(balance == 110, "the last teller finds all others' money");
        this.sleep(millis(2)).await;
        account.set(balance + 10).await
    }
}

fn build(world: &Container) -> Built {
    let account = world.add("account", Account::default())?;
    for n in 0..12 {
        world.add(&format!("teller_{n}"), Teller { account: account.clone() })?;
    }
    Ok(())
}

fn main() -> ExitCode {
    App::new("race").about("A lost update, found by its seed").scenario(build).main()
}
