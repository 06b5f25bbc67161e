//! Rule 1: signals of every sort from one process to another arrive in the order sent.

use super::{
    dead_letters, dead_pid, ends_as_told, error, idle, line, next_down, nothing_comes, one_node,
    settle,
};
use netsplit::trace::DeadReason;
use netsplit::{Address, Context, ExitReason, Pid, Received, ReplyTo};

/// Traps exits, says that it is ready, and tells `told` what it takes out of its mailbox, line by line.
fn recorder(ctx: &Context<String>) -> (Address<u64>, Pid) {
    let told = ctx.address();
    let recorder = ctx.spawn(move |own: Context<u64>| async move {
        own.trap_exit(true);
        told.send("ready".to_owned());
        loop {
            let received = own.receive().await;
            told.send(line(&received));
        }
    });
    (recorder, recorder.pid().expect("a pid"))
}

async fn lines(ctx: &Context<String>, count: usize) -> Vec<String> {
    let mut lines = Vec::new();
    while lines.len() < count {
        lines.push(ctx.receive_message().await);
    }
    lines
}

#[test]
fn otp_01_messages_of_a_pair_arrive_in_the_order_sent() {
    one_node(async |ctx: &Context<u64>| {
        let to = ctx.address();
        ctx.spawn(move |child: Context| async move {
            for n in 0..50 {
                to.send(n);
                if n % 7 == 0 {
                    child.yield_now().await;
                }
            }
        });
        for n in 0..50 {
            assert_eq!(ctx.receive_message().await, n);
        }
    });
}

#[test]
fn otp_01_each_sender_keeps_its_own_order_whatever_others_send() {
    one_node(async |ctx: &Context<(u64, u64)>| {
        let to = ctx.address();
        for who in 0..5 {
            ctx.spawn(move |child: Context| async move {
                for n in 0..10 {
                    to.send((who, n));
                    child.yield_now().await;
                }
            });
        }
        let mut next = [0; 5];
        for _ in 0..50 {
            let (who, n) = ctx.receive_message().await;
            assert_eq!(n, next[who as usize], "of sender {who}");
            next[who as usize] += 1;
        }
    });
}

#[test]
fn otp_01_messages_and_exit_signals_of_a_pair_keep_their_order() {
    one_node(async |ctx: &Context<String>| {
        let (recorder, pid) = recorder(ctx);
        assert_eq!(lines(ctx, 1).await, ["ready"]);
        recorder.send(1);
        ctx.send_exit(pid, ExitReason::Shutdown);
        recorder.send(2);
        ctx.send_exit(pid, error("a"));
        recorder.send(3);
        let seen = lines(ctx, 5).await;
        assert_eq!(seen, ["1", "exit shutdown", "2", "exit error: a", "3"]);
    });
}

#[test]
fn otp_01_what_is_sent_before_a_kill_is_unread_and_what_is_sent_after_it_is_dead() {
    let outcomes = one_node(async |ctx: &Context| {
        let child = ctx.spawn(idle::<u64>);
        settle(ctx).await;
        child.send(1);
        child.send(2);
        ctx.send_exit(child.pid().unwrap(), ExitReason::Kill);
        child.send(3);
    });
    for outcome in outcomes {
        assert_eq!((outcome.books.unread, outcome.books.dead), (2, 1));
        assert_eq!(dead_letters(&outcome), [DeadReason::NoProc]);
    }
}

#[test]
fn otp_01_messages_of_a_process_come_before_its_down_signal() {
    one_node(async |ctx: &Context<u64>| {
        let to = ctx.address();
        let (_, _monitor) = ctx.spawn_monitor(move |_: Context| async move {
            to.send(1);
            to.send(2);
        });
        let mut seen = Vec::new();
        for _ in 0..3 {
            seen.push(line(&ctx.receive().await));
        }
        assert_eq!(seen, ["1", "2", "down normal"]);
    });
}

#[test]
fn otp_01_messages_of_a_process_come_before_the_exit_signal_of_its_link() {
    one_node(async |ctx: &Context<u64>| {
        ctx.trap_exit(true);
        let to = ctx.address();
        ctx.spawn_link(move |child: Context| async move {
            to.send(1);
            child.yield_now().await;
            to.send(2);
            error("done")
        });
        let mut seen = Vec::new();
        for _ in 0..3 {
            seen.push(line(&ctx.receive().await));
        }
        assert_eq!(seen, ["1", "2", "exit error: done"]);
    });
}

#[test]
fn otp_01_a_link_made_after_a_kill_finds_nobody() {
    one_node(async |ctx: &Context| {
        ctx.trap_exit(true);
        let child = ctx.spawn(idle::<u64>).pid().unwrap();
        settle(ctx).await;
        ctx.send_exit(child, ExitReason::Kill);
        ctx.link(child);
        assert_eq!(super::next_exit(ctx).await, (child, ExitReason::NoProc));
        nothing_comes(ctx).await;
    });
}

#[test]
fn otp_01_a_link_made_before_a_kill_brings_killed() {
    one_node(async |ctx: &Context| {
        ctx.trap_exit(true);
        let child = ctx.spawn(idle::<u64>).pid().unwrap();
        ctx.link(child);
        ctx.send_exit(child, ExitReason::Kill);
        assert_eq!(super::next_exit(ctx).await, (child, ExitReason::Killed));
        nothing_comes(ctx).await;
    });
}

#[test]
fn otp_01_an_unlink_made_before_a_kill_keeps_its_exit_away() {
    one_node(async |ctx: &Context| {
        let child = ctx.spawn_link(idle::<u64>).pid().unwrap();
        settle(ctx).await;
        ctx.unlink(child);
        ctx.send_exit(child, ExitReason::Kill);
        nothing_comes(ctx).await;
    });
}

#[test]
fn otp_01_a_monitor_set_before_a_kill_tells_killed_and_one_set_after_it_noproc() {
    one_node(async |ctx: &Context| {
        let child = ctx.spawn(idle::<u64>).pid().unwrap();
        settle(ctx).await;
        let before = ctx.monitor(child);
        ctx.send_exit(child, ExitReason::Kill);
        let after = ctx.monitor(child);
        let mut reasons = Vec::new();
        for _ in 0..2 {
            match ctx.receive().await {
                Received::Info(netsplit::Info::Down {
                    monitor, reason, ..
                }) => reasons.push((monitor, reason)),
                other => panic!("{other:?}"),
            }
        }
        reasons.sort_by_key(|(monitor, _)| *monitor != before);
        let expected = [(before, ExitReason::Killed), (after, ExitReason::NoProc)];
        assert_eq!(reasons, expected);
    });
}

#[test]
fn otp_01_a_demonitor_made_before_an_exit_signal_keeps_the_down_away() {
    one_node(async |ctx: &Context| {
        let child = ctx.spawn(idle::<u64>).pid().unwrap();
        let monitor = ctx.monitor(child);
        ctx.demonitor(monitor, false);
        ctx.send_exit(child, ExitReason::Kill);
        nothing_comes(ctx).await;
    });
}

#[test]
fn otp_01_a_call_made_after_a_kill_finds_nobody() {
    one_node(async |ctx: &Context| {
        let child = ctx.spawn(idle::<ReplyTo<u64>>);
        settle(ctx).await;
        ctx.send_exit(child.pid().unwrap(), ExitReason::Kill);
        let answer = child.call(|reply_to| reply_to, netsplit::secs(1)).await;
        assert_eq!(answer, Err(netsplit::CallError::NoProc));
    });
}

#[test]
fn otp_01_a_process_that_sends_to_itself_receives_in_order() {
    one_node(async |ctx: &Context<u64>| {
        ctx.address().send(1);
        ctx.address().send(2);
        assert_eq!(ctx.mailbox_len(), 2);
        assert_eq!(ctx.receive_message().await, 1);
        assert_eq!(ctx.receive_message().await, 2);
    });
}

#[test]
fn otp_01_a_message_to_a_dead_process_is_a_dead_letter_and_no_error() {
    let outcomes = one_node(async |ctx: &Context| {
        let gone = dead_pid(ctx).await;
        Address::<u64>::of(gone).send(1);
    });
    for outcome in outcomes {
        assert_eq!(dead_letters(&outcome), [DeadReason::NoProc]);
    }
}

#[test]
fn otp_01_selective_receive_leaves_the_rest_in_its_order() {
    one_node(async |ctx: &Context<u64>| {
        for n in 1..=6 {
            ctx.address().send(n);
        }
        assert_eq!(ctx.receive_where(|n| n % 3 == 0).await, 3);
        assert_eq!(ctx.receive_where(|n| *n > 4).await, 5);
        for n in [1, 2, 4, 6] {
            assert_eq!(ctx.receive_message().await, n);
        }
    });
}

#[test]
fn otp_01_infos_and_messages_can_be_taken_apart() {
    one_node(async |ctx: &Context<u64>| {
        let (child, _monitor) = ctx.spawn_monitor(ends_as_told);
        child.send(error("x"));
        settle(ctx).await;
        ctx.address().send(7);
        assert_eq!(ctx.receive_message().await, 7);
        assert_eq!(next_down(ctx).await, error("x"));
    });
}
