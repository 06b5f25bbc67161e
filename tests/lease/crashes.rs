//! All at once: who grants and who holds crash, pause, are cut off; and never do more hold than may.

use super::common::run;
use netsplit::mail::RedbStore;
use netsplit::mail::lease::{LeaseSettings, Leases, Resource, ToLeases};
use netsplit::otp::ToSupervisor;
use netsplit::{
    Address, Context, ExitReason, Faults, Info, Pid, Scenario, Supervisor, Time, View, child,
    millis, secs,
};
use std::collections::BTreeMap;

const WORKERS: [&str; 4] = ["ann", "bob", "cat", "dan"];

/// A node with leases on its disk, which are started again when they end.
async fn post(ctx: Context<ToSupervisor>, places: u32) -> ExitReason {
    let leases = move || {
        Leases::new("leases", |ctx| RedbStore::open(ctx.files(), "leases.redb")).resource(
            "lines",
            LeaseSettings::new(secs(1)).places(places).drift(200),
        )
    };
    Supervisor::one_for_one()
        .intensity(1_000, secs(1))
        .child(child("leases", leases))
        .run(ctx)
        .await
}

/// Until when a process believes that it holds a place, by its own clock.
#[derive(Clone, Copy, Debug, Default)]
struct Belief {
    place: u32,
    until: Time,
}

type Beliefs = BTreeMap<(&'static str, Pid), Belief>;

/// Acquires, works a while, gives back; what it believes is on the board.
async fn work(ctx: Context, name: &'static str) -> Result<(), ExitReason> {
    ctx.register("worker").map_err(ExitReason::error)?;
    let lines =
        Resource::new(Address::<ToLeases>::named("post", "leases"), "lines").timeout(secs(1));
    let key = (name, ctx.pid());
    loop {
        let lease = lines.acquire().await?;
        let tell = || {
            let belief = Belief {
                place: lease.fencing().place(),
                until: ctx.now() + lease.left(),
            };
            ctx.observe("beliefs", |beliefs: &mut Beliefs| {
                beliefs.insert(key, belief);
            });
        };
        tell();
        if lease.is_held() {
            ctx.count("held");
            ctx.observe("last", |last: &mut BTreeMap<&str, Time>| {
                last.insert(name, ctx.now());
            });
        }
        let steps = ctx.random_below(30);
        let worked = lease.during(async {
            for _ in 0..steps {
                ctx.sleep(millis(50)).await;
                tell();
            }
        });
        let kept = worked.await;
        ctx.observe("beliefs", |beliefs: &mut Beliefs| {
            beliefs.remove(&key);
        });
        match (kept, ctx.random_below(2)) {
            (Ok(()), 0) => lease.release().await?,
            _ => drop(lease),
        }
    }
}

/// A node with a worker, which is started again when it ends.
async fn works(ctx: Context, name: &'static str) {
    loop {
        let (_, monitor) = ctx.spawn_monitor(move |ctx: Context| work(ctx, name));
        let is_it = |info: &Info| matches!(info, Info::Down { monitor: of, .. } if *of == monitor);
        ctx.receive_info(is_it).await;
        ctx.sleep(millis(20)).await;
    }
}

/// Nobody believes to hold a place that another believes to hold. Of one that was written off nobody can see
/// whether it lives: it counts as alive.
fn none_is_held_twice(view: &View, clocks_differ: bool) -> Result<(), String> {
    let Some(beliefs) = view.observed::<Beliefs>("beliefs") else {
        return Ok(());
    };
    let now = view.now().as_nanos();
    // As its own clock shows it: of those that are too slow, at most 200 parts in a million less.
    let earliest = if clocks_differ {
        now + now / 5_000
    } else {
        now
    };
    let mut places: BTreeMap<u32, &Belief> = BTreeMap::new();
    for ((node, pid), belief) in beliefs {
        let is_written_off = pid.node() != view.node(node);
        let lives = is_written_off || view.whereis(node, "worker") == Some(*pid);
        if lives
            && earliest < belief.until.as_nanos()
            && let Some(other) = places.insert(belief.place, belief)
        {
            return Err(format!("{belief:?} and {other:?}"));
        }
    }
    Ok(())
}

fn office(name: &str, places: u32, faults: Faults, clocks_differ: bool) -> Scenario {
    let scenario = Scenario::new(name).node("post", move |ctx| post(ctx, places));
    let scenario = WORKERS.into_iter().fold(scenario, |scenario, name| {
        scenario.node(name, move |ctx: Context| works(ctx, name))
    });
    scenario
        .faults(faults)
        .horizon(secs(60))
        .quiet(secs(30))
        .always("no place is held twice", move |view: &View| {
            none_is_held_twice(view, clocks_differ)
        })
        .finally("everybody has held lately", |view: &View| {
            let last = view
                .observed::<BTreeMap<&str, Time>>("last")
                .cloned()
                .unwrap_or_default();
            let recent = |at: &Time| view.now().since(*at) < secs(15);
            WORKERS
                .iter()
                .all(|name| last.get(name).is_some_and(recent))
        })
}

/// Everything but drifting clocks, so that beliefs are known exactly.
fn storm() -> Faults {
    Faults::calm()
        .lose(0.3)
        .duplicate(0.5)
        .crash(secs(8), secs(1))
        .power_cut(secs(20), secs(1))
        .stop(secs(20), secs(1))
        .pause(secs(6), secs(2))
        .zombie(secs(20), secs(8))
        .partition(secs(6), secs(3))
        .break_connections(secs(5))
        .kill_processes(secs(4))
        .step_clocks(secs(20), secs(10))
        .late_timers(millis(50))
        .swarm()
}

#[test]
fn lease_of_one_place_is_never_held_by_two_while_all_ends_crash() {
    run(&office("lock", 1, storm(), false), 30);
}

#[test]
fn lease_of_two_places_is_never_held_by_three_while_all_ends_crash() {
    run(&office("limiter", 2, storm(), false), 30);
}

#[test]
fn lease_is_never_held_by_two_under_every_fault_there_is() {
    run(&office("chaos", 1, Faults::chaos(), true), 30);
}

#[test]
fn lease_is_passed_on_many_times_in_a_calm_run() {
    let office = office("calm", 2, Faults::calm(), false);
    run(
        &office.finally("often", |view: &View| view.counter("held") > 100),
        5,
    );
}
