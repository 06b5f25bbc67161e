//! Rule 1 across nodes: signals of every sort from one process to another arrive in the order sent.

use super::{
    LONG, across, client, dead_letters, dead_pid, error, events, host, idle, line, logged,
    next_exit, nothing_comes, pid, settle, start, start_on, with_client,
};
use netsplit::trace::{DeadReason, Event};
use netsplit::{
    Address, CallError, Context, ExitReason, Info, MonitorRef, NodeId, Received, ReplyTo, Scenario,
};

/// Traps exits, says that it is ready, and tells the client what it takes out of its mailbox.
async fn recorder(own: Context<u64>) {
    own.trap_exit(true);
    client().send("ready".to_owned());
    loop {
        let received = own.receive().await;
        client().send(line(&received));
    }
}

async fn lines(ctx: &Context<String>, count: usize) -> Vec<String> {
    let mut lines = Vec::new();
    while lines.len() < count {
        lines.push(ctx.receive_message().await);
    }
    lines
}

#[test]
fn otp_01_messages_of_a_pair_arrive_in_the_order_sent_across_nodes() {
    let role = |own: Context| async move {
        for n in 0..50u64 {
            client().send(n);
            if n % 7 == 0 {
                own.yield_now().await;
            }
        }
    };
    across(role, async |ctx: &Context<u64>| {
        start::<netsplit::Never>().await;
        for n in 0..50 {
            assert_eq!(ctx.receive_message().await, n);
        }
    });
}

#[test]
fn otp_01_each_sender_keeps_its_own_order_whatever_others_send_across_nodes() {
    let role = |own: Context<u64>| async move {
        let who = own.receive_message().await;
        for n in 0..10u64 {
            client().send((who, n));
            own.yield_now().await;
        }
    };
    let scenario = host(host(Scenario::new("senders"), "far", role), "other", role);
    with_client(scenario, async |ctx: &Context<(u64, u64)>| {
        for who in 0..6u64 {
            let node = if who % 2 == 0 { "far" } else { "other" };
            start_on(node).await.send(who);
        }
        let mut next = [0; 6];
        for _ in 0..60 {
            let (who, n) = ctx.receive_message().await;
            assert_eq!(n, next[who as usize], "of sender {who}");
            next[who as usize] += 1;
        }
    });
}

#[test]
fn otp_01_nothing_is_promised_across_senders_across_nodes() {
    // A message that is passed on can overtake one that was sent before it: no causal order.
    let role = |own: Context<u64>| async move { client().send(own.receive_message().await) };
    let sender = |own: Context<u64>| async move {
        let other = start_on::<u64>("far").await;
        own.receive_message().await;
        client().send(1u64);
        other.send(2);
    };
    let scenario = host(host(Scenario::new("causal"), "far", role), "other", sender);
    let outcomes = with_client(scenario, async |ctx: &Context<u64>| {
        start_on::<u64>("other").await.send(0);
        let first = ctx.receive_message().await;
        assert_eq!(first + ctx.receive_message().await, 3);
        if first == 2 {
            ctx.count("overtaken");
        }
    });
    let overtaken = |outcome: &&netsplit::Outcome| !outcome.counters.is_empty();
    assert!(outcomes.iter().filter(overtaken).count() > 10);
}

#[test]
fn otp_01_messages_and_exit_signals_of_a_pair_keep_their_order_across_nodes() {
    across(recorder, async |ctx: &Context<String>| {
        let recorder = start::<u64>().await;
        assert_eq!(lines(ctx, 1).await, ["ready"]);
        recorder.send(1);
        ctx.send_exit(pid(recorder), ExitReason::Shutdown);
        recorder.send(2);
        ctx.send_exit(pid(recorder), error("a"));
        recorder.send(3);
        let seen = lines(ctx, 5).await;
        assert_eq!(seen, ["1", "exit shutdown", "2", "exit error: a", "3"]);
    });
}

#[test]
fn otp_01_what_is_sent_before_a_kill_is_unread_and_what_is_sent_after_it_is_dead_across_nodes() {
    let role = |own: Context<u64>| async move { own.sleep(LONG).await };
    let outcomes = logged(role, async |ctx: &Context| {
        let far = start::<u64>().await;
        far.send(1);
        far.send(2);
        ctx.send_exit(pid(far), ExitReason::Kill);
        far.send(3);
        settle(ctx).await;
    });
    for outcome in outcomes {
        assert_eq!((outcome.books.unread, outcome.books.dead), (2, 1));
        assert_eq!(dead_letters(&outcome), [DeadReason::NoProc]);
    }
}

#[test]
fn otp_01_messages_of_a_process_come_before_its_down_signal_across_nodes() {
    let role = |own: Context<()>| async move {
        own.receive_message().await;
        (1..=2).for_each(|n: u64| client().send(n));
    };
    across(role, async |ctx: &Context<u64>| {
        let far = start::<()>().await;
        let _monitor = ctx.monitor(pid(far));
        far.send(());
        let mut seen = Vec::new();
        for _ in 0..3 {
            seen.push(line(&ctx.receive().await));
        }
        assert_eq!(seen, ["1", "2", "down normal"]);
    });
}

#[test]
fn otp_01_messages_of_a_process_come_before_the_exit_signal_of_its_link_across_nodes() {
    let role = |own: Context<()>| async move {
        own.receive_message().await;
        client().send(1u64);
        own.yield_now().await;
        client().send(2u64);
        error("done")
    };
    across(role, async |ctx: &Context<u64>| {
        ctx.trap_exit(true);
        let far = start::<()>().await;
        ctx.link(pid(far));
        far.send(());
        let mut seen = Vec::new();
        for _ in 0..3 {
            seen.push(line(&ctx.receive().await));
        }
        assert_eq!(seen, ["1", "2", "exit error: done"]);
    });
}

#[test]
fn otp_01_messages_of_a_server_come_before_the_answer_that_it_gives_after_them_across_nodes() {
    let role = |own: Context<ReplyTo<u64>>| async move {
        let question = own.receive_message().await;
        client().send(1u64);
        question.reply(2);
        client().send(3u64);
    };
    across(role, async |ctx: &Context<u64>| {
        let far = start::<ReplyTo<u64>>().await;
        assert_eq!(far.call(|to| to, LONG).await, Ok(2));
        assert!(ctx.mailbox_len() >= 1);
        for n in [1, 3] {
            assert_eq!(ctx.receive_message().await, n);
        }
    });
}

#[test]
fn otp_01_a_link_made_after_a_kill_finds_nobody_across_nodes() {
    across(idle::<u64>, async |ctx: &Context| {
        ctx.trap_exit(true);
        let far = pid(start::<u64>().await);
        ctx.send_exit(far, ExitReason::Kill);
        ctx.link(far);
        assert_eq!(next_exit(ctx).await, (far, ExitReason::NoProc));
        nothing_comes(ctx).await;
    });
}

#[test]
fn otp_01_a_link_made_before_a_kill_brings_killed_across_nodes() {
    across(idle::<u64>, async |ctx: &Context| {
        ctx.trap_exit(true);
        let far = pid(start::<u64>().await);
        ctx.link(far);
        ctx.send_exit(far, ExitReason::Kill);
        assert_eq!(next_exit(ctx).await, (far, ExitReason::Killed));
        nothing_comes(ctx).await;
    });
}

#[test]
fn otp_01_an_unlink_made_before_a_kill_keeps_its_exit_away_across_nodes() {
    across(idle::<u64>, async |ctx: &Context| {
        let far = pid(start::<u64>().await);
        ctx.link(far);
        ctx.unlink(far);
        ctx.send_exit(far, ExitReason::Kill);
        nothing_comes(ctx).await;
    });
}

#[test]
fn otp_01_a_monitor_set_before_a_kill_tells_killed_and_one_set_after_it_noproc_across_nodes() {
    across(idle::<u64>, async |ctx: &Context| {
        let far = pid(start::<u64>().await);
        let before = ctx.monitor(far);
        ctx.send_exit(far, ExitReason::Kill);
        let after = ctx.monitor(far);
        let down = |monitor: MonitorRef, reason| Info::Down {
            monitor,
            of: far.into(),
            reason,
        };
        for expected in [
            down(before, ExitReason::Killed),
            down(after, ExitReason::NoProc),
        ] {
            assert_eq!(ctx.receive().await, Received::Info(expected));
        }
    });
}

#[test]
fn otp_01_a_demonitor_made_before_an_exit_signal_keeps_the_down_away_across_nodes() {
    let outcomes = logged(idle::<u64>, async |ctx: &Context| {
        let far = pid(start::<u64>().await);
        let monitor = ctx.monitor(far);
        ctx.demonitor(monitor, false);
        ctx.send_exit(far, ExitReason::Kill);
        nothing_comes(ctx).await;
    });
    let sent_from_far = |event: &Event| match event {
        Event::Packet { id, .. } => id.from.node() == NodeId::new(0),
        _ => false,
    };
    for outcome in outcomes {
        // The answer of its host: the other end has forgotten, and sends no down.
        assert_eq!(events(&outcome).filter(sent_from_far).count(), 1);
    }
}

#[test]
fn otp_01_a_call_made_after_a_kill_finds_nobody_across_nodes() {
    across(idle::<ReplyTo<u64>>, async |ctx: &Context| {
        let far = start::<ReplyTo<u64>>().await;
        ctx.send_exit(pid(far), ExitReason::Kill);
        assert_eq!(far.call(|to| to, LONG).await, Err(CallError::NoProc));
    });
}

#[test]
fn otp_01_a_message_to_a_dead_process_is_a_dead_letter_and_no_error_across_nodes() {
    let outcomes = logged(idle::<u64>, async |ctx: &Context| {
        let gone = dead_pid(ctx).await;
        Address::<u64>::of(gone).send(1);
        Address::<u64>::named("far", "nobody").send(1);
        settle(ctx).await;
    });
    for outcome in outcomes {
        assert_eq!(
            dead_letters(&outcome),
            [DeadReason::NoProc, DeadReason::NoName]
        );
    }
}

#[test]
fn otp_01_a_message_sent_by_name_and_one_sent_by_pid_keep_their_order_across_nodes() {
    let role = |own: Context<u64>| async move {
        own.register("named").expect("a free name");
        client().send(0u64);
        loop {
            client().send(own.receive_message().await);
        }
    };
    across(role, async |ctx: &Context<u64>| {
        let far = start::<u64>().await;
        assert_eq!(ctx.receive_message().await, 0);
        let named = Address::named("far", "named");
        for n in 1..=20 {
            if n % 3 == 0 { named } else { far }.send(n);
        }
        for n in 1..=20 {
            assert_eq!(ctx.receive_message().await, n);
        }
    });
}

#[test]
fn otp_01_datagrams_are_outside_of_all_order_across_nodes() {
    let role = |_: Context<()>| async { (0..20u64).for_each(|n| client().send_datagram(n)) };
    let outcomes = across(role, async |ctx: &Context<u64>| {
        let far = start::<()>().await;
        let _monitor = ctx.monitor(pid(far));
        let mut seen = Vec::new();
        while let Some(received) = ctx.receive_within(super::secs(200)).await {
            seen.extend(received.message());
        }
        if !seen.is_sorted() {
            ctx.count("overtaken");
        }
    });
    let overtaken = |outcome: &&netsplit::Outcome| !outcome.counters.is_empty();
    assert!(outcomes.iter().filter(overtaken).count() > 350);
}
