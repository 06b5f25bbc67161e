//! `sys`: looking into behaviours while they run. OTP's module of this name is what it follows.

use super::*;
use netsplit::otp::process;
use netsplit::otp::sys::{self, StateError};
use netsplit::{
    Address, CallError, Event, ExitReason, Flow, GenServer, GenStatem, Initial, Never, Refusal,
    ReplyTo, Server, StateMachine, Supervisor, Transition, child, report,
};
use serde::{Deserialize, Serialize};

/// Keeps what it is sent.
#[derive(Debug, PartialEq, Eq)]
struct Till {
    sold: Vec<u32>,
    timeouts: u32,
}

#[derive(Debug, Serialize, Deserialize)]
enum ToTill {
    Sell(u32),
    /// Sells after so many milliseconds, and takes nothing else meanwhile.
    SellAfter(u32, u64),
    /// Waits for the next message, so many milliseconds at most.
    Within(u64),
    Sold(ReplyTo<Vec<u32>>),
    Stop,
}

impl GenServer for Till {
    type Args = ();
    type Message = ToTill;

    async fn init(_: (), ctx: &mut Context<ToTill>) -> Result<Till, Refusal> {
        ctx.trap_exit(true);
        Ok(Till {
            sold: Vec::new(),
            timeouts: 0,
        })
    }

    async fn handle(&mut self, message: ToTill, ctx: &mut Context<ToTill>) -> Flow {
        match message {
            ToTill::Sell(apples) => self.sold.push(apples),
            ToTill::SellAfter(apples, after) => {
                ctx.sleep(millis(after)).await;
                self.sold.push(apples);
            }
            ToTill::Within(timeout) => return Flow::NextWithin(millis(timeout)),
            ToTill::Sold(reply_to) => reply_to.reply(self.sold.clone()),
            ToTill::Stop => return Flow::Stop(ExitReason::Normal),
        }
        Flow::Next
    }

    async fn handle_info(&mut self, info: Info, _: &mut Context<ToTill>) -> Flow {
        if info == Info::Timeout {
            self.timeouts += 1;
        }
        Flow::Next
    }

    async fn terminate(&mut self, _: &ExitReason, ctx: &mut Context<ToTill>) {
        ctx.count("terminated");
    }

    fn format_status(&self) -> String {
        format!("{self:?}")
    }
}

async fn till<M: Message>(ctx: &Context<M>) -> Address<ToTill> {
    Server::<Till>::with(())
        .name("till")
        .start(ctx)
        .await
        .expect("it starts")
}

async fn sold(till: Address<ToTill>) -> Vec<u32> {
    let sold = sys::get_state(till, |till: &Till| till.sold.clone(), secs(5));
    sold.await.expect("it answers")
}

#[test]
fn sys_a_state_is_read_in_its_turn_among_the_messages() {
    one_node(async |ctx: &Context| {
        let till = till(ctx).await;
        till.send(ToTill::Sell(1));
        till.send(ToTill::SellAfter(2, 20));
        // Behind a handler that waits, and before what is sent later.
        let asked = ctx.now();
        let (first, ()) = futures::join!(sold(till), async {
            till.send(ToTill::Sell(3));
        });
        assert_eq!(first, [1, 2]);
        assert_eq!(ctx.now().since(asked), millis(20));
        assert_eq!(sold(till).await, [1, 2, 3]);
    });
}

#[test]
fn sys_a_status_tells_what_a_behaviour_is() {
    one_node(async |ctx: &Context| {
        let till = till(ctx).await;
        till.send(ToTill::Sell(7));
        let status = sys::status(till, secs(5)).await.expect("it answers");
        assert_eq!(Some(status.pid), till.pid());
        assert_eq!(status.name.as_deref(), Some("till"));
        assert_eq!(status.behaviour, "GenServer");
        assert_eq!(status.parent, None);
        assert!(!status.suspended);
        assert_eq!(status.mailbox, 0);
        assert_eq!(status.state, "Till { sold: [7], timeouts: 0 }");
    });
}

#[test]
fn sys_statistics_count_messages_answers_and_steps() {
    one_node(async |ctx: &Context| {
        ctx.sleep(secs(2)).await;
        let till = till(ctx).await;
        let before = sys::statistics(till, secs(5)).await.expect("it answers");
        assert_eq!(before.messages_in, 0);
        ctx.sleep(secs(1)).await;
        till.send(ToTill::Sell(1));
        let sold = till.call(ToTill::Sold, secs(5)).await.expect("it answers");
        assert_eq!(sold, [1]);
        let after = sys::statistics(till, secs(5)).await.expect("it answers");
        assert_eq!(after.began, before.began);
        assert_eq!(after.began.as_nanos(), 2_000_000_000);
        assert_eq!(after.now.since(before.now), secs(1));
        assert_eq!(after.messages_in, 2);
        // The first statistics, and what was sold.
        assert_eq!(after.messages_out - before.messages_out, 2);
        assert!(after.steps > before.steps);
    });
}

#[test]
fn sys_a_suspended_server_answers_system_messages_only_and_loses_nothing() {
    one_node(async |ctx: &Context| {
        let till = till(ctx).await;
        sys::suspend(till, secs(5)).await.expect("it answers");
        for apples in 0..5 {
            till.send(ToTill::Sell(apples));
        }
        let asked = till.call(ToTill::Sold, secs(1)).await;
        assert_eq!(asked, Err(CallError::Timeout));
        assert!(sold(till).await.is_empty());
        let status = sys::status(till, secs(5)).await.expect("it answers");
        assert!(status.suspended);
        assert_eq!(status.mailbox, 6);
        sys::suspend(till, secs(5))
            .await
            .expect("once more is once");
        sys::resume(till, secs(5)).await.expect("it answers");
        assert_eq!(sold(till).await, [0, 1, 2, 3, 4]);
    });
}

#[test]
fn sys_a_return_timeout_that_is_over_while_suspended_comes_afterwards() {
    one_node(async |ctx: &Context| {
        let timeouts = |till| sys::get_state(till, |till: &Till| till.timeouts, secs(5));
        let till = till(ctx).await;
        till.send(ToTill::Within(10));
        sys::suspend(till, secs(5)).await.expect("it answers");
        ctx.sleep(secs(1)).await;
        assert_eq!(timeouts(till).await, Ok(0));
        sys::resume(till, secs(5)).await.expect("it answers");
        settle(ctx).await;
        assert_eq!(timeouts(till).await, Ok(1));
        // A system message is no message that would cancel it.
        till.send(ToTill::Within(10));
        assert_eq!(timeouts(till).await, Ok(1));
        ctx.sleep(millis(10)).await;
        settle(ctx).await;
        assert_eq!(timeouts(till).await, Ok(2));
        // One that has come meanwhile does.
        till.send(ToTill::Within(10));
        sys::suspend(till, secs(5)).await.expect("it answers");
        ctx.sleep(secs(1)).await;
        till.send(ToTill::Sell(1));
        sys::resume(till, secs(5)).await.expect("it answers");
        settle(ctx).await;
        assert_eq!(timeouts(till).await, Ok(2));
    });
}

#[test]
fn sys_a_suspended_server_ends_with_its_parent() {
    one_node(async |ctx: &Context| {
        let parent = ctx.spawn(|ctx: Context<ReplyTo<Address<ToTill>>>| async move {
            let till = Server::<Till>::with(()).start_link(&ctx).await;
            let reply_to = ctx.receive_message().await;
            reply_to.reply(till.expect("it starts"));
            ctx.sleep(secs(1)).await;
        });
        let till = parent
            .call(|reply_to| reply_to, secs(5))
            .await
            .expect("it answers");
        sys::suspend(till, secs(5)).await.expect("it answers");
        till.send(ToTill::Sell(1));
        let monitor = ctx.monitor(till.pid().expect("a pid"));
        let down =
            ctx.receive_info(|info| matches!(info, Info::Down { monitor: m, .. } if *m == monitor));
        assert!(matches!(
            down.await,
            Info::Down {
                reason: ExitReason::Normal,
                ..
            }
        ));
    });
}

#[test]
fn sys_a_state_is_replaced_and_the_server_goes_on_with_it() {
    one_node(async |ctx: &Context| {
        let till = till(ctx).await;
        let replace = |till: &mut Till| std::mem::replace(&mut till.sold, vec![9]);
        till.send(ToTill::Sell(1));
        assert_eq!(
            sys::replace_state(till, replace, secs(5)).await,
            Ok(vec![1])
        );
        till.send(ToTill::Sell(2));
        assert_eq!(sold(till).await, [9, 2]);
    });
}

#[test]
fn sys_what_cannot_be_done_is_an_error_that_says_why() {
    one_node(async |ctx: &Context| {
        let till = till(ctx).await;
        let other = sys::get_state(till, |_: &u32| (), secs(5)).await;
        assert_eq!(other, Err(StateError::OtherType));
        let panics = |till: &mut Till| -> u32 {
            till.sold.push(1);
            panic!("no")
        };
        let panicked = sys::replace_state(till, panics, secs(5)).await;
        assert_eq!(panicked, Err(StateError::Panicked("no".to_owned())));
        // It lives on, with the state as the panic left it.
        assert_eq!(sold(till).await, [1]);
        // A plain process answers nothing, whatever it takes, and lives on.
        let plain = ctx.spawn(idle::<u32>);
        let status = sys::status(plain, secs(1)).await;
        assert_eq!(status, Err(CallError::Timeout));
        assert!(ctx.is_alive(plain.pid().expect("a pid")));
        let itself = sys::status(ctx.address(), secs(1)).await;
        assert_eq!(itself, Err(CallError::CallingSelf));
        till.send(ToTill::Stop);
        let late = sys::suspend(till, secs(1)).await;
        assert_eq!(late, Err(CallError::Exit(ExitReason::Normal)));
        assert_eq!(sys::resume(till, secs(1)).await, Err(CallError::NoProc));
    });
}

#[test]
fn sys_a_handler_that_waits_is_not_disturbed() {
    one_node(async |ctx: &Context| {
        let till = till(ctx).await;
        till.send(ToTill::SellAfter(1, 2_000));
        let status = sys::status(till, secs(1)).await;
        assert_eq!(status, Err(CallError::Timeout));
        // It was answered in its turn, and nobody waited any more.
        ctx.sleep(secs(2)).await;
        assert_eq!(sold(till).await, [1]);
    });
}

#[test]
fn sys_a_trace_notes_what_a_server_takes_and_what_follows() {
    let outcomes = one_node(async |ctx: &Context| {
        let till = till(ctx).await;
        till.send(ToTill::Sell(1));
        sys::trace(till, true, secs(5)).await.expect("it answers");
        till.send(ToTill::Sell(2));
        till.send(ToTill::Within(10));
        ctx.sleep(millis(20)).await;
        sys::trace(till, false, secs(5)).await.expect("it answers");
        till.send(ToTill::Sell(3));
        assert_eq!(sold(till).await, [1, 2, 3]);
    });
    for outcome in outcomes {
        let log = outcome.log.as_ref().expect("it was kept");
        let lines = report::trace::lines(log, &outcome.names);
        let notes = lines.iter().filter_map(|line| line.split_once("notes: "));
        let notes: Vec<&str> = notes.map(|(_, note)| note).collect();
        let expected = [
            "sys: takes Sell(2)",
            "sys: then Next",
            "sys: takes Within(10)",
            "sys: then NextWithin(10ms)",
            "sys: takes Timeout",
            "sys: then Next",
        ];
        assert_eq!(notes, expected);
    }
}

#[test]
fn sys_what_is_data_goes_between_nodes_and_code_stays_where_it_is() {
    let scenario = Scenario::new("two nodes").node("shop", |ctx: Context<ToTill>| {
        Server::<Till>::with(()).name("till").run(ctx)
    });
    with_client(scenario, async |ctx: &Context| {
        let till = Address::<ToTill>::named("shop", "till");
        settle(ctx).await;
        till.send(ToTill::Sell(1));
        sys::suspend(till, secs(5)).await.expect("it answers");
        till.send(ToTill::Sell(2));
        let status = sys::status(till, secs(5)).await.expect("it answers");
        assert_eq!(status.state, "Till { sold: [1], timeouts: 0 }");
        assert_eq!((status.suspended, status.mailbox), (true, 1));
        assert_eq!(status.parent, Some(Pid::NOBODY));
        let statistics = sys::statistics(till, secs(5)).await.expect("it answers");
        assert_eq!(statistics.messages_in, 1);
        sys::resume(till, secs(5)).await.expect("it answers");
        let sold = till.call(ToTill::Sold, secs(5)).await;
        assert_eq!(sold, Ok(vec![1, 2]));
        let state = sys::get_state(till, |till: &Till| till.timeouts, secs(5)).await;
        let shop = ctx.node_named("shop").expect("a node");
        assert_eq!(state, Err(StateError::OtherNode(shop)));
    });
}

#[test]
fn sys_a_suspended_supervisor_restarts_nobody_before_it_goes_on() {
    one_node(async |ctx: &Context| {
        let worker = async |ctx: Context<u32>| {
            ctx.register("worker").expect("a free name");
            ctx.receive().await;
        };
        let tree = Supervisor::one_for_one().child(child("worker", move || process(worker)));
        let tree = tree.start(ctx).await.expect("it starts");
        settle(ctx).await;
        let status = sys::status(tree, secs(5)).await.expect("it answers");
        assert_eq!(status.behaviour, "Supervisor");
        assert_eq!(status.state, "1 child, 1 active");
        sys::suspend(tree, secs(5)).await.expect("it answers");
        let worker = ctx.whereis("worker").expect("it runs");
        ctx.send_exit(worker, ExitReason::Kill);
        settle(ctx).await;
        assert_eq!(ctx.whereis("worker"), None);
        sys::resume(tree, secs(5)).await.expect("it answers");
        settle(ctx).await;
        assert!(ctx.whereis("worker").is_some_and(|pid| pid != worker));
    });
}

/// A door that counts how often it was opened.
struct Door {
    opened: u32,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum DoorState {
    Open,
    Shut,
}

impl GenStatem for Door {
    type Args = ();
    type Message = bool;
    type Internal = Never;
    type State = DoorState;
    type Name = Never;

    async fn init(_: (), _: &mut Context<bool>) -> Result<(Door, Initial<Door>), Refusal> {
        Ok((Door { opened: 0 }, Initial::state(DoorState::Shut)))
    }

    async fn handle(
        &mut self,
        event: Event<Door>,
        _: &DoorState,
        _: &mut Context<bool>,
    ) -> Transition<Door> {
        match event {
            Event::External(true) => {
                self.opened += 1;
                Transition::next(DoorState::Open).state_timeout(millis(10))
            }
            Event::External(false) | Event::StateTimeout => Transition::next(DoorState::Shut),
            _ => Transition::keep(),
        }
    }
}

#[test]
fn sys_a_state_machine_is_read_suspended_and_goes_on() {
    one_node(async |ctx: &Context| {
        let door = StateMachine::<Door>::with(())
            .start(ctx)
            .await
            .expect("it starts");
        door.send(true);
        let read = |door: &Door, state: &DoorState| (door.opened, state.clone());
        let seen = sys::get_machine(door, read, secs(5)).await;
        assert_eq!(seen, Ok((1, DoorState::Open)));
        sys::suspend(door, secs(5)).await.expect("it answers");
        // Its timer goes off, and is taken when it goes on.
        ctx.sleep(secs(1)).await;
        let status = sys::status(door, secs(5)).await.expect("it answers");
        assert_eq!(
            (status.behaviour.as_str(), status.state.as_str()),
            ("GenStatem", "Open")
        );
        sys::resume(door, secs(5)).await.expect("it answers");
        settle(ctx).await;
        let seen = sys::get_machine(door, read, secs(5)).await;
        assert_eq!(seen, Ok((1, DoorState::Shut)));
        let other = sys::get_state(door, |_: &Till| (), secs(5)).await;
        assert_eq!(other, Err(StateError::OtherType));
    });
}
