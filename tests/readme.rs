//! The README's own scenario, run; and the README shows just this.

// --- begin
use netsplit::{Address, Context, Faults, ReplyTo, Scenario, millis, secs};
use std::collections::BTreeSet;

type Deposit = (u64, ReplyTo<()>); // an id, and where to say that it is booked

fn bank(remembers: bool) -> Scenario {
    Scenario::new("bank")
        .node("bank", move |ctx: Context<Deposit>| async move {
            ctx.register("teller").expect("a free name");
            let mut seen = BTreeSet::new();
            loop {
                let (id, reply_to) = ctx.receive_message().await;
                if seen.insert(id) || !remembers {
                    ctx.observe("booked", |ids: &mut Vec<u64>| ids.push(id));
                }
                reply_to.reply(());
            }
        })
        .client("customer", |ctx: Context| async move {
            let teller = Address::<Deposit>::named("bank", "teller");
            for id in 0..20 {
                while teller
                    .call(|reply_to| (id, reply_to), millis(100))
                    .await
                    .is_err()
                {}
                ctx.observe("paid", |paid: &mut u64| *paid += 1);
            }
        })
        .faults(Faults::calm().lose(0.05))
        .finally("every deposit is booked once", |view| {
            let booked = view.observed::<Vec<u64>>("booked").map_or(0, Vec::len);
            (view.observed("paid") == Some(&20u64) && booked == 20)
                .then_some(())
                .ok_or(format!("20 paid, {booked} booked"))
        })
        .horizon(secs(20))
}

#[test]
fn the_bank_books_every_deposit_once() {
    netsplit::check(bank(true));
}
// --- end

#[test]
fn a_bank_that_remembers_nothing_books_a_deposit_twice() {
    let forgetful = bank(false);
    let mut runs = (0..100).map(|seed| forgetful.run(seed).expect("a run"));
    assert!(runs.any(|run| run.violation.is_some()));
}

#[test]
fn the_readme_shows_this_scenario() {
    let source = include_str!("readme.rs");
    let begin = source.find("use netsplit").expect("its beginning");
    let end = source.find("// --- end").expect("its end");
    let readme = include_str!("../README.md");
    assert!(
        readme.contains(&source[begin..end]),
        "README.md and tests/readme.rs differ"
    );
}
