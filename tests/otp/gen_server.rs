//! Rules 9 to 11: a server's `terminate`, continue, timeout and init.

use super::{error, next_down, next_exit, nothing_comes, one_node, settle};
use netsplit::{
    Address, Context, ExitReason, Flow, GenServer, Info, Refusal, ReplyTo, Server, StartError,
    Time, millis, secs,
};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// What the server under test does in `init`.
#[derive(Clone, Debug)]
pub(crate) enum Init {
    Fine,
    Fails(ExitReason),
    Ignores,
    Panics,
    Takes(Duration),
}

/// How the server under test is started.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    told: Address<String>,
    init: Init,
    trap: bool,
    first: Flow,
}

impl Plan {
    /// A server that tells `told` of each callback, in a line.
    pub(crate) fn new(told: Address<String>) -> Plan {
        Plan {
            told,
            init: Init::Fine,
            trap: false,
            first: Flow::Next,
        }
    }

    pub(crate) fn init(self, init: Init) -> Plan {
        Plan { init, ..self }
    }

    pub(crate) fn trap(self) -> Plan {
        Plan { trap: true, ..self }
    }

    fn first(self, first: Flow) -> Plan {
        Plan { first, ..self }
    }
}

/// What the server under test is asked for.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Ask {
    Add(u64),
    Get(ReplyTo<u64>),
    /// Never answers, and goes on.
    Ignore(ReplyTo<u64>),
    /// Stops before it answers.
    StopAt(ReplyTo<u64>, ExitReason),
    Stop(ExitReason),
    /// Ends the process within the handler.
    Exit(ExitReason),
    /// Adds, then panics before it would add again.
    PanicAfter(u64),
    Continue,
    Within(u64),
    /// Works on a message for so many milliseconds.
    Sleep(u64),
    /// Calls itself, and answers whether that was refused.
    CallYourself(ReplyTo<bool>),
}

pub(crate) struct Probe {
    plan: Plan,
    count: u64,
}

impl Probe {
    fn tell(&self, line: impl Into<String>) {
        self.plan.told.send(line.into());
    }
}

impl GenServer for Probe {
    type Args = Plan;
    type Message = Ask;

    async fn init(plan: Plan, ctx: &mut Context<Ask>) -> Result<Probe, Refusal> {
        ctx.trap_exit(plan.trap);
        match &plan.init {
            Init::Fine => {}
            Init::Takes(time) => ctx.sleep(*time).await,
            Init::Fails(reason) => {
                ctx.send_after(ctx.address(), Ask::Add(1), millis(10));
                return Err(Refusal::Stop(reason.clone()));
            }
            Init::Ignores => return Err(Refusal::Ignore),
            Init::Panics => panic!("in init"),
        }
        Ok(Probe { plan, count: 0 })
    }

    fn first(&self) -> Flow {
        self.plan.first.clone()
    }

    async fn handle(&mut self, ask: Ask, ctx: &mut Context<Ask>) -> Flow {
        match ask {
            Ask::Add(n) => {
                self.count += n;
                self.tell(format!("add {n}"));
            }
            Ask::Get(reply_to) => reply_to.reply(self.count),
            Ask::Ignore(_) => {}
            Ask::StopAt(_, reason) | Ask::Stop(reason) => return Flow::Stop(reason),
            Ask::Exit(reason) => match ctx.exit(reason).await {},
            Ask::PanicAfter(n) => {
                self.count += n;
                assert!(n == 0, "half way");
                self.count += n;
            }
            Ask::Continue => {
                // This comes first to the mailbox, and yet after what is to continue.
                ctx.address().send(Ask::Add(1));
                return Flow::Continue;
            }
            Ask::Within(ms) => return Flow::NextWithin(millis(ms)),
            Ask::Sleep(ms) => ctx.sleep(millis(ms)).await,
            Ask::CallYourself(reply_to) => {
                let own = ctx.address().call(Ask::Get, secs(1)).await;
                reply_to.reply(own == Err(netsplit::CallError::CallingSelf));
            }
        }
        Flow::Next
    }

    async fn handle_continue(&mut self, _: &mut Context<Ask>) -> Flow {
        self.tell("continue");
        Flow::Next
    }

    async fn handle_info(&mut self, info: Info, _: &mut Context<Ask>) -> Flow {
        self.tell(match info {
            Info::Exit { reason, .. } => format!("exit {reason}"),
            Info::Timeout => "timeout".to_owned(),
            Info::Noise => "noise".to_owned(),
            other => format!("{other:?}"),
        });
        Flow::Next
    }

    async fn terminate(&mut self, reason: &ExitReason, _: &mut Context<Ask>) {
        self.tell(format!("terminate {} at {}", reason, self.count));
    }
}

/// Starts a server under test, not linked.
pub(crate) async fn start(ctx: &Context<String>, plan: Plan) -> Address<Ask> {
    let started = Server::<Probe>::with(plan).start(ctx).await;
    started.expect("its init is fine")
}

/// Lines that the server told, as many as are expected.
async fn expect(ctx: &Context<String>, lines: &[&str]) {
    for line in lines {
        assert_eq!(ctx.receive_message().await, *line);
    }
}

#[test]
fn otp_09_terminate_runs_on_a_stop_and_sees_its_reason() {
    one_node(async |ctx: &Context<String>| {
        for reason in [ExitReason::Normal, ExitReason::Shutdown, error("x")] {
            let server = start(ctx, Plan::new(ctx.address())).await;
            let _monitor = ctx.monitor(server.pid().unwrap());
            server.send(Ask::Add(2));
            server.send(Ask::Stop(reason.clone()));
            expect(ctx, &["add 2", &format!("terminate {reason} at 2")]).await;
            assert_eq!(next_down(ctx).await, reason);
        }
    });
}

#[test]
fn otp_09_and_27_terminate_runs_on_a_panic_and_sees_the_state_as_the_panic_left_it() {
    one_node(async |ctx: &Context<String>| {
        let server = start(ctx, Plan::new(ctx.address())).await;
        let _monitor = ctx.monitor(server.pid().unwrap());
        server.send(Ask::Add(1));
        server.send(Ask::PanicAfter(10));
        expect(ctx, &["add 1", "terminate panic: half way at 11"]).await;
        assert_eq!(
            next_down(ctx).await,
            ExitReason::Panic("half way".to_owned())
        );
    });
}

#[test]
fn otp_09_terminate_never_runs_on_a_kill() {
    one_node(async |ctx: &Context<String>| {
        let server = start(ctx, Plan::new(ctx.address()).trap()).await;
        let _monitor = ctx.monitor(server.pid().unwrap());
        ctx.send_exit(server.pid().unwrap(), ExitReason::Kill);
        assert_eq!(next_down(ctx).await, ExitReason::Killed);
        nothing_comes(ctx).await;
    });
}

#[test]
fn otp_09_terminate_does_not_run_where_a_handler_ends_its_process() {
    one_node(async |ctx: &Context<String>| {
        let server = start(ctx, Plan::new(ctx.address()).trap()).await;
        let _monitor = ctx.monitor(server.pid().unwrap());
        server.send(Ask::Exit(ExitReason::Shutdown));
        assert_eq!(next_down(ctx).await, ExitReason::Shutdown);
        nothing_comes(ctx).await;
    });
}

#[test]
fn otp_09_terminate_runs_on_an_exit_from_the_parent_where_exits_are_trapped() {
    one_node(async |ctx: &Context<String>| {
        let plan = Plan::new(ctx.address()).trap();
        let server = Server::<Probe>::with(plan).start_link(ctx).await.unwrap();
        ctx.trap_exit(true);
        let _monitor = ctx.monitor(server.pid().unwrap());
        // What is in the mailbox before it is handled before it.
        server.send(Ask::Add(3));
        ctx.send_exit(server.pid().unwrap(), ExitReason::Shutdown);
        server.send(Ask::Add(4));
        expect(ctx, &["add 3", "terminate shutdown at 3"]).await;
        assert_eq!(next_down(ctx).await, ExitReason::Shutdown);
        assert_eq!(next_exit(ctx).await.1, ExitReason::Shutdown);
        nothing_comes(ctx).await;
    });
}

#[test]
fn otp_09_an_exit_from_a_starter_that_is_not_linked_is_anybodys() {
    one_node(async |ctx: &Context<String>| {
        let server = start(ctx, Plan::new(ctx.address()).trap()).await;
        ctx.send_exit(server.pid().unwrap(), ExitReason::Shutdown);
        expect(ctx, &["exit shutdown"]).await;
        assert!(ctx.is_alive(server.pid().unwrap()));
    });
}

#[test]
fn otp_09_terminate_runs_when_a_linked_parent_ends_where_exits_are_trapped() {
    one_node(async |ctx: &Context<String>| {
        let told = ctx.address();
        ctx.spawn(move |parent: Context| async move {
            let plan = Plan::new(told).trap();
            let started = Server::<Probe>::with(plan).start_link(&parent).await;
            assert!(started.is_ok());
            error("the parent's")
        });
        expect(ctx, &["terminate error: the parent's at 0"]).await;
    });
}

#[test]
fn otp_09_an_exit_from_the_parent_ends_who_does_not_trap_without_terminate() {
    one_node(async |ctx: &Context<String>| {
        let server = start(ctx, Plan::new(ctx.address())).await;
        let _monitor = ctx.monitor(server.pid().unwrap());
        ctx.send_exit(server.pid().unwrap(), ExitReason::Shutdown);
        assert_eq!(next_down(ctx).await, ExitReason::Shutdown);
        nothing_comes(ctx).await;
    });
}

#[test]
fn otp_09_an_exit_from_anyone_else_goes_to_handle_info_where_exits_are_trapped() {
    one_node(async |ctx: &Context<String>| {
        let server = start(ctx, Plan::new(ctx.address()).trap()).await;
        let pid = server.pid().unwrap();
        ctx.spawn(move |other: Context| async move {
            other.link(pid);
            error("another's")
        });
        expect(ctx, &["exit error: another's"]).await;
        assert_eq!(server.call(Ask::Get, secs(1)).await, Ok(0));
    });
}

#[test]
fn otp_09_an_exit_from_anyone_else_ends_who_does_not_trap_without_terminate() {
    one_node(async |ctx: &Context<String>| {
        let server = start(ctx, Plan::new(ctx.address())).await;
        let pid = server.pid().unwrap();
        let _monitor = ctx.monitor(pid);
        ctx.spawn(move |other: Context| async move { other.send_exit(pid, error("another's")) });
        assert_eq!(next_down(ctx).await, error("another's"));
        nothing_comes(ctx).await;
    });
}

#[test]
fn otp_10_a_continue_of_init_runs_before_anything_in_the_mailbox() {
    one_node(async |ctx: &Context<String>| {
        let told = ctx.address();
        let plan = Plan::new(told)
            .first(Flow::Continue)
            .init(Init::Takes(millis(10)));
        ctx.spawn(move |starter: Context| async move {
            let _started = Server::<Probe>::with(plan)
                .name("server")
                .start(&starter)
                .await;
        });
        settle(ctx).await;
        // It is still in its init.
        Address::at(ctx.node(), "server").send(Ask::Add(1));
        expect(ctx, &["continue", "add 1"]).await;
    });
}

#[test]
fn otp_10_a_continue_of_a_handler_runs_before_anything_in_the_mailbox() {
    one_node(async |ctx: &Context<String>| {
        let server = start(ctx, Plan::new(ctx.address())).await;
        server.send(Ask::Continue);
        server.send(Ask::Add(2));
        // The server's own message may stand before or behind ours; the continue stands before both.
        assert_eq!(ctx.receive_message().await, "continue");
        let rest = [ctx.receive_message().await, ctx.receive_message().await];
        assert!(
            rest == ["add 1", "add 2"] || rest == ["add 2", "add 1"],
            "{rest:?}"
        );
    });
}

#[test]
fn otp_10_a_return_timeout_comes_where_no_message_does() {
    one_node(async |ctx: &Context<String>| {
        let plan = Plan::new(ctx.address()).first(Flow::NextWithin(millis(5)));
        let server = start(ctx, plan).await;
        expect(ctx, &["timeout"]).await;
        assert_eq!(ctx.now(), Time::ZERO + millis(5));
        server.send(Ask::Within(7));
        expect(ctx, &["timeout"]).await;
        assert_eq!(ctx.now(), Time::ZERO + millis(12));
        nothing_comes(ctx).await;
    });
}

#[test]
fn otp_10_any_message_cancels_a_return_timeout() {
    one_node(async |ctx: &Context<String>| {
        let server = start(ctx, Plan::new(ctx.address()).trap()).await;
        let pid = server.pid().unwrap();
        server.send(Ask::Within(10));
        ctx.sleep(millis(5)).await;
        server.send(Ask::Add(1));
        expect(ctx, &["add 1"]).await;
        nothing_comes(ctx).await;
        // What the system tells is a message, too.
        server.send(Ask::Within(10));
        settle(ctx).await;
        ctx.spawn(move |other: Context| async move { other.send_exit(pid, error("x")) });
        expect(ctx, &["exit error: x"]).await;
        nothing_comes(ctx).await;
    });
}

#[test]
fn otp_11_init_is_synchronous_for_the_starter() {
    one_node(async |ctx: &Context<String>| {
        let plan = Plan::new(ctx.address()).init(Init::Takes(millis(10)));
        let server = Server::<Probe>::with(plan).name("server").start(ctx).await;
        assert_eq!(ctx.now(), Time::ZERO + millis(10));
        assert_eq!(ctx.whereis("server"), server.unwrap().pid());
    });
}

#[test]
fn otp_11_after_a_failed_init_the_starter_gets_the_reason_and_nothing_is_left_behind() {
    let outcomes = one_node(async |ctx: &Context<String>| {
        let plan = Plan::new(ctx.address()).init(Init::Fails(error("no")));
        for _ in 0..2 {
            let server = Server::<Probe>::with(plan.clone()).name("server");
            assert_eq!(
                server.start(ctx).await,
                Err(StartError::Failed(error("no")))
            );
            assert_eq!(ctx.whereis("server"), None);
        }
        nothing_comes(ctx).await;
    });
    for outcome in outcomes {
        // The two answers to the starter; the timer that init set sends nothing, to nobody.
        assert_eq!((outcome.books.sent, outcome.books.received), (2, 2));
    }
}

#[test]
fn otp_11_an_init_that_ignores_the_start_ends_as_normal_and_a_linked_starter_lives() {
    one_node(async |ctx: &Context<String>| {
        let plan = Plan::new(ctx.address()).init(Init::Ignores);
        let server = Server::<Probe>::with(plan).name("server").start_link(ctx);
        assert_eq!(server.await, Err(StartError::Ignored));
        assert_eq!(ctx.whereis("server"), None);
        nothing_comes(ctx).await;
    });
}

#[test]
fn otp_11_an_init_that_takes_longer_than_it_may_is_killed_before_its_starter_goes_on() {
    one_node(async |ctx: &Context<String>| {
        let plan = Plan::new(ctx.address()).init(Init::Takes(secs(5)));
        let server = Server::<Probe>::with(plan).name("server");
        let started = server.start_timeout(millis(20)).start_link(ctx).await;
        assert_eq!(started, Err(StartError::Timeout));
        assert_eq!(ctx.now(), Time::ZERO + millis(20));
        assert_eq!(ctx.whereis("server"), None);
        nothing_comes(ctx).await;
    });
}

#[test]
fn otp_11_an_init_that_panics_is_a_failed_init() {
    one_node(async |ctx: &Context<String>| {
        let plan = Plan::new(ctx.address()).init(Init::Panics);
        let server = Server::<Probe>::with(plan).name("server").start(ctx).await;
        assert_eq!(
            server,
            Err(StartError::Failed(ExitReason::Panic("in init".to_owned())))
        );
        assert_eq!(ctx.whereis("server"), None);
    });
}

#[test]
fn otp_11_a_linked_starter_that_does_not_trap_dies_of_a_failed_init() {
    one_node(async |ctx: &Context<String>| {
        let plan = Plan::new(ctx.address()).init(Init::Fails(error("no")));
        let (_, _monitor) = ctx.spawn_monitor(move |starter: Context| async move {
            let _started = Server::<Probe>::with(plan).start_link(&starter).await;
            error("it lived on")
        });
        assert_eq!(next_down(ctx).await, error("no"));
    });
}

#[test]
fn otp_11_a_linked_starter_that_traps_gets_the_reason_and_the_exit() {
    one_node(async |ctx: &Context<String>| {
        ctx.trap_exit(true);
        let plan = Plan::new(ctx.address()).init(Init::Fails(error("no")));
        let started = Server::<Probe>::with(plan).start_link(ctx).await;
        assert_eq!(started, Err(StartError::Failed(error("no"))));
        assert_eq!(next_exit(ctx).await.1, error("no"));
        nothing_comes(ctx).await;
    });
}

#[test]
fn otp_11_a_server_killed_in_its_init_tells_the_starter_so() {
    one_node(async |ctx: &Context<String>| {
        let plan = Plan::new(ctx.address()).init(Init::Takes(secs(5)));
        let node = ctx.node();
        ctx.spawn(move |killer: Context| async move {
            killer.sleep(millis(1)).await;
            let server = killer.whereis("server").expect("it is in its init");
            assert_eq!(server.node(), node);
            killer.send_exit(server, ExitReason::Kill);
        });
        let started = Server::<Probe>::with(plan).name("server").start(ctx).await;
        assert_eq!(started, Err(StartError::Failed(ExitReason::Killed)));
        assert_eq!(ctx.whereis("server"), None);
    });
}
