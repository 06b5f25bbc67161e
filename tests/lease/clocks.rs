//! Clocks that are wrong: as far as was said no two believe to hold one place; further, two do.

use super::common::run;
use netsplit::mail::MemoryStore;
use netsplit::mail::lease::{LeaseSettings, Leases, Resource, ToLeases};
use netsplit::{Address, Context, ExitReason, Scenario, secs};

fn report() -> Resource {
    Resource::new(Address::<ToLeases>::named("post", "leases"), "report")
}

/// Whether `one` knows that its lease is over before `two` has it, between such clocks.
fn overlap(leases_drift: i32, holder_drift: i32, is_as_said: bool) {
    let scenario = Scenario::new("drift").script(move |sim| {
        sim.node("post", |ctx: Context| async move {
            let settings = LeaseSettings::new(secs(100)).drift(LeaseSettings::DRIFT_PPM);
            let leases = Leases::new("leases", |_| Ok(MemoryStore::new()));
            leases.resource("report", settings).start_link(&ctx).await?;
            ctx.sleep(secs(1_000)).await;
            Ok::<(), ExitReason>(())
        });
        sim.node("one", |ctx: Context| async move {
            ctx.sleep(secs(1)).await;
            let lease = report().acquire().await?;
            ctx.count("held");
            while lease.is_held() {
                ctx.sleep(lease.left()).await;
            }
            ctx.count("over");
            ctx.sleep(secs(1_000)).await;
            Ok::<(), ExitReason>(())
        });
        sim.node("two", |ctx: Context| async move {
            ctx.sleep(secs(2)).await;
            let lease = report().acquire().await?;
            ctx.count("granted");
            ctx.sleep(secs(1_000)).await;
            drop(lease);
            Ok::<(), ExitReason>(())
        });
        sim.drift("post", leases_drift);
        sim.drift("one", holder_drift);
        let both = |view: &netsplit::View| (view.counter("over"), view.counter("granted"));
        assert!(sim.run_until(secs(90), |view| view.counter("held") == 1));
        assert!(sim.run_until(secs(110), |view| both(view) != (0, 0)));
        let first = sim.view(both);
        assert_eq!(first, if is_as_said { (1, 0) } else { (0, 1) });
        assert!(sim.run_until(secs(10), |view| both(view) == (1, 1)));
    });
    run(&scenario, 5);
}

#[test]
fn lease_is_over_for_its_holder_before_another_has_it_as_long_as_clocks_are_as_wrong_as_was_said() {
    for (leases, holder) in [
        (0, 0),
        (500, -500),
        (500, 0),
        (0, -500),
        (-500, 500),
        (500, 500),
    ] {
        overlap(leases, holder, true);
    }
}

#[test]
fn lease_is_held_by_two_where_clocks_are_more_wrong_than_was_said() {
    overlap(1_000, -1_000, false);
}
