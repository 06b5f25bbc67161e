//! Trees and nodes: a node boots a tree, is asked to stop, crashes.

use super::error;
use crate::all_seeds;
use netsplit::otp::process;
use netsplit::{Context, ExitReason, Fault, Faults, Scenario, Supervisor, child, millis, secs};

/// A process that tells on the observers' board that it is up, and that it stops: after so long.
async fn leaf(ctx: Context, id: &'static str, takes_ms: u64) -> ExitReason {
    ctx.trap_exit(true);
    let tell = |what: &str| {
        let line = format!("{id} {what}");
        ctx.observe("told", |told: &mut Vec<String>| told.push(line));
    };
    tell("up");
    let reason = ctx.receive_info(|_| true).await;
    ctx.sleep(millis(takes_ms)).await;
    tell("stops");
    match reason {
        netsplit::Info::Exit { reason, .. } => reason,
        other => error(&format!("{other:?}")),
    }
}

fn tree(takes_ms: u64) -> Supervisor {
    let spec = move |id| child(id, move || process(move |ctx| leaf(ctx, id, takes_ms)));
    Supervisor::one_for_one()
        .child(spec("a"))
        .child(child("inner", move || {
            Supervisor::one_for_all().child(spec("b")).child(spec("c"))
        }))
        .child(spec("d"))
}

/// What the leaves of a node tell that boots such a tree, under this fault at 1 s.
fn told(takes_ms: u64, fault: Fault<String>, expected: &'static str) {
    let scenario = Scenario::new("tree")
        .node("n", move |ctx| tree(takes_ms).run(ctx))
        .faults(Faults::calm().at(secs(1), fault))
        .horizon(secs(30))
        .finally("what it tells", move |view| {
            let told: &Vec<String> = view.observed("told").expect("something is told");
            // Those of one supervisor start in order, but tell of it themselves.
            let mut told: Vec<&str> = told.iter().map(String::as_str).collect();
            told.retain(|line| !line.ends_with("up"));
            let (told, ups) = (told.join(", "), view.boots("n"));
            match told == expected {
                true => Ok(()),
                false => Err(format!("{told}, after {ups} boots")),
            }
        });
    all_seeds(&scenario);
}

#[test]
fn otp_20_a_node_that_is_asked_to_stop_stops_its_tree_in_reverse() {
    let stop = Fault::stop("n", secs(5), secs(60));
    told(100, stop, "d stops, c stops, b stops, a stops");
}

#[test]
fn otp_20_a_node_that_has_no_time_left_crashes_with_what_still_runs() {
    let stop = Fault::stop("n", millis(250), secs(60));
    told(100, stop, "d stops, c stops");
}

#[test]
fn otp_20_a_node_that_crashes_stops_nothing() {
    told(100, Fault::crash("n", secs(1)), "");
}

#[test]
fn otp_18_a_root_that_gives_up_leaves_its_node_up_with_nobody_on_it() {
    let scenario = Scenario::new("gives up")
        .node("n", |ctx| {
            let fails = || {
                process(async |ctx: Context| {
                    ctx.sleep(millis(1)).await;
                    error("soon")
                })
            };
            let tree = Supervisor::one_for_one()
                .child(child("a", || process(|ctx: Context| leaf(ctx, "a", 0))));
            tree.child(child("b", fails)).run(ctx)
        })
        .horizon(secs(3))
        .finally("all has stopped", |view| {
            let told: &Vec<String> = view.observed("told").expect("something is told");
            view.is_up("n") && told.last().is_some_and(|line| line == "a stops")
        });
    all_seeds(&scenario);
}
