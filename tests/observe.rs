//! The observer: the whole cluster as it is at a moment, as data, as a tree and as JSON.

use netsplit::otp::{process, sys};
use netsplit::sim::{Keep, Observed};
use netsplit::{
    Address, Chance, Context, Distribution, Faults, Flow, GenServer, Info, Network, Path, Refusal,
    ReplyTo, Scenario, Server, Sim, Supervisor, Time, child, millis, secs,
};
use std::sync::{Arc, Mutex};

/// Counts what is sold; the answer to a buyer comes from the stock, which asks back.
#[derive(Debug)]
struct Till {
    sold: u32,
}

impl GenServer for Till {
    type Args = ();
    type Message = (u32, ReplyTo<u32>);

    async fn init(_: (), _: &mut Context<Self::Message>) -> Result<Till, Refusal> {
        Ok(Till { sold: 0 })
    }

    async fn handle(
        &mut self,
        (apples, buyer): Self::Message,
        ctx: &mut Context<Self::Message>,
    ) -> Flow {
        self.sold += apples;
        let stock = Address::<ReplyTo<u32>>::at(ctx.node(), "stock");
        if let Ok(left) = stock.call(|reply_to| reply_to, secs(60)).await {
            buyer.reply(left);
        }
        Flow::Next
    }

    async fn handle_info(&mut self, _: Info, _: &mut Context<Self::Message>) -> Flow {
        Flow::Next
    }

    fn format_status(&self) -> String {
        format!("{self:?}")
    }
}

/// Asks the till how much was sold before it says what is left.
async fn stock(ctx: Context<ReplyTo<u32>>) {
    ctx.register("stock").expect("a free name");
    ctx.send_after(ctx.address(), nobody(), secs(3_000));
    loop {
        let asker = ctx.receive_message().await;
        let till = Address::<(u32, ReplyTo<u32>)>::at(ctx.node(), "till");
        let sold = till.call(|reply_to| (0, reply_to), secs(60)).await;
        asker.reply(100 - sold.unwrap_or(0));
    }
}

/// A place for an answer that nobody waits for.
fn nobody() -> ReplyTo<u32> {
    let json = serde_json::json!({ "to": 0, "alias": 0 });
    serde_json::from_value(json).expect("a place")
}

async fn cleaner(ctx: Context) {
    ctx.sleep(millis(400)).await;
    panic!("slipped");
}

fn shop() -> Scenario {
    let path = Path::new(Distribution::Constant(millis(5)));
    let tree = || {
        Supervisor::one_for_one()
            .intensity(9, secs(1))
            .child(child("till", || Server::<Till>::with(()).name("till")))
            .child(child("stock", || process(stock)))
            .child(child("cleaner", || process(cleaner)).transient())
            .child(child("lamp", || process(async |_: Context| {})).transient())
    };
    Scenario::new("shop")
        .network(Network::new(path))
        .node("shop", move |ctx| tree().run(ctx))
        .client("buyer", |ctx: Context| async move {
            ctx.sleep(secs(1)).await;
            let till = Address::<(u32, ReplyTo<u32>)>::named("shop", "till");
            let shop = ctx.node_named("shop").expect("a node");
            ctx.monitor_node(shop);
            let _ = till.call(|reply_to| (2, reply_to), secs(60)).await;
        })
        .finally("it ended", |_| true)
        .horizon(secs(50))
}

fn at(scenario: &Scenario, seed: u64, at: Time) -> netsplit::sim::Observation {
    let seen = scenario.observe(|| Chance::Seed(seed), at);
    seen.expect("a good scenario").expect("two runs are one")
}

fn seconds(time: f64) -> Time {
    Time::from_nanos((time * 1e9) as u64)
}

#[test]
fn a_cluster_is_shown_as_a_tree_and_a_ring_of_calls_with_its_members() {
    let seen = at(&shop(), 1, seconds(1.5));
    assert_eq!(seen.ended, None);
    insta::assert_snapshot!(seen.snapshot);
}

#[test]
fn what_is_seen_is_what_was_so_at_that_moment() {
    let shop = shop();
    let till = |time: f64| {
        let seen = at(&shop, 1, seconds(time));
        let tree: &Observed = &seen.snapshot.nodes[0].processes[0];
        tree.children[0].clone()
    };
    assert_eq!(till(0.5).state.as_deref(), Some("Till { sold: 0 }"));
    assert_eq!(till(0.5).name.as_deref(), Some("till"));
    // Its handler waits for the stock.
    let busy = till(2.0);
    assert!(busy.busy && busy.state.is_none(), "{busy:?}");
    assert_eq!(busy.mailbox, 1);
}

#[test]
fn looking_changes_no_run_and_both_ways_to_look_see_the_same() {
    let seen: Arc<Mutex<Option<String>>> = Arc::default();
    let into = seen.clone();
    let script = move |sim: &mut Sim<'_, '_>| {
        sim.run_for(millis(1_500));
        let snapshot = sim.view(|view| view.observe());
        *into.lock().expect("one thread") = Some(snapshot.to_string());
        sim.run_for(secs(1));
    };
    let scripted = shop().script(script);
    let with = scripted.run(1).expect("a good scenario");
    let without = shop().script(|sim: &mut Sim<'_, '_>| {
        sim.run_for(millis(1_500));
        sim.run_for(secs(1));
    });
    assert_eq!(with.digest, without.run(1).expect("a good scenario").digest);
    let snapshot = at(&without, 1, seconds(1.5)).snapshot;
    let seen = seen.lock().expect("one thread").take();
    assert_eq!(seen, Some(snapshot.to_string()));
}

#[test]
fn a_moment_after_the_end_shows_the_end() {
    let cut_short = shop().always("nothing takes long", |view| view.now() < seconds(2.0));
    let seen = at(&cut_short, 1, seconds(10.0));
    let end = seen.ended.expect("it was cut short");
    assert_eq!(seen.snapshot.at, end);
    assert!(end >= seconds(2.0) && end < seconds(3.0), "{end}");
    let seen = at(&shop(), 1, seconds(51.0));
    assert_eq!(seen.ended, Some(seconds(50.0)));
}

#[test]
fn under_chaos_every_moment_of_a_run_can_be_seen() {
    let shop = shop().faults(Faults::chaos());
    for seed in 0..10 {
        let outcome = shop.run(seed).expect("a good scenario");
        for time in [0.0, 1.0, 7.3, 30.0] {
            let seen = at(&shop, seed, seconds(time));
            assert_eq!(seen.snapshot.at, seconds(time));
            // A node that was written off stays beside the newer one of its name.
            assert!(seen.snapshot.nodes.len() >= 2);
        }
        assert_eq!(
            outcome.digest,
            shop.run(seed).expect("a good scenario").digest
        );
    }
}

#[test]
fn json_has_texts_for_pids_and_all_that_the_tree_has() {
    let seen = at(&shop(), 1, seconds(1.5));
    let json = serde_json::to_value(&seen.snapshot).expect("it can be written");
    let tree = &json["nodes"][0]["processes"][0];
    assert_eq!(tree["behaviour"], "Supervisor");
    let till = &tree["children"][0];
    assert_eq!(till["name"], "till");
    assert_eq!(till["id"], "till");
    assert_eq!(till["links"][0], tree["pid"]);
    let waits = till["waits"][0].as_str().expect("a text");
    assert!(waits.starts_with("the answer of <shop."), "{waits}");
    assert_eq!(json["ring"].as_array().expect("a ring").len(), 2);
    assert_eq!(tree["down"][0][0], "lamp");
}

#[test]
fn who_is_suspended_is_seen_to_be() {
    let scenario = Scenario::new("suspended")
        .client("a", |ctx: Context| async move {
            let till = Server::<Till>::with(())
                .start(&ctx)
                .await
                .expect("it starts");
            sys::suspend(till, secs(5)).await.expect("it answers");
            ctx.sleep(secs(9)).await;
        })
        .finally("it is seen", |view| {
            let snapshot = view.observe();
            let till = &snapshot.nodes[0].processes[0].children[0];
            assert!(till.suspended);
            assert!(
                till.to_string()
                    .ends_with("GenServer, suspended: Till { sold: 0 }")
            );
            true
        })
        .horizon(secs(1));
    let keep = Keep::default();
    let outcome = scenario
        .run_with(Chance::Seed(1), keep)
        .expect("a good scenario");
    assert_eq!(outcome.violation, None);
}
