//! Rules 2 and 3: links.

use super::{
    dead_pid, ends_as_told, error, idle, next_down, next_exit, nothing_comes, one_node, settle,
};
use netsplit::{Address, Context, ExitReason, Info, Pid};

#[test]
fn otp_02_a_link_brings_the_end_of_the_other_from_either_side() {
    one_node(async |ctx: &Context<Pid>| {
        ctx.trap_exit(true);
        // The child's end reaches the parent.
        let child = ctx.spawn_link(ends_as_told);
        child.send(error("a"));
        assert_eq!(next_exit(ctx).await, (child.pid().unwrap(), error("a")));
        // The parent's end reaches the child.
        let told = ctx.address();
        let parent = ctx.spawn(move |parent: Context<ExitReason>| async move {
            told.send(parent.spawn_link(idle::<u64>).pid().unwrap());
            parent.receive_message().await
        });
        let _monitor = ctx.monitor(ctx.receive_message().await);
        parent.send(error("b"));
        assert_eq!(next_down(ctx).await, error("b"));
    });
}

#[test]
fn otp_02_two_links_and_one_unlink_leave_none() {
    one_node(async |ctx: &Context| {
        ctx.trap_exit(true);
        let child = ctx.spawn(ends_as_told);
        let pid = child.pid().unwrap();
        ctx.link(pid);
        ctx.link(pid);
        ctx.unlink(pid);
        child.send(error("x"));
        nothing_comes(ctx).await;
    });
}

#[test]
fn otp_02_two_links_from_both_sides_are_one() {
    one_node(async |ctx: &Context<()>| {
        ctx.trap_exit(true);
        let (me, told) = (ctx.pid(), ctx.address());
        let child = ctx.spawn_link(move |child: Context<ExitReason>| async move {
            child.link(me);
            told.send(());
            child.receive_message().await
        });
        ctx.receive_message().await;
        child.send(error("x"));
        assert_eq!(next_exit(ctx).await, (child.pid().unwrap(), error("x")));
        nothing_comes(ctx).await;
    });
}

#[test]
fn otp_02_either_side_can_unlink() {
    one_node(async |ctx: &Context<()>| {
        ctx.trap_exit(true);
        let (me, told) = (ctx.pid(), ctx.address());
        ctx.spawn_link(move |child: Context| async move {
            child.unlink(me);
            told.send(());
            error("unheard")
        });
        ctx.receive_message().await;
        nothing_comes(ctx).await;
    });
}

#[test]
fn otp_02_an_unlink_of_who_was_never_linked_is_nothing() {
    one_node(async |ctx: &Context| {
        let child = ctx.spawn(idle::<u64>).pid().unwrap();
        ctx.unlink(child);
        ctx.unlink(ctx.pid());
        ctx.unlink(dead_pid(ctx).await);
        assert!(ctx.is_alive(child));
        nothing_comes(ctx).await;
    });
}

#[test]
fn otp_02_an_exit_message_that_is_already_there_outlives_the_unlink() {
    one_node(async |ctx: &Context| {
        ctx.trap_exit(true);
        let child = ctx.spawn_link(|_: Context| async { error("x") });
        settle(ctx).await;
        ctx.unlink(child.pid().unwrap());
        assert_eq!(next_exit(ctx).await.1, error("x"));
        nothing_comes(ctx).await;
    });
}

#[test]
fn otp_02_after_unlink_the_link_has_no_effect_whatever_the_order() {
    one_node(async |ctx: &Context| {
        ctx.trap_exit(true);
        // It ends whenever its step is drawn: before the unlink, or after it.
        let child = ctx.spawn_link(|_: Context| async { error("x") });
        ctx.yield_now().await;
        ctx.unlink(child.pid().unwrap());
        let already_there = ctx.mailbox_len();
        settle(ctx).await;
        assert_eq!(ctx.mailbox_len(), already_there);
    });
}

#[test]
fn otp_02_a_pair_can_be_linked_again() {
    one_node(async |ctx: &Context| {
        ctx.trap_exit(true);
        let child = ctx.spawn_link(ends_as_told);
        ctx.unlink(child.pid().unwrap());
        ctx.link(child.pid().unwrap());
        child.send(error("x"));
        assert_eq!(next_exit(ctx).await.1, error("x"));
        nothing_comes(ctx).await;
    });
}

#[test]
fn otp_02_a_link_to_oneself_is_nothing() {
    one_node(async |ctx: &Context| {
        let (child, _monitor) = ctx.spawn_monitor(|child: Context<ExitReason>| async move {
            child.link(child.pid());
            child.receive_message().await
        });
        child.send(error("x"));
        assert_eq!(next_down(ctx).await, error("x"));
    });
}

#[test]
fn otp_02_an_exit_goes_along_a_chain_of_links_with_its_reason() {
    one_node(async |ctx: &Context<Pid>| {
        ctx.trap_exit(true);
        let told = ctx.address();
        let first = ctx.spawn_link(move |a: Context<()>| async move {
            a.spawn_link(move |b: Context<()>| async move {
                told.send(b.spawn_link(idle::<()>).pid().unwrap());
                b.receive_message().await;
            });
            a.receive_message().await;
        });
        let last = ctx.receive_message().await;
        ctx.send_exit(last, error("x"));
        assert_eq!(next_exit(ctx).await, (first.pid().unwrap(), error("x")));
    });
}

#[test]
fn otp_02_one_end_reaches_all_that_are_linked() {
    one_node(async |ctx: &Context| {
        ctx.trap_exit(true);
        let hub = ctx.spawn(ends_as_told);
        let hub_pid = hub.pid().unwrap();
        let spokes: Vec<Pid> = (0..10)
            .map(|_| {
                let spoke = ctx.spawn_link(move |spoke: Context| async move {
                    spoke.link(hub_pid);
                    idle(spoke).await;
                });
                spoke.pid().unwrap()
            })
            .collect();
        settle(ctx).await;
        hub.send(error("x"));
        let mut ended = Vec::new();
        for _ in 0..10 {
            let (from, reason) = next_exit(ctx).await;
            assert_eq!(reason, error("x"));
            ended.push(from);
        }
        ended.sort();
        assert_eq!(ended, spokes);
    });
}

#[test]
fn otp_03_linking_a_dead_pid_brings_noproc_to_who_traps() {
    one_node(async |ctx: &Context| {
        ctx.trap_exit(true);
        let gone = dead_pid(ctx).await;
        ctx.link(gone);
        assert_eq!(next_exit(ctx).await, (gone, ExitReason::NoProc));
    });
}

#[test]
fn otp_03_linking_a_dead_pid_ends_who_does_not_trap() {
    one_node(async |ctx: &Context| {
        let gone = dead_pid(ctx).await;
        let (_, _monitor) = ctx.spawn_monitor(move |child: Context| async move {
            child.link(gone);
            idle(child).await;
        });
        assert_eq!(next_down(ctx).await, ExitReason::NoProc);
    });
}

#[test]
fn otp_03_a_dead_pid_whose_slot_is_taken_again_stays_dead() {
    one_node(async |ctx: &Context| {
        ctx.trap_exit(true);
        let gone = dead_pid(ctx).await;
        let newer = ctx.spawn(idle::<u64>).pid().unwrap();
        assert_ne!(gone, newer);
        assert!(!ctx.is_alive(gone));
        ctx.send_exit(gone, ExitReason::Kill);
        Address::<u64>::of(gone).send(1);
        ctx.link(gone);
        assert_eq!(next_exit(ctx).await, (gone, ExitReason::NoProc));
        assert!(ctx.is_alive(newer));
    });
}

#[test]
fn otp_03_an_end_with_normal_is_told_to_those_linked_who_trap_and_only_once() {
    one_node(async |ctx: &Context| {
        ctx.trap_exit(true);
        let child = ctx.spawn_link(|_: Context| async {}).pid().unwrap();
        let first = ctx.receive().await;
        let info = Info::Exit {
            from: child,
            reason: ExitReason::Normal,
        };
        assert_eq!(first, netsplit::Received::Info(info));
        // A dead link never reports `normal`: it is dead, and says so.
        ctx.link(child);
        assert_eq!(next_exit(ctx).await, (child, ExitReason::NoProc));
    });
}
