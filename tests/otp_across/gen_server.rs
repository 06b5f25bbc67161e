//! Rules 9 to 11 across nodes: a server's `terminate`, continue, timeout and init, for those on other nodes.

use super::{LONG, client, error, next_down, next_exit, nothing_comes, settle, with_client};
use netsplit::{
    Address, CallError, Context, ExitReason, Flow, GenServer, Info, Outcome, Pid, Refusal, ReplyTo,
    Scenario, Server, StartError, millis, secs,
};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// How the server under test is started.
#[derive(Clone, Debug, Default)]
struct Plan {
    trap: bool,
    first: Option<Flow>,
    init_takes: Duration,
    init_fails: Option<ExitReason>,
    init_panics: bool,
}

/// What it is asked for.
#[derive(Debug, Serialize, Deserialize)]
enum Ask {
    Add(u64),
    Get(ReplyTo<u64>),
    Stop(ExitReason),
    /// Adds, then panics before it would add again.
    PanicAfter(u64),
    Continue,
    Within(Duration),
    Watch(Pid),
    Listen,
}

/// A server that tells the client of each callback, in a line.
struct Probe {
    plan: Plan,
    count: u64,
}

fn tell(line: impl Into<String>) {
    client().send(line.into());
}

impl GenServer for Probe {
    type Args = Plan;
    type Message = Ask;

    async fn init(plan: Plan, ctx: &mut Context<Ask>) -> Result<Probe, Refusal> {
        ctx.trap_exit(plan.trap);
        ctx.sleep(plan.init_takes).await;
        assert!(!plan.init_panics, "in init");
        match plan.init_fails.clone() {
            None => Ok(Probe { plan, count: 0 }),
            Some(reason) => {
                ctx.send_after(ctx.address(), Ask::Add(1), millis(10));
                Err(Refusal::Stop(reason))
            }
        }
    }

    fn first(&self) -> Flow {
        self.plan.first.clone().unwrap_or(Flow::Next)
    }

    async fn handle(&mut self, ask: Ask, ctx: &mut Context<Ask>) -> Flow {
        match ask {
            Ask::Add(n) => {
                self.count += n;
                tell(format!("add {n}"));
            }
            Ask::Get(reply_to) => reply_to.reply(self.count),
            Ask::Stop(reason) => return Flow::Stop(reason),
            Ask::PanicAfter(n) => {
                self.count += n;
                assert!(n == 0, "half way");
                self.count += n;
            }
            Ask::Continue => {
                // Whatever comes meanwhile comes after what is to continue.
                ctx.sleep(secs(100)).await;
                return Flow::Continue;
            }
            Ask::Within(time) => return Flow::NextWithin(time),
            Ask::Watch(pid) => {
                ctx.link(pid);
                let _monitor = ctx.monitor(pid);
            }
            Ask::Listen => ctx.monitor_nodes(true),
        }
        Flow::Next
    }

    async fn handle_continue(&mut self, _: &mut Context<Ask>) -> Flow {
        tell("continue");
        Flow::Next
    }

    async fn handle_info(&mut self, info: Info, _: &mut Context<Ask>) -> Flow {
        tell(match info {
            Info::Exit { reason, .. } => format!("exit {reason}"),
            Info::Down { reason, .. } => format!("down {reason}"),
            Info::NodeUp(_) => "up".to_owned(),
            Info::NodeDown(_) => "down".to_owned(),
            other => format!("{other:?}").to_lowercase(),
        });
        Flow::Next
    }

    async fn terminate(&mut self, reason: &ExitReason, _: &mut Context<Ask>) {
        tell(format!("terminate {} at {}", reason, self.count));
    }
}

/// What the parent of the server is told: it starts it, and ends.
#[derive(Debug, Serialize, Deserialize)]
enum ToParent {
    /// Starts it, named `server`; the answer is its pid, or why there is none.
    Start(ReplyTo<Result<Pid, StartError>>),
    End(ExitReason),
}

/// Runs the client beside the node `far`, whose first process is named `parent`.
fn served(
    plan: Plan,
    process: impl AsyncFn(&Context<String>) + Send + Sync + 'static,
) -> Vec<Outcome> {
    let scenario = Scenario::new("served").node("far", move |ctx: Context<ReplyTo<Pid>>| {
        let plan = plan.clone();
        async move {
            ctx.register("host").expect("a free name");
            loop {
                let asked = ctx.receive_message().await;
                let plan = plan.clone();
                let parent = ctx.spawn(move |own: Context<ToParent>| parent(own, plan));
                asked.reply(parent.pid().expect("a pid"));
            }
        }
    });
    with_client(scenario, process)
}

async fn parent(own: Context<ToParent>, plan: Plan) -> ExitReason {
    loop {
        match own.receive_message().await {
            ToParent::Start(reply_to) => {
                let server = Server::<Probe>::with(plan.clone()).name("server");
                let started = server.start_link(&own).await;
                reply_to.reply(started.map(|server| server.pid().expect("a pid")));
            }
            ToParent::End(reason) => return reason,
        }
    }
}

fn named() -> Address<Ask> {
    Address::named("far", "server")
}

async fn start_parent() -> Address<ToParent> {
    super::start::<ToParent>().await
}

async fn start(parent: Address<ToParent>) -> Result<Pid, StartError> {
    parent
        .call(ToParent::Start, LONG)
        .await
        .expect("its parent lives")
}

/// A server that has started, its pid, and its parent.
async fn started() -> (Address<Ask>, Pid, Address<ToParent>) {
    let parent = start_parent().await;
    let server = start(parent).await.expect("its init is fine");
    (Address::of(server), server, parent)
}

/// Lines that the server told, as many as are expected.
async fn expect(ctx: &Context<String>, lines: &[&str]) {
    for line in lines {
        assert_eq!(ctx.receive_message().await, *line);
    }
}

fn trapping() -> Plan {
    Plan {
        trap: true,
        ..Plan::default()
    }
}

#[test]
fn otp_09_terminate_runs_on_a_stop_before_the_down_is_told_across_nodes() {
    served(Plan::default(), async |ctx: &Context<String>| {
        for reason in [ExitReason::Normal, ExitReason::Shutdown, error("x")] {
            let (server, pid, _) = started().await;
            let _monitor = ctx.monitor(pid);
            server.send(Ask::Add(2));
            server.send(Ask::Stop(reason.clone()));
            // What terminate sends comes before the down: both are of one pair.
            let mut lines = Vec::new();
            for _ in 0..3 {
                lines.push(super::line(&ctx.receive().await));
            }
            let stop = format!("\"terminate {reason} at 2\"");
            assert_eq!(
                lines,
                ["\"add 2\"".to_owned(), stop, format!("down {reason}")]
            );
        }
    });
}

#[test]
fn otp_09_terminate_runs_on_a_panic_across_nodes() {
    served(Plan::default(), async |ctx: &Context<String>| {
        let (server, pid, _) = started().await;
        let _monitor = ctx.monitor(pid);
        server.send(Ask::Add(1));
        server.send(Ask::PanicAfter(10));
        expect(ctx, &["add 1", "terminate panic: half way at 11"]).await;
        let reason = ExitReason::Panic("half way".to_owned());
        assert_eq!(next_down(ctx).await, reason);
    });
}

#[test]
fn otp_09_terminate_never_runs_on_a_kill_across_nodes() {
    served(trapping(), async |ctx: &Context<String>| {
        let (_, pid, _) = started().await;
        let _monitor = ctx.monitor(pid);
        ctx.send_exit(pid, ExitReason::Kill);
        assert_eq!(next_down(ctx).await, ExitReason::Killed);
        nothing_comes(ctx).await;
    });
}

#[test]
fn otp_09_terminate_runs_on_an_exit_from_the_parent_after_what_came_before_it_across_nodes() {
    served(trapping(), async |ctx: &Context<String>| {
        let (server, pid, parent) = started().await;
        let _monitor = ctx.monitor(pid);
        server.send(Ask::Add(3));
        settle(ctx).await;
        parent.send(ToParent::End(error("the parent's")));
        expect(ctx, &["add 3", "terminate error: the parent's at 3"]).await;
        assert_eq!(next_down(ctx).await, error("the parent's"));
        nothing_comes(ctx).await;
    });
}

#[test]
fn otp_09_an_exit_from_another_node_goes_to_handle_info_where_exits_are_trapped_across_nodes() {
    served(trapping(), async |ctx: &Context<String>| {
        let (server, pid, _) = started().await;
        ctx.send_exit(pid, ExitReason::Shutdown);
        expect(ctx, &["exit shutdown"]).await;
        ctx.spawn(move |other: Context| async move {
            other.link(pid);
            error("another's")
        });
        expect(ctx, &["exit error: another's"]).await;
        assert_eq!(server.call(Ask::Get, LONG).await, Ok(0));
    });
}

#[test]
fn otp_09_an_exit_from_another_node_ends_who_does_not_trap_without_terminate_across_nodes() {
    served(Plan::default(), async |ctx: &Context<String>| {
        let (_, pid, _) = started().await;
        let _monitor = ctx.monitor(pid);
        ctx.send_exit(pid, error("another's"));
        assert_eq!(next_down(ctx).await, error("another's"));
        nothing_comes(ctx).await;
    });
}

#[test]
fn otp_09_a_lost_connection_goes_to_handle_info_where_exits_are_trapped_across_nodes() {
    served(trapping(), async |ctx: &Context<String>| {
        let (server, pid, _) = started().await;
        server.send(Ask::Watch(ctx.pid()));
        server.send(Ask::Listen);
        assert_eq!(server.call(Ask::Get, LONG).await, Ok(0));
        ctx.trap_exit(true);
        ctx.disconnect(pid.node());
        assert_eq!(next_exit(ctx).await, (pid, ExitReason::NoConnection));
        // What it tells sets the next connection up.
        expect(
            ctx,
            &["exit noconnection", "down noconnection", "down", "up"],
        )
        .await;
    });
}

#[test]
fn otp_09_a_lost_connection_ends_who_does_not_trap_without_terminate_across_nodes() {
    served(Plan::default(), async |ctx: &Context<String>| {
        let (server, pid, _) = started().await;
        server.send(Ask::Watch(ctx.pid()));
        assert_eq!(server.call(Ask::Get, LONG).await, Ok(0));
        ctx.trap_exit(true);
        ctx.disconnect(pid.node());
        settle(ctx).await;
        assert_eq!(named().call(Ask::Get, LONG).await, Err(CallError::NoProc));
        assert_eq!(next_exit(ctx).await, (pid, ExitReason::NoConnection));
        nothing_comes(ctx).await;
    });
}

#[test]
fn otp_10_a_continue_of_init_runs_before_anything_that_another_node_has_sent() {
    let plan = Plan {
        first: Some(Flow::Continue),
        init_takes: secs(300),
        ..Plan::default()
    };
    served(plan, async |ctx: &Context<String>| {
        let parent = start_parent().await;
        ctx.spawn(move |own: Context| async move {
            start(parent).await.expect("its init is fine");
            own.sleep(LONG).await;
        });
        ctx.sleep(secs(100)).await;
        // It is still in its init, and has its name.
        (1..=3).for_each(|n| named().send(Ask::Add(n)));
        expect(ctx, &["continue", "add 1", "add 2", "add 3"]).await;
    });
}

#[test]
fn otp_10_a_continue_of_a_handler_runs_before_anything_that_another_node_has_sent() {
    served(Plan::default(), async |ctx: &Context<String>| {
        let (server, ..) = started().await;
        server.send(Ask::Continue);
        server.send(Ask::Add(1));
        ctx.sleep(secs(50)).await;
        server.send(Ask::Add(2));
        expect(ctx, &["continue", "add 1", "add 2"]).await;
    });
}

#[test]
fn otp_10_a_return_timeout_comes_where_no_message_does_across_nodes() {
    served(Plan::default(), async |ctx: &Context<String>| {
        let (server, ..) = started().await;
        server.send(Ask::Within(secs(60)));
        let began = ctx.now();
        expect(ctx, &["timeout"]).await;
        assert!(ctx.now().since(began) >= millis(59_900));
        nothing_comes(ctx).await;
    });
}

#[test]
fn otp_10_any_message_from_another_node_cancels_a_return_timeout() {
    served(trapping(), async |ctx: &Context<String>| {
        let (server, pid, _) = started().await;
        let long = secs(100);
        server.send(Ask::Within(long));
        server.send(Ask::Add(1));
        expect(ctx, &["add 1"]).await;
        nothing_comes(ctx).await;
        // What the system tells is a message, too: an exit signal, and the loss of the connection.
        server.send(Ask::Within(long));
        ctx.send_exit(pid, error("x"));
        expect(ctx, &["exit error: x"]).await;
        nothing_comes(ctx).await;
        server.send(Ask::Listen);
        server.send(Ask::Within(secs(250)));
        settle(ctx).await;
        ctx.disconnect(pid.node());
        expect(ctx, &["down", "up"]).await;
        nothing_comes(ctx).await;
    });
}

#[test]
fn otp_11_who_calls_from_another_node_during_the_init_is_answered_after_it() {
    let plan = Plan {
        init_takes: secs(300),
        ..Plan::default()
    };
    served(plan, async |ctx: &Context<String>| {
        let parent = start_parent().await;
        let starter = ctx.spawn(move |own: Context| async move {
            start(parent).await.expect("its init is fine");
            own.sleep(LONG).await;
        });
        ctx.sleep(secs(100)).await;
        let began = ctx.now();
        assert_eq!(named().call(Ask::Get, LONG).await, Ok(0));
        assert!(ctx.now().since(began) > secs(100));
        assert!(ctx.is_alive(super::pid(starter)));
    });
}

#[test]
fn otp_11_after_a_failed_init_callers_get_its_reason_and_nothing_is_left_behind_across_nodes() {
    let plan = Plan {
        init_takes: secs(300),
        init_fails: Some(ExitReason::error("no")),
        ..Plan::default()
    };
    served(plan, async |ctx: &Context<String>| {
        let parent = start_parent().await;
        let _monitor = ctx.monitor(super::pid(parent));
        ctx.spawn(move |_: Context| async move {
            // The starter is linked and does not trap: it dies of it, and who has called it is told.
            let started = parent.call(ToParent::Start, LONG).await;
            assert_eq!(started, Err(CallError::Exit(error("no"))));
            tell("heard of it");
        });
        ctx.sleep(secs(100)).await;
        let asked = named().call(Ask::Get, LONG).await;
        assert_eq!(asked, Err(CallError::Exit(error("no"))));
        assert_eq!(named().call(Ask::Get, LONG).await, Err(CallError::NoProc));
        assert_eq!(next_down(ctx).await, error("no"));
        expect(ctx, &["heard of it"]).await;
        // Its timers are gone too.
        nothing_comes(ctx).await;
    });
}

#[test]
fn otp_11_an_init_that_panics_is_a_failed_init_across_nodes() {
    let plan = Plan {
        init_panics: true,
        ..Plan::default()
    };
    served(plan, async |_: &Context<String>| {
        let parent = start_parent().await;
        let reason = ExitReason::Panic("in init".to_owned());
        let started = parent.call(ToParent::Start, LONG).await;
        assert_eq!(started, Err(CallError::Exit(reason)));
        assert_eq!(named().call(Ask::Get, LONG).await, Err(CallError::NoProc));
    });
}

#[test]
fn otp_11_a_server_killed_in_its_init_from_another_node_leaves_its_name_free() {
    let plan = Plan {
        init_takes: secs(300),
        ..Plan::default()
    };
    served(plan, async |ctx: &Context<String>| {
        let parent = start_parent().await;
        parent.send(ToParent::End(ExitReason::Normal));
        let parent = start_parent().await;
        let starter = ctx.spawn(move |_: Context| async move {
            let started = parent.call(ToParent::Start, LONG).await;
            assert_eq!(started, Err(CallError::Exit(ExitReason::Killed)));
            tell("heard of it");
        });
        ctx.sleep(secs(100)).await;
        // Its parent is linked to it, from the beginning.
        ctx.send_exit(super::pid(parent), ExitReason::Kill);
        expect(ctx, &["heard of it"]).await;
        assert_eq!(named().call(Ask::Get, LONG).await, Err(CallError::NoProc));
        settle(ctx).await;
        assert!(!ctx.is_alive(super::pid(starter)));
    });
}
