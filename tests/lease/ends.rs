//! Holders that end, nodes that are lost, and leases that are started again.

use super::common::{Shelf, TTL, leases, run, scene};
use netsplit::mail::RedbStore;
use netsplit::mail::lease::{AcquireError, LeaseSettings, Leases, Resource, ToLeases};
use netsplit::otp::ToSupervisor;
use netsplit::{
    Address, Context, ExitReason, Scenario, Sim, Supervisor, Time, child, millis, secs,
};

#[test]
fn lease_of_a_process_that_has_ended_is_free_at_once() {
    scene(|scene| async move {
        for kills in [true, false] {
            let report = scene.report();
            let holder = scene.ctx.spawn(move |ctx: Context| async move {
                let lease = report.acquire().await?;
                ctx.sleep(if kills { secs(100) } else { millis(100) }).await;
                std::mem::forget(lease); // So that it is not given back.
                Ok::<(), ExitReason>(())
            });
            scene.ctx.sleep(millis(100)).await;
            if let (true, Some(pid)) = (kills, holder.pid()) {
                scene.ctx.send_exit(pid, ExitReason::Kill);
            }
            scene.ctx.sleep(millis(1)).await;
            drop(scene.report().try_acquire().await?);
        }
        assert_eq!(scene.report().counts().await?.bereaved, 2);
        Ok(())
    });
}

#[test]
fn lease_is_not_waited_for_by_a_process_that_has_ended() {
    scene(|scene| async move {
        let held = scene.report().acquire().await?;
        let report = scene.report();
        let waits = scene.ctx.spawn(move |_: Context| async move {
            report.acquire().await?;
            Ok::<(), ExitReason>(())
        });
        scene.ctx.sleep(millis(1)).await;
        assert_eq!(
            scene.report().info().await?.map(|info| info.waiting),
            Some(1)
        );
        scene
            .ctx
            .send_exit(waits.pid().expect("a pid"), ExitReason::Kill);
        scene.ctx.sleep(millis(1)).await;
        assert_eq!(
            scene.report().info().await?.map(|info| info.waiting),
            Some(0)
        );
        held.release().await?;
        assert_eq!(scene.report().try_acquire().await?.fencing().token(), 2);
        Ok(())
    });
}

#[test]
fn lease_survives_the_end_of_its_grantor_and_is_found_by_the_next() {
    scene(|scene| async move {
        let lease = scene.report().acquire().await?;
        netsplit::stop(scene.leases, ExitReason::Shutdown, secs(1)).await?;
        leases().start(&*scene.ctx).await?;
        let report = Resource::new(Address::named("test", "leases"), "report");
        // This one asks the process that has ended; a lease keeps no more than its address.
        assert!(lease.renew().await.is_err());
        assert!(lease.is_held());
        assert!(matches!(
            report.try_acquire().await,
            Err(AcquireError::Taken(_))
        ));
        let (from, next) = (scene.ctx.now(), report.acquire().await?);
        assert_eq!(next.fencing().token(), 2);
        assert_eq!(scene.ctx.now().since(from), TTL, "a whole lease has passed");
        assert!(!lease.is_held());
        Ok(())
    });
}

#[test]
fn lease_is_renewed_over_a_restart_and_its_holder_is_known_again() {
    scene(|scene| async move {
        let named = || Resource::new(Address::named("test", "leases"), "report");
        let holder = scene.ctx.spawn(move |ctx: Context| async move {
            let lease = named().acquire().await?;
            let worked = lease.during(ctx.sleep(secs(100)));
            worked.await?;
            Ok::<(), ExitReason>(())
        });
        scene.ctx.sleep(millis(1_000)).await;
        netsplit::stop(scene.leases, ExitReason::Shutdown, secs(1)).await?;
        scene.ctx.sleep(millis(500)).await;
        leases().start(&*scene.ctx).await?;
        scene.ctx.sleep(secs(10)).await;
        assert!(matches!(
            named().try_acquire().await,
            Err(AcquireError::Taken(_))
        ));
        assert_eq!(named().counts().await?.expired, 0);
        // It was not there when the lease was granted, and hears of its holder's end all the same.
        scene
            .ctx
            .send_exit(holder.pid().expect("a pid"), ExitReason::Kill);
        scene.ctx.sleep(millis(1)).await;
        assert_eq!(named().try_acquire().await?.fencing().token(), 2);
        Ok(())
    });
}

/// A node with leases on its disk, which are started again when they end.
async fn post(ctx: Context<ToSupervisor>) -> ExitReason {
    let leases = || {
        Leases::new("leases", |ctx| RedbStore::open(ctx.files(), "leases.redb"))
            .resource("report", LeaseSettings::new(TTL))
    };
    Supervisor::one_for_one()
        .intensity(1_000, secs(1))
        .child(child("leases", leases))
        .run(ctx)
        .await
}

fn report() -> Resource {
    Resource::new(Address::<ToLeases>::named("post", "leases"), "report").timeout(secs(1))
}

/// Acquires, and holds as long as it can; its looks at the lease are on the board.
async fn holds(ctx: Context, key: &'static str) -> Result<(), ExitReason> {
    let lease = loop {
        match report().acquire().await {
            Ok(lease) => break lease,
            Err(_) => ctx.sleep(millis(100)).await,
        }
    };
    let (from, token) = (ctx.now(), lease.fencing().token());
    ctx.observe(key, move |held: &mut (Time, Time, u64)| {
        *held = (from, from, token)
    });
    let _ = lease
        .during(async {
            loop {
                ctx.sleep(millis(1)).await;
                let now = ctx.now();
                ctx.observe(key, |held: &mut (Time, Time, u64)| held.1 = now);
            }
        })
        .await;
    ctx.sleep(secs(1_000)).await;
    Ok(())
}

/// From when until when it was held, with which token.
fn held(sim: &Sim<'_, '_>, key: &str) -> (Time, Time, u64) {
    sim.observed(key).unwrap_or_default()
}

/// `one` holds; then this happens to it, and `two` is granted the lease after so long at least, and at most.
fn passes_on(name: &str, blow: fn(&mut Sim<'_, '_>), within: (u64, u64)) {
    let scenario = Scenario::new(name).script(move |sim| {
        sim.node("post", post);
        sim.node("one", |ctx: Context| holds(ctx, "one"));
        assert!(sim.run_until(secs(5), |view| {
            view.observed::<(Time, Time, u64)>("one").is_some()
        }));
        sim.client("two", |ctx: Context| holds(ctx, "two"));
        sim.run_for(secs(5));
        assert_eq!(held(sim, "two").2, 0);
        let from = sim.now();
        blow(sim);
        assert!(sim.run_until(secs(200), |view| {
            view.observed::<(Time, Time, u64)>("two").is_some()
        }));
        let (one, two) = (held(sim, "one"), held(sim, "two"));
        assert!(one.1 <= two.0 && one.2 < two.2, "{one:?} {two:?}");
        let after = two.0.since(from);
        assert!(
            (millis(within.0)..=millis(within.1)).contains(&after),
            "after {after:?}"
        );
    });
    run(&scenario, 10);
}

#[test]
fn lease_of_a_node_that_crashed_is_free_when_it_is_over_and_not_before() {
    passes_on("crash", |sim| sim.crash("one"), (1_300, 2_100));
}

#[test]
fn lease_of_a_node_without_power_is_free_when_it_is_over() {
    passes_on("power", |sim| sim.power_cut("one"), (1_300, 2_100));
}

#[test]
fn lease_of_a_node_that_is_cut_off_is_free_when_it_is_over() {
    passes_on("cut", |sim| sim.isolate("one"), (1_300, 2_100));
}

#[test]
fn lease_of_a_node_that_is_paused_is_free_when_it_is_over() {
    passes_on("pause", |sim| sim.pause("one"), (1_300, 2_100));
}

#[test]
fn lease_of_a_node_that_is_written_off_is_free_when_it_is_over() {
    let blow = |sim: &mut Sim<'_, '_>| {
        sim.zombie("one");
        // Whoever takes its place has a connection of its own, which is lost as well.
        sim.break_connection("post", "one");
    };
    passes_on("written off", blow, (1_300, 2_100));
}

#[test]
fn lease_is_free_at_once_where_its_holder_is_stopped_in_order() {
    passes_on("stop", |sim| sim.stop("one"), (0, 200));
}

#[test]
fn lease_is_granted_by_no_one_for_a_whole_lease_after_a_crash_of_its_grantor() {
    let scenario = Scenario::new("grantor").script(|sim| {
        sim.node("post", post);
        sim.node("one", |ctx: Context| holds(ctx, "one"));
        assert!(sim.run_until(secs(5), |view| {
            view.observed::<(Time, Time, u64)>("one").is_some()
        }));
        // Nobody can reach anybody when it comes back, and it knows nothing of its former life's clock.
        sim.isolate("one");
        sim.crash("post");
        sim.boot("post");
        let from = sim.now();
        sim.client("two", |ctx: Context| holds(ctx, "two"));
        assert!(sim.run_until(secs(200), |view| {
            view.observed::<(Time, Time, u64)>("two").is_some()
        }));
        let (one, two) = (held(sim, "one"), held(sim, "two"));
        assert!(
            one.1 <= two.0 && (one.2, two.2) == (1, 2),
            "{one:?} {two:?}"
        );
        assert!(two.0.since(from) >= TTL, "{:?}", two.0.since(from));
    });
    run(&scenario, 10);
}

#[test]
fn lease_is_not_renewed_by_a_grantor_whose_disk_is_another_s_by_now() {
    // Holder and grantor on one node, which is written off: they still reach each other.
    let scenario = Scenario::new("two grantors").script(|sim| {
        sim.node("post", |ctx: Context| async move {
            ctx.spawn(post);
            let own = Resource::new(Address::at(ctx.node(), "leases"), "report").timeout(secs(1));
            if ctx.pid().incarnation() > 0 {
                return ctx.sleep(secs(1_000)).await;
            }
            ctx.sleep(millis(100)).await;
            let lease = own.acquire().await.expect("a lease");
            let look = async {
                loop {
                    ctx.sleep(millis(1)).await;
                    let now = ctx.now();
                    ctx.observe("one", |held: &mut (Time, Time, u64)| *held = (now, now, 1));
                }
            };
            let _: Result<(), _> = lease.during(look).await;
        });
        sim.run_for(secs(5));
        sim.zombie("post");
        sim.client("two", |ctx: Context| holds(ctx, "two"));
        assert!(sim.run_until(secs(200), |view| {
            view.observed::<(Time, Time, u64)>("two").is_some()
        }));
        sim.run_for(secs(5));
        let (one, two) = (held(sim, "one"), held(sim, "two"));
        assert!(one.1 <= two.0, "{one:?} {two:?}");
    });
    run(&scenario, 10);
}

#[test]
fn lease_tokens_begin_again_only_where_the_store_is_lost() {
    scene(|scene| async move {
        drop(scene.report().acquire().await?);
        netsplit::stop(scene.leases, ExitReason::Shutdown, secs(1)).await?;
        Shelf::clear();
        let report = Resource::new(leases().start(&*scene.ctx).await?, "report");
        assert_eq!(report.acquire().await?.fencing().token(), 1);
        Ok(())
    });
}
