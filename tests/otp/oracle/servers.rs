//! Rules 8 to 11: the server. The same as `servers.erl`.

use super::probe::{Ask, First, Init, Plan, call, failure, probe, start, unanswered};
use super::{await_end, end_of, next, nothing, ready};
use crate::common::error;
use crate::{dead_pid, settle};
use netsplit::{Address, Context, ExitReason, ReplyTo, StartError, millis};

cases! { "servers":
    otp_08_a_late_answer_is_dropped,
    otp_08_an_answer_at_the_moment_of_the_timeout_counts_or_is_dropped,
    otp_08_a_call_to_nobody_ends_in_noproc,
    otp_08_a_call_ends_with_the_servers_exit_reason,
    otp_08_an_answer_before_the_servers_end_counts,
    otp_08_any_process_may_answer,
    otp_08_an_answer_of_a_third_process_after_the_servers_end_is_dropped,
    otp_08_a_server_that_calls_itself_is_told_so,
    otp_08_callers_among_the_unread_get_the_exit_reason,
    otp_08_two_callers_are_answered_in_any_order,
    otp_09_terminate_runs_on_a_stop,
    otp_09_terminate_runs_on_an_error_of_a_handler,
    otp_09_terminate_runs_on_an_exit_of_the_parent_where_exits_are_trapped,
    otp_09_terminate_does_not_run_on_an_exit_of_the_parent_where_exits_are_not_trapped,
    otp_09_normal_of_the_parent_ends_a_server_that_traps,
    otp_09_a_parent_that_ends_takes_its_server_along,
    otp_09_an_exit_of_anyone_else_goes_to_handle_info_where_exits_are_trapped,
    otp_09_an_exit_of_anyone_else_ends_a_server_that_does_not_trap,
    otp_09_terminate_never_runs_on_a_kill,
    otp_10_what_init_is_to_continue_comes_before_the_mailbox,
    otp_10_a_continue_comes_before_the_mailbox,
    otp_10_a_return_timeout_comes_where_nothing_else_does,
    otp_10_any_message_cancels_a_return_timeout,
    otp_10_a_return_timeout_of_nothing_lets_the_mailbox_go_first,
    otp_11_init_is_over_when_start_returns,
    otp_11_who_starts_a_server_gets_the_reason_for_which_its_init_fails,
    otp_11_a_linked_starter_dies_of_a_failed_init,
    otp_11_a_linked_starter_that_traps_gets_the_reason,
    otp_11_a_failed_init_leaves_no_name,
    otp_11_a_name_that_is_taken_hurts_nobody,
    otp_11_an_init_that_ignores_ends_normally_and_leaves_no_name,
    otp_11_an_init_that_takes_too_long_is_killed,
}

type Client = Context<String>;

fn reasons() -> [ExitReason; 4] {
    let early = ExitReason::ShutdownWith("early".to_owned());
    [
        ExitReason::Normal,
        ExitReason::Shutdown,
        early,
        error("boom"),
    ]
}

async fn otp_08_a_late_answer_is_dropped(ctx: &Client) {
    let (server, _) = start(ctx, Plan::default()).await;
    let late = server.call(|from| Ask::After(from, 100), millis(20)).await;
    say!(
        ctx,
        "no answer: {}",
        unanswered(late.expect_err("it comes too late"))
    );
    call(ctx, server, Ask::Get).await;
    nothing(ctx).await;
}

async fn otp_08_an_answer_at_the_moment_of_the_timeout_counts_or_is_dropped(ctx: &Client) {
    let (server, _) = start(ctx, Plan::default()).await;
    match server.call(|from| Ask::After(from, 50), millis(50)).await {
        Ok(answer) => say!(ctx, "answer {answer}"),
        Err(why) => say!(ctx, "no answer: {}", unanswered(why)),
    }
    settle(ctx).await;
    nothing(ctx).await;
}

async fn otp_08_a_call_to_nobody_ends_in_noproc(ctx: &Client) {
    call(ctx, Address::of(dead_pid(ctx).await), Ask::Get).await;
    call(ctx, Address::at(ctx.node(), "nobody"), Ask::Get).await;
}

async fn otp_08_a_call_ends_with_the_servers_exit_reason(ctx: &Client) {
    for reason in reasons() {
        let (server, _) = start(ctx, Plan::default()).await;
        call(ctx, server, |from| Ask::Stop(from, reason)).await;
    }
    let (killed, _) = start(ctx, Plan::default()).await;
    ctx.spawn(move |killer: Context| async move {
        settle(&killer).await;
        killer.send_exit(killed.pid().unwrap(), ExitReason::Kill);
    });
    call(ctx, killed, Ask::Ignore).await;
}

async fn otp_08_an_answer_before_the_servers_end_counts(ctx: &Client) {
    let (server, monitor) = start(ctx, Plan::default()).await;
    call(ctx, server, |from| Ask::AnswerAndStop(from, error("boom"))).await;
    say!(ctx, "down {}", end_of(ctx, monitor).await);
}

async fn otp_08_any_process_may_answer(ctx: &Client) {
    let third = ctx.spawn(|third: Context<ReplyTo<u64>>| async move {
        third.receive_message().await.reply(42);
    });
    let (server, _) = start(ctx, Plan::default()).await;
    call(ctx, server, |from| Ask::PassTo(from, third)).await;
    nothing(ctx).await;
}

async fn otp_08_an_answer_of_a_third_process_after_the_servers_end_is_dropped(
    ctx: &Context<ReplyTo<u64>>,
) {
    let me = ctx.address();
    let (server, _) = start(ctx, Plan::default()).await;
    let (_, over) = ctx.spawn_monitor(move |caller: Client| async move {
        call(&caller, server, |from| Ask::PassTo(from, me)).await;
        nothing(&caller).await;
    });
    let question = ctx.receive_message().await;
    ctx.send_exit(server.pid().unwrap(), ExitReason::Shutdown);
    settle(ctx).await;
    question.reply(42);
    end_of(ctx, over).await;
}

async fn otp_08_a_server_that_calls_itself_is_told_so(ctx: &Client) {
    let (server, _) = start(ctx, Plan::default()).await;
    call(ctx, server, Ask::CallYourself).await;
    call(ctx, server, Ask::Get).await;
}

async fn otp_08_callers_among_the_unread_get_the_exit_reason(ctx: &Client) {
    let me = ctx.address();
    let (server, _) = start(ctx, Plan::default()).await;
    server.send(Ask::Sleep(50));
    server.send(Ask::End(error("boom")));
    for _ in 0..2 {
        ctx.spawn(move |caller: Context| async move {
            call(&caller, server, Ask::Get).await;
            me.send("ready".to_owned());
        });
    }
    ready(ctx).await;
    ready(ctx).await;
}

async fn otp_08_two_callers_are_answered_in_any_order(ctx: &Client) {
    let me = ctx.address();
    let (server, _) = start(ctx, Plan::default()).await;
    for word in ["one", "two"] {
        ctx.spawn(move |caller: Context| async move {
            server.call(Ask::Get, millis(100)).await.expect("an answer");
            say!(&caller, "{word}");
            me.send("ready".to_owned());
        });
    }
    ready(ctx).await;
    ready(ctx).await;
}

async fn otp_09_terminate_runs_on_a_stop(ctx: &Client) {
    for reason in reasons() {
        let (server, monitor) = start(ctx, Plan::default()).await;
        server.send(Ask::End(reason));
        say!(ctx, "down {}", end_of(ctx, monitor).await);
    }
}

async fn otp_09_terminate_runs_on_an_error_of_a_handler(ctx: &Client) {
    let (server, monitor) = start(ctx, Plan::default()).await;
    server.send(Ask::Panic("boom".to_owned()));
    say!(ctx, "down {}", end_of(ctx, monitor).await);
}

async fn otp_09_terminate_runs_on_an_exit_of_the_parent_where_exits_are_trapped(ctx: &Client) {
    ctx.trap_exit(true);
    let server = probe("probe", Plan::trapping())
        .start_link(ctx)
        .await
        .expect("it starts");
    server.send(Ask::Say("before".to_owned()));
    ctx.send_exit(server.pid().unwrap(), ExitReason::Shutdown);
    server.send(Ask::Say("after".to_owned()));
    say!(ctx, "{}", next(ctx).await);
}

async fn otp_09_terminate_does_not_run_on_an_exit_of_the_parent_where_exits_are_not_trapped(
    ctx: &Client,
) {
    ctx.trap_exit(true);
    let server = probe("probe", Plan::default())
        .start_link(ctx)
        .await
        .expect("it starts");
    ctx.send_exit(server.pid().unwrap(), ExitReason::Shutdown);
    say!(ctx, "{}", next(ctx).await);
}

async fn otp_09_normal_of_the_parent_ends_a_server_that_traps(ctx: &Client) {
    ctx.trap_exit(true);
    let server = probe("probe", Plan::trapping())
        .start_link(ctx)
        .await
        .expect("it starts");
    ctx.send_exit(server.pid().unwrap(), ExitReason::Normal);
    say!(ctx, "{}", next(ctx).await);
}

async fn otp_09_a_parent_that_ends_takes_its_server_along(ctx: &Context<Address<Ask>>) {
    let me = ctx.address();
    let parent = ctx.spawn(move |parent: Context| async move {
        me.send(
            probe("probe", Plan::trapping())
                .start_link(&parent)
                .await
                .expect("it starts"),
        );
    });
    let server = ctx.receive_message().await;
    await_end(ctx, parent.pid().unwrap()).await;
    await_end(ctx, server.pid().unwrap()).await;
}

async fn otp_09_an_exit_of_anyone_else_goes_to_handle_info_where_exits_are_trapped(ctx: &Client) {
    let me = ctx.address();
    let (server, monitor) = start(ctx, Plan::trapping()).await;
    let pid = server.pid().unwrap();
    ctx.spawn(move |other: Context| async move {
        other.send_exit(pid, ExitReason::Shutdown);
        other.send_exit(pid, ExitReason::Normal);
        me.send("ready".to_owned());
    });
    ready(ctx).await;
    call(ctx, server, Ask::Get).await;
    ctx.send_exit(pid, ExitReason::Kill);
    say!(ctx, "down {}", end_of(ctx, monitor).await);
}

async fn otp_09_an_exit_of_anyone_else_ends_a_server_that_does_not_trap(ctx: &Client) {
    let (server, monitor) = start(ctx, Plan::default()).await;
    ctx.spawn(move |other: Context| async move {
        other.send_exit(server.pid().unwrap(), ExitReason::Shutdown);
    });
    say!(ctx, "down {}", end_of(ctx, monitor).await);
}

async fn otp_09_terminate_never_runs_on_a_kill(ctx: &Client) {
    let (server, monitor) = start(ctx, Plan::trapping()).await;
    ctx.send_exit(server.pid().unwrap(), ExitReason::Kill);
    say!(ctx, "down {}", end_of(ctx, monitor).await);
}

async fn otp_10_what_init_is_to_continue_comes_before_the_mailbox(ctx: &Client) {
    let (server, _) = start(ctx, Plan::first(First::Continue)).await;
    call(ctx, server, Ask::Get).await;
}

async fn otp_10_a_continue_comes_before_the_mailbox(ctx: &Client) {
    let (server, _) = start(ctx, Plan::default()).await;
    server.send(Ask::Sleep(50));
    server.send(Ask::Continue);
    server.send(Ask::Say("next".to_owned()));
    call(ctx, server, Ask::Get).await;
}

async fn otp_10_a_return_timeout_comes_where_nothing_else_does(ctx: &Client) {
    let (server, _) = start(ctx, Plan::first(First::Within(20))).await;
    ctx.sleep(millis(100)).await;
    server.send(Ask::Within(20));
    ctx.sleep(millis(100)).await;
    call(ctx, server, Ask::Get).await;
}

async fn otp_10_any_message_cancels_a_return_timeout(ctx: &Client) {
    let (server, _) = start(ctx, Plan::default()).await;
    server.send(Ask::Within(100));
    server.send(Ask::Say("message".to_owned()));
    ctx.sleep(millis(200)).await;
    call(ctx, server, Ask::Get).await;
}

async fn otp_10_a_return_timeout_of_nothing_lets_the_mailbox_go_first(ctx: &Client) {
    let (server, _) = start(ctx, Plan::default()).await;
    server.send(Ask::Sleep(50));
    server.send(Ask::Within(0));
    server.send(Ask::Say("message".to_owned()));
    call(ctx, server, Ask::Get).await;
    server.send(Ask::Within(0));
    ctx.sleep(millis(30)).await;
    call(ctx, server, Ask::Get).await;
}

async fn otp_11_init_is_over_when_start_returns(ctx: &Client) {
    let (server, _) = start(ctx, Plan::init(Init::Takes(30))).await;
    say!(ctx, "started");
    call(ctx, server, Ask::Get).await;
}

async fn otp_11_who_starts_a_server_gets_the_reason_for_which_its_init_fails(ctx: &Client) {
    for fails in [error("boom"), ExitReason::Normal, ExitReason::Shutdown] {
        let started = probe("probe", Plan::init(Init::Fails(fails)))
            .start(ctx)
            .await;
        say!(ctx, "failed: {}", failure(started));
    }
    let started = probe("probe", Plan::init(Init::Panics("boom")))
        .start(ctx)
        .await;
    say!(ctx, "failed: {}", failure(started));
    nothing(ctx).await;
}

async fn otp_11_a_linked_starter_dies_of_a_failed_init(ctx: &Client) {
    let (_, monitor) = ctx.spawn_monitor(|starter: Context| async move {
        let fails = Plan::init(Init::Fails(error("boom")));
        let _ = probe("probe", fails).start_link(&starter).await;
        settle(&starter).await;
        say!(&starter, "it lives");
    });
    say!(ctx, "down {}", end_of(ctx, monitor).await);
}

async fn otp_11_a_linked_starter_that_traps_gets_the_reason(ctx: &Client) {
    ctx.trap_exit(true);
    let fails = Plan::init(Init::Fails(error("boom")));
    let started = probe("probe", fails).start_link(ctx).await;
    say!(ctx, "failed: {}", failure(started));
}

async fn otp_11_a_failed_init_leaves_no_name(ctx: &Client) {
    ctx.trap_exit(true);
    let fails = Plan::init(Init::Fails(error("boom")));
    let _ = probe("servers_name", fails)
        .name("servers_name")
        .start_link(ctx)
        .await;
    say!(ctx, "free: {}", ctx.whereis("servers_name").is_none());
    let starts = probe("servers_name", Plan::default()).name("servers_name");
    let server = starts.start_link(ctx).await.expect("it starts");
    say!(
        ctx,
        "taken: {}",
        ctx.whereis("servers_name") == server.pid()
    );
}

async fn otp_11_a_name_that_is_taken_hurts_nobody(ctx: &Client) {
    let named = || probe("servers_taken", Plan::default()).name("servers_taken");
    let first = named().start_link(ctx).await.expect("it starts");
    let held = StartError::AlreadyStarted(first.pid().unwrap());
    say!(
        ctx,
        "held by the first: {}",
        named().start_link(ctx).await == Err(held)
    );
    call(ctx, first, Ask::Get).await;
}

async fn otp_11_an_init_that_ignores_ends_normally_and_leaves_no_name(ctx: &Client) {
    ctx.trap_exit(true);
    let ignores = probe("servers_ignored", Plan::init(Init::Ignores)).name("servers_ignored");
    let started = ignores.start_link(ctx).await;
    assert_eq!(started, Err(StartError::Ignored));
    say!(ctx, "ignored");
    say!(ctx, "free: {}", ctx.whereis("servers_ignored").is_none());
}

async fn otp_11_an_init_that_takes_too_long_is_killed(ctx: &Client) {
    let takes = probe("probe", Plan::init(Init::Takes(500)));
    let started = takes.start_timeout(millis(30)).start(ctx).await;
    say!(ctx, "failed: {}", failure(started));
    nothing(ctx).await;
}
