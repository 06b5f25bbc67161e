//! Rule 9 for `stop`: a behaviour is told from outside to end.

use super::gen_server::{Ask, Plan, Probe};
use super::{error, idle, next_exit, nothing_comes, one_node};
use netsplit::otp::sys;
use netsplit::{
    Address, CallError, Context, ExitReason, Server, StateMachine, Supervisor, child, millis, secs,
    stop,
};

const BYE: ExitReason = ExitReason::Shutdown;

async fn probe(ctx: &Context<String>) -> Address<Ask> {
    let started = Server::<Probe>::with(Plan::new(ctx.address()))
        .start(ctx)
        .await;
    started.expect("its init is fine")
}

#[test]
fn otp_09_stop_runs_terminate_in_its_turn_whether_exits_are_trapped_or_not() {
    one_node(async |ctx: &Context<String>| {
        let server = probe(ctx).await;
        server.send(Ask::Add(1));
        assert_eq!(stop(server, BYE, secs(1)).await, Ok(()));
        server.send(Ask::Add(2));
        assert_eq!(ctx.receive_message().await, "add 1");
        assert_eq!(ctx.receive_message().await, "terminate shutdown at 1");
        nothing_comes(ctx).await;
        assert_eq!(stop(server, BYE, secs(1)).await, Err(CallError::NoProc));
    });
}

#[test]
fn otp_09_stop_tells_where_the_end_was_another() {
    one_node(async |ctx: &Context<String>| {
        let server = probe(ctx).await;
        server.send(Ask::Stop(error("its own")));
        let ended = stop(server, ExitReason::Normal, secs(1)).await;
        assert_eq!(ended, Err(CallError::Exit(error("its own"))));
    });
}

#[test]
fn otp_09_stop_waits_no_longer_than_it_is_told_and_the_server_ends_all_the_same() {
    one_node(async |ctx: &Context<String>| {
        let server = probe(ctx).await;
        server.send(Ask::Sleep(50));
        let timed_out = stop(server, BYE, millis(20)).await;
        assert_eq!(timed_out, Err(CallError::Timeout));
        assert_eq!(ctx.receive_message().await, "terminate shutdown at 0");
    });
}

#[test]
fn otp_09_stop_ends_what_is_suspended() {
    one_node(async |ctx: &Context<String>| {
        let server = probe(ctx).await;
        sys::suspend(server, secs(1)).await.expect("it answers");
        server.send(Ask::Add(1));
        assert_eq!(stop(server, BYE, secs(1)).await, Ok(()));
        assert_eq!(ctx.receive_message().await, "terminate shutdown at 0");
    });
}

#[test]
fn otp_09_stop_finds_no_order_for_oneself_nor_for_a_plain_process() {
    one_node(async |ctx: &Context<String>| {
        let to_itself = stop(ctx.address(), BYE, secs(1)).await;
        assert_eq!(to_itself, Err(CallError::CallingSelf));
        let plain = ctx.spawn(idle::<u64>);
        assert_eq!(stop(plain, BYE, secs(1)).await, Err(CallError::Timeout));
    });
}

#[test]
fn otp_09_stop_ends_a_state_machine_in_its_state() {
    one_node(async |ctx: &Context<String>| {
        let plan = super::gen_statem::plan(ctx.address(), |_, _| vec![]);
        let machine = StateMachine::<super::gen_statem::Probe>::with(plan);
        let machine = machine.start(ctx).await.expect("its init is fine");
        assert_eq!(stop(machine, BYE, secs(1)).await, Ok(()));
        assert_eq!(ctx.receive_message().await, "A -> A");
        assert_eq!(ctx.receive_message().await, "terminate shutdown in A");
    });
}

#[test]
fn otp_09_stop_of_a_supervisor_stops_its_children_first() {
    one_node(async |ctx: &Context<String>| {
        ctx.trap_exit(true);
        let told = ctx.address();
        let workers = Supervisor::one_for_one().child(child("worker", move || {
            Server::<Probe>::with(Plan::new(told).trap())
        }));
        let supervisor = workers.start_link(ctx).await.expect("its child starts");
        let stopped = stop(supervisor, ExitReason::Normal, secs(1)).await;
        assert_eq!(stopped, Ok(()));
        assert_eq!(ctx.receive_message().await, "terminate shutdown at 0");
        assert_eq!(next_exit(ctx).await.1, ExitReason::Normal);
    });
}
