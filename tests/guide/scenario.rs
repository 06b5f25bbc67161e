//! The scenario of the README, as it stands there.

use netsplit::{Address, Context, Faults, ReplyTo, Scenario, View, millis, secs};
use std::collections::BTreeSet;

/// An order: its number, and where the receipt goes.
type Order = (u32, ReplyTo<()>);

async fn shop(ctx: Context<Order>) {
    ctx.register("till").expect("a free name");
    let mut known = BTreeSet::new();
    loop {
        let (number, receipt) = ctx.receive_message().await;
        if known.insert(number) {
            ctx.observe("sold", |sold: &mut Vec<u32>| sold.push(number));
        }
        receipt.reply(());
    }
}

async fn buyer(ctx: Context) {
    let till = Address::<Order>::named("shop", "till");
    for number in 1..=10 {
        let order = |receipt| (number, receipt);
        while till.call(order, millis(200)).await.is_err() {
            ctx.count("asked again");
        }
        ctx.sleep(millis(500)).await;
    }
}

fn sold(view: &View) -> &[u32] {
    view.observed::<Vec<u32>>("sold").map_or(&[], Vec::as_slice)
}

pub fn scenario() -> Scenario {
    Scenario::new("shop")
        .node("shop", shop)
        .client("buyer", buyer)
        .faults(Faults::calm().lose(0.01).pause(secs(5), secs(1)))
        .never("an order is sold twice", |view| {
            sold(view).windows(2).any(|pair| pair[0] == pair[1])
        })
        .sometimes("an order is asked for again", |view| {
            view.counter("asked again") > 0
        })
        .finally("every order is sold", |view| sold(view).len() >= 10)
        .horizon(secs(20))
}

#[test]
fn every_order_is_sold_once() {
    netsplit::check(scenario());
}
