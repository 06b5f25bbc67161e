//! The example of the README: it is compiled and run here, and it is what stands there.

// What follows up to the next line of this sort stands in the README.
// --- readme: your own scenario
use netsplit::{Address, Context, Faults, ReplyTo, Scenario, millis, secs};
use std::collections::BTreeSet;

/// An order: its number, and where the receipt goes.
type Order = (u32, ReplyTo<()>);

#[test]
fn every_order_is_sold_once() {
    let scenario = Scenario::new("shop")
        .node("shop", |ctx: Context<Order>| async move {
            ctx.register("till").expect("a free name");
            let mut known = BTreeSet::new();
            loop {
                let (number, receipt) = ctx.receive_message().await;
                if known.insert(number) {
                    ctx.observe("sold", |sold: &mut u32| *sold += 1);
                }
                receipt.reply(());
            }
        })
        .client("buyer", |_: Context| async move {
            let till = Address::<Order>::named("shop", "till");
            for number in 1..=10 {
                let order = |receipt| (number, receipt);
                while till.call(order, millis(50)).await.is_err() {}
            }
        })
        .faults(Faults::calm().lose(0.05).duplicate(0.02))
        .finally("every order is sold once", |view| {
            view.observed("sold") == Some(&10u32)
        })
        .horizon(secs(10));
    netsplit::check(scenario);
}
// --- readme: end

/// The lines of this file between its two marks.
fn example() -> &'static str {
    let (_, rest) = include_str!("readme.rs")
        .split_once("// --- readme: your own scenario\n")
        .expect("the first mark");
    rest.split_once("// --- readme: end\n")
        .expect("the second mark")
        .0
}

#[test]
fn the_example_in_the_readme_is_the_one_above() {
    let readme = include_str!("../README.md");
    let blocks: Vec<&str> = readme
        .split("\n```rust\n")
        .skip(1)
        .filter_map(|rest| Some(rest.split_once("```")?.0))
        .filter(|block| block.contains("#[test]"))
        .collect();
    assert_eq!(blocks, [example()]);
}
