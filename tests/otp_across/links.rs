//! Rules 2 and 3 across nodes: links.

use super::{
    across, client, dead_pid, ends_as_told, error, host, idle, lives, next_down, next_exit,
    nothing_comes, pid, settle, start, start_on, with_client,
};
use netsplit::{Address, Context, ExitReason, Info, Pid, Received, Scenario};

#[test]
fn otp_02_a_link_brings_the_end_of_the_other_from_either_side_across_nodes() {
    across(ends_as_told, async |ctx: &Context| {
        ctx.trap_exit(true);
        // The far end reaches this one.
        let far = start::<ExitReason>().await;
        ctx.link(pid(far));
        far.send(error("a"));
        assert_eq!(next_exit(ctx).await, (pid(far), error("a")));
        // This end reaches the far one.
        let far = pid(start::<ExitReason>().await);
        let _monitor = ctx.monitor(far);
        ctx.spawn(move |near: Context| async move {
            near.link(far);
            error("b")
        });
        assert_eq!(next_down(ctx).await, error("b"));
    });
}

#[test]
fn otp_02_two_links_and_one_unlink_leave_none_across_nodes() {
    across(ends_as_told, async |ctx: &Context| {
        ctx.trap_exit(true);
        let far = start::<ExitReason>().await;
        ctx.link(pid(far));
        ctx.link(pid(far));
        ctx.unlink(pid(far));
        far.send(error("x"));
        nothing_comes(ctx).await;
    });
}

/// A process that links the one whose pid it is sent, says so, and ends as told.
async fn links_as_told(own: Context<Told>) -> ExitReason {
    loop {
        match own.receive_message().await {
            Told::Link(to) => own.link(to),
            Told::Unlink(to) => own.unlink(to),
            Told::Say => client().send(()),
            Told::End(reason) => return reason,
        }
    }
}

#[derive(Debug, serde::Serialize, serde::Deserialize)]
enum Told {
    Link(Pid),
    Unlink(Pid),
    Say,
    End(ExitReason),
}

#[test]
fn otp_02_two_links_from_both_sides_are_one_across_nodes() {
    across(links_as_told, async |ctx: &Context<()>| {
        ctx.trap_exit(true);
        let far = start::<Told>().await;
        // Both at once: the two signals cross.
        far.send(Told::Link(ctx.pid()));
        ctx.sleep(super::millis(4)).await;
        ctx.link(pid(far));
        far.send(Told::Say);
        ctx.receive_message().await;
        far.send(Told::End(error("x")));
        assert_eq!(next_exit(ctx).await, (pid(far), error("x")));
        nothing_comes(ctx).await;
    });
}

#[test]
fn otp_02_either_side_can_unlink_across_nodes() {
    across(links_as_told, async |ctx: &Context<()>| {
        let far = start::<Told>().await;
        ctx.link(pid(far));
        far.send(Told::Unlink(ctx.pid()));
        far.send(Told::Say);
        ctx.receive_message().await;
        far.send(Told::End(error("unheard")));
        nothing_comes(ctx).await;
    });
}

#[test]
fn otp_02_where_a_link_and_an_unlink_cross_both_sides_are_linked_or_neither_is() {
    across(links_as_told, async |ctx: &Context<()>| {
        ctx.trap_exit(true);
        let far = start::<Told>().await;
        ctx.link(pid(far));
        // It links this one again, while this one unlinks it.
        far.send(Told::Unlink(ctx.pid()));
        far.send(Told::Link(ctx.pid()));
        ctx.sleep(super::millis(ctx.random_below(20))).await;
        ctx.unlink(pid(far));
        settle(ctx).await;
        ctx.disconnect(pid(far).node());
        let near_is_linked = ctx.mailbox_len() > 0;
        settle(ctx).await;
        // It does not trap: a link ends it.
        assert_eq!(lives(ctx, pid(far)).await, !near_is_linked);
    });
}

#[test]
fn otp_02_an_unlink_of_who_was_never_linked_is_nothing_across_nodes() {
    across(idle::<u64>, async |ctx: &Context| {
        let far = pid(start::<u64>().await);
        ctx.unlink(far);
        ctx.unlink(dead_pid(ctx).await);
        assert!(lives(ctx, far).await);
        nothing_comes(ctx).await;
    });
}

#[test]
fn otp_02_an_exit_message_that_is_already_there_outlives_the_unlink_across_nodes() {
    across(ends_as_told, async |ctx: &Context| {
        ctx.trap_exit(true);
        let far = start::<ExitReason>().await;
        ctx.link(pid(far));
        far.send(error("x"));
        settle(ctx).await;
        ctx.unlink(pid(far));
        assert_eq!(next_exit(ctx).await.1, error("x"));
        nothing_comes(ctx).await;
    });
}

#[test]
fn otp_02_after_unlink_the_link_has_no_effect_whatever_the_order_across_nodes() {
    across(ends_as_told, async |ctx: &Context| {
        ctx.trap_exit(true);
        let far = start::<ExitReason>().await;
        ctx.link(pid(far));
        // Its exit is under way, or there, when it is unlinked.
        far.send(error("x"));
        ctx.sleep(super::millis(ctx.random_below(20))).await;
        ctx.unlink(pid(far));
        let already_there = ctx.mailbox_len();
        settle(ctx).await;
        assert_eq!(ctx.mailbox_len(), already_there);
    });
}

#[test]
fn otp_02_a_pair_can_be_linked_again_across_nodes() {
    across(ends_as_told, async |ctx: &Context| {
        ctx.trap_exit(true);
        let far = start::<ExitReason>().await;
        for _ in 0..3 {
            ctx.link(pid(far));
            ctx.unlink(pid(far));
        }
        ctx.link(pid(far));
        far.send(error("x"));
        assert_eq!(next_exit(ctx).await, (pid(far), error("x")));
        nothing_comes(ctx).await;
    });
}

#[test]
fn otp_02_an_exit_goes_along_a_chain_of_links_with_its_reason_across_nodes() {
    let chain = host(Scenario::new("chain"), "far", links_as_told);
    let chain = host(chain, "other", links_as_told);
    with_client(chain, async |ctx: &Context<()>| {
        ctx.trap_exit(true);
        let mut links: Vec<Address<Told>> = Vec::new();
        for node in ["far", "other", "far", "other"] {
            let next = start_on::<Told>(node).await;
            if let Some(last) = links.last() {
                last.send(Told::Link(pid(next)));
                last.send(Told::Say);
                ctx.receive_message().await;
            }
            links.push(next);
        }
        ctx.link(pid(links[0]));
        settle(ctx).await;
        ctx.send_exit(pid(links[3]), error("x"));
        assert_eq!(next_exit(ctx).await, (pid(links[0]), error("x")));
        for link in links {
            assert!(!lives(ctx, pid(link)).await);
        }
    });
}

#[test]
fn otp_02_one_end_reaches_all_that_are_linked_across_nodes() {
    let scenario = host(Scenario::new("hub"), "far", idle::<u64>);
    let scenario = host(scenario, "other", idle::<u64>);
    with_client(scenario, async |ctx: &Context| {
        let mut spokes = Vec::new();
        for n in 0..6 {
            let node = if n % 2 == 0 { "far" } else { "other" };
            spokes.push(pid(start_on::<u64>(node).await));
        }
        let linked = spokes.clone();
        let hub = ctx.spawn(move |hub: Context<ExitReason>| async move {
            linked.iter().for_each(|spoke| hub.link(*spoke));
            hub.receive_message().await
        });
        settle(ctx).await;
        for spoke in &spokes {
            assert!(lives(ctx, *spoke).await);
        }
        hub.send(error("x"));
        settle(ctx).await;
        for spoke in spokes {
            assert!(!lives(ctx, spoke).await);
        }
    });
}

#[test]
fn otp_03_linking_a_dead_pid_brings_noproc_to_who_traps_across_nodes() {
    across(idle::<u64>, async |ctx: &Context| {
        ctx.trap_exit(true);
        let gone = dead_pid(ctx).await;
        ctx.link(gone);
        assert_eq!(next_exit(ctx).await, (gone, ExitReason::NoProc));
        nothing_comes(ctx).await;
    });
}

#[test]
fn otp_03_linking_a_dead_pid_ends_who_does_not_trap_across_nodes() {
    across(idle::<u64>, async |ctx: &Context| {
        let gone = dead_pid(ctx).await;
        let (_, _monitor) = ctx.spawn_monitor(move |child: Context| async move {
            child.link(gone);
            idle(child).await;
        });
        assert_eq!(next_down(ctx).await, ExitReason::NoProc);
    });
}

#[test]
fn otp_03_a_dead_pid_whose_slot_is_taken_again_stays_dead_across_nodes() {
    across(idle::<u64>, async |ctx: &Context| {
        ctx.trap_exit(true);
        let gone = dead_pid(ctx).await;
        let newer = pid(start::<u64>().await);
        assert_ne!(gone, newer);
        ctx.send_exit(gone, ExitReason::Kill);
        Address::<u64>::of(gone).send(1);
        ctx.link(gone);
        assert_eq!(next_exit(ctx).await, (gone, ExitReason::NoProc));
        assert!(lives(ctx, newer).await);
    });
}

#[test]
fn otp_03_an_end_with_normal_is_told_to_those_linked_who_trap_and_only_once_across_nodes() {
    across(ends_as_told, async |ctx: &Context| {
        ctx.trap_exit(true);
        let far = start::<ExitReason>().await;
        ctx.link(pid(far));
        far.send(ExitReason::Normal);
        let info = Info::Exit {
            from: pid(far),
            reason: ExitReason::Normal,
        };
        assert_eq!(ctx.receive().await, Received::Info(info));
        // A dead link never reports `normal`: it is dead, and says so.
        ctx.link(pid(far));
        assert_eq!(next_exit(ctx).await, (pid(far), ExitReason::NoProc));
    });
}

#[test]
fn otp_03_a_lost_connection_brings_noconnection_to_both_ends_across_nodes() {
    let role = |own: Context<Pid>| async move {
        own.trap_exit(true);
        let near = own.receive_message().await;
        client().send(next_exit(&own).await);
        // Nobody else is hurt.
        own.unlink(near);
        idle(own).await;
    };
    across(role, async |ctx: &Context<(Pid, ExitReason)>| {
        ctx.trap_exit(true);
        let far = start::<Pid>().await;
        ctx.link(pid(far));
        far.send(ctx.pid());
        settle(ctx).await;
        ctx.disconnect(ctx.node_named("far").expect("a node"));
        assert_eq!(next_exit(ctx).await, (pid(far), ExitReason::NoConnection));
        // What the other end tells comes over the next connection.
        let told = ctx.receive_message().await;
        assert_eq!(told, (ctx.pid(), ExitReason::NoConnection));
        nothing_comes(ctx).await;
    });
}

#[test]
fn otp_03_a_lost_connection_ends_both_where_they_do_not_trap_across_nodes() {
    across(idle::<u64>, async |ctx: &Context| {
        let far = pid(start::<u64>().await);
        let (near, _monitor) = ctx.spawn_monitor(move |near: Context<u64>| async move {
            near.link(far);
            idle(near).await;
        });
        settle(ctx).await;
        ctx.disconnect(far.node());
        assert_eq!(next_down(ctx).await, ExitReason::NoConnection);
        assert!(!ctx.is_alive(pid(near)));
        settle(ctx).await;
        assert!(!lives(ctx, far).await);
    });
}
