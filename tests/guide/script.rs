//! The first test of the README, as it stands there.

use netsplit::{Address, Context, ReplyTo, Scenario, check, millis, secs};

async fn shop(ctx: Context<(u32, ReplyTo<()>)>) {
    ctx.register("till").expect("a free name");
    loop {
        let (order, receipt) = ctx.receive_message().await;
        ctx.observe("sold", |sold: &mut Vec<u32>| sold.push(order));
        receipt.reply(());
    }
}

async fn buyer(ctx: Context) {
    let till = Address::<(u32, ReplyTo<()>)>::named("shop", "till");
    if till.call(|to| (7, to), millis(500)).await.is_err() {
        ctx.count("timeouts");
    }
}

#[test]
fn an_order_comes_through_when_the_network_heals() {
    check(Scenario::new("one order").script(|sim| {
        sim.node("shop", shop);
        sim.client("buyer", buyer);
        sim.partition(["shop"], ["buyer"]);
        sim.run_for(secs(1));
        assert_eq!(sim.view(|view| view.counter("timeouts")), 1);
        sim.heal();
        assert!(sim.run_until(secs(1), |view| view.observed("sold") == Some(&vec![7u32])));
    }));
}
