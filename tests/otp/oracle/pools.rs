//! Rules 14 to 20 for dynamic supervisors. The same as `pools.erl`.

use super::probe::{Ask, Init, Plan, failure, probe};
use super::tree::{refused, stop, turns};
use super::{await_end, next};
use crate::common::error;
use crate::settle;
use netsplit::otp::{ChildError, DynamicSupervisor, DynamicSupervisorRef, Shutdown};
use netsplit::{Address, Context, ExitReason, Pid, millis, secs};

cases! { "pools":
    otp_14_children_of_a_pool_have_arguments_of_their_own,
    otp_14_a_child_that_fails_or_ignores_its_start_is_not_kept,
    otp_14_a_child_of_a_pool_is_stopped_for_good,
    otp_15_a_child_of_a_pool_is_restarted_with_its_arguments,
    otp_16_the_intensity_of_a_pool_is_that_of_all_its_children,
    otp_17_a_restart_in_a_pool_that_fails_is_tried_again,
    otp_17_each_try_in_a_pool_counts,
    otp_18_a_pool_that_gives_up_stops_its_children_and_ends_with_shutdown,
    otp_19_temporary_children_of_a_pool_are_forgotten,
    otp_19_transient_children_of_a_pool_are_restarted_after_no_clean_end,
    otp_20_a_pool_stops_its_children_together,
    otp_20_children_of_a_pool_that_take_longer_than_they_may_are_killed,
    otp_20_a_brutal_kill_of_a_pool_leaves_no_time_to_terminate,
}

type Client = Context<String>;
type Pool = DynamicSupervisorRef<String>;

/// A pool of probes with this plan.
fn pool(plan: Plan) -> DynamicSupervisor<String> {
    DynamicSupervisor::new(move |name: String| probe(&name, plan.clone()))
}

/// A pool in which the first child that is started has the first of these plans, and so on.
fn in_turn(plans: Vec<Plan>) -> DynamicSupervisor<String> {
    let next = turns(plans);
    DynamicSupervisor::new(move |name: String| probe(&name, next()))
}

fn fails() -> Plan {
    Plan::init(Init::Fails(error("boom")))
}

async fn start(ctx: &Client, pool: DynamicSupervisor<String>) -> Pool {
    pool.start_link(ctx).await.expect("it starts")
}

async fn add(pool: Pool, name: &str) -> Pid {
    let child = pool.start_child(name.to_owned()).await;
    child.expect("it starts").expect("it does not ignore that")
}

async fn tell(ctx: &Client, pool: Pool, child: Pid, what: Ask) {
    Address::of(child).send(what);
    await_end(ctx, child).await;
    settle(ctx).await;
    let _ = pool.count_children().await;
}

async fn kill(ctx: &Client, pool: Pool, child: Pid) {
    ctx.send_exit(child, ExitReason::Kill);
    await_end(ctx, child).await;
    settle(ctx).await;
    let children = async || pool.which_children().await.unwrap_or_default();
    while children().await.iter().any(|child| child.restarting) {
        settle(ctx).await;
    }
}

async fn say_count(ctx: &Client, pool: Pool) {
    let count = pool.count_children().await.expect("it counts");
    say!(ctx, "{} active, {} workers", count.active, count.workers);
}

async fn otp_14_children_of_a_pool_have_arguments_of_their_own(ctx: &Client) {
    ctx.trap_exit(true);
    let pool = start(ctx, pool(Plan::default())).await;
    for name in ["a", "b", "c"] {
        add(pool, name).await;
    }
    say_count(ctx, pool).await;
    stop(ctx, pool).await;
}

async fn otp_14_a_child_that_fails_or_ignores_its_start_is_not_kept(ctx: &Client) {
    ctx.trap_exit(true);
    let plans = vec![fails(), Plan::init(Init::Ignores), Plan::default()];
    let pool = start(ctx, in_turn(plans)).await;
    if let Err(ChildError::Start(error)) = pool.start_child("a".to_owned()).await {
        say!(ctx, "failed: {}", failure::<()>(Err(error)));
    }
    assert_eq!(pool.start_child("b".to_owned()).await, Ok(None));
    add(pool, "c").await;
    say_count(ctx, pool).await;
    stop(ctx, pool).await;
}

async fn otp_14_a_child_of_a_pool_is_stopped_for_good(ctx: &Client) {
    ctx.trap_exit(true);
    let pool = start(ctx, pool(Plan::trapping())).await;
    let a = add(pool, "a").await;
    add(pool, "b").await;
    pool.terminate_child(a).await.expect("it stops");
    say_count(ctx, pool).await;
    say!(
        ctx,
        "refused: {}",
        refused(pool.terminate_child(ctx.pid()).await)
    );
    stop(ctx, pool).await;
}

async fn otp_15_a_child_of_a_pool_is_restarted_with_its_arguments(ctx: &Client) {
    ctx.trap_exit(true);
    let pool = start(ctx, pool(Plan::default())).await;
    add(pool, "a").await;
    let b = add(pool, "b").await;
    kill(ctx, pool, b).await;
    say_count(ctx, pool).await;
    stop(ctx, pool).await;
}

async fn otp_16_the_intensity_of_a_pool_is_that_of_all_its_children(ctx: &Client) {
    ctx.trap_exit(true);
    let pool = start(ctx, pool(Plan::trapping())).await;
    let (a, b) = (add(pool, "a").await, add(pool, "b").await);
    kill(ctx, pool, a).await;
    say_count(ctx, pool).await;
    ctx.send_exit(b, ExitReason::Kill);
    say!(ctx, "{}", next(ctx).await);
}

async fn otp_17_a_restart_in_a_pool_that_fails_is_tried_again(ctx: &Client) {
    ctx.trap_exit(true);
    let plans = vec![Plan::default(), fails(), fails(), Plan::trapping()];
    let pool = start(ctx, in_turn(plans).intensity(3, secs(5))).await;
    kill(ctx, pool, add(pool, "a").await).await;
    say_count(ctx, pool).await;
    stop(ctx, pool).await;
}

async fn otp_17_each_try_in_a_pool_counts(ctx: &Client) {
    ctx.trap_exit(true);
    let plans = vec![Plan::default(), fails()];
    let pool = start(ctx, in_turn(plans).intensity(2, secs(5))).await;
    kill(ctx, pool, add(pool, "a").await).await;
    say!(ctx, "{}", next(ctx).await);
}

async fn otp_18_a_pool_that_gives_up_stops_its_children_and_ends_with_shutdown(ctx: &Client) {
    ctx.trap_exit(true);
    let pool = start(ctx, pool(Plan::trapping()).intensity(0, secs(5))).await;
    let a = add(pool, "a").await;
    add(pool, "b").await;
    ctx.send_exit(a, ExitReason::Kill);
    say!(ctx, "{}", next(ctx).await);
}

async fn otp_19_temporary_children_of_a_pool_are_forgotten(ctx: &Client) {
    ctx.trap_exit(true);
    let pool = start(ctx, pool(Plan::trapping()).temporary()).await;
    let a = add(pool, "a").await;
    add(pool, "b").await;
    tell(ctx, pool, a, Ask::End(error("boom"))).await;
    say_count(ctx, pool).await;
    stop(ctx, pool).await;
}

async fn otp_19_transient_children_of_a_pool_are_restarted_after_no_clean_end(ctx: &Client) {
    ctx.trap_exit(true);
    let pool = pool(Plan::trapping()).transient();
    let pool = start(ctx, pool.intensity(4, secs(5))).await;
    tell(ctx, pool, add(pool, "a").await, Ask::End(error("boom"))).await;
    say_count(ctx, pool).await;
    let early = ExitReason::ShutdownWith("early".to_owned());
    for reason in [ExitReason::Normal, ExitReason::Shutdown, early] {
        tell(ctx, pool, add(pool, "b").await, Ask::End(reason)).await;
    }
    say_count(ctx, pool).await;
    stop(ctx, pool).await;
}

async fn otp_20_a_pool_stops_its_children_together(ctx: &Client) {
    ctx.trap_exit(true);
    let pool = start(ctx, pool(Plan::trapping().slow(50))).await;
    add(pool, "a").await;
    add(pool, "b").await;
    stop(ctx, pool).await;
}

async fn otp_20_children_of_a_pool_that_take_longer_than_they_may_are_killed(ctx: &Client) {
    ctx.trap_exit(true);
    let slow = pool(Plan::trapping().slow(1000));
    let pool = start(ctx, slow.shutdown(Shutdown::Within(millis(50)))).await;
    add(pool, "a").await;
    stop(ctx, pool).await;
}

async fn otp_20_a_brutal_kill_of_a_pool_leaves_no_time_to_terminate(ctx: &Client) {
    ctx.trap_exit(true);
    let brutal = pool(Plan::trapping()).shutdown(Shutdown::BrutalKill);
    let pool = start(ctx, brutal).await;
    add(pool, "a").await;
    add(pool, "b").await;
    stop(ctx, pool).await;
}
