//! Rule 23: names. The same as `names.erl`.

use super::probe::{Ask, Plan, call, probe};
use super::tree::{kill, say_children, start, stop};
use super::{await_end, nothing, ready};
use crate::common::idle;
use netsplit::otp::{Supervisor, child};
use netsplit::{Address, Context, ExitReason, Message, Pid};

cases! { "names":
    otp_23_a_name_has_one_holder,
    otp_23_a_process_has_one_name,
    otp_23_a_name_given_back_can_be_taken_again,
    otp_23_a_name_is_free_on_every_way_out,
    otp_23_one_of_two_takes_a_name,
    otp_23_a_name_stays_good_across_restarts,
    otp_23_what_is_sent_to_a_name_that_nobody_has_is_no_error,
    otp_23_the_name_of_a_restarted_child_is_free_for_it,
}

type Client = Context<String>;

/// Takes a name, and says whether it could.
fn take<M: Message>(ctx: &Context<M>, name: &str) {
    match ctx.register(name) {
        Ok(()) => say!(ctx, "{name}: taken"),
        Err(_) => say!(ctx, "{name}: refused"),
    }
}

/// A process that has taken this name.
async fn holder(ctx: &Client, name: &'static str) -> Pid {
    let me = ctx.address();
    let holder = ctx.spawn(move |holder: Context| async move {
        take(&holder, name);
        me.send("ready".to_owned());
        idle(holder).await;
    });
    ready(ctx).await;
    holder.pid().expect("a spawned process has a pid")
}

async fn otp_23_a_name_has_one_holder(ctx: &Client) {
    let holder = holder(ctx, "names_one").await;
    take(ctx, "names_one");
    say!(
        ctx,
        "held by the first: {}",
        ctx.whereis("names_one") == Some(holder)
    );
}

async fn otp_23_a_process_has_one_name(ctx: &Client) {
    take(ctx, "names_a");
    take(ctx, "names_a");
    take(ctx, "names_b");
    say!(ctx, "free: {}", ctx.whereis("names_b").is_none());
}

async fn otp_23_a_name_given_back_can_be_taken_again(ctx: &Client) {
    take(ctx, "names_back");
    ctx.unregister();
    holder(ctx, "names_back").await;
    take(ctx, "names_other");
}

async fn otp_23_a_name_is_free_on_every_way_out(ctx: &Client) {
    for way in 0..4 {
        let child = ctx.spawn(move |child: Context| async move {
            take(&child, "names_out");
            match way {
                0 => {}
                1 => return ExitReason::Shutdown,
                2 => {
                    child.send_exit(child.pid(), ExitReason::Kill);
                    idle(child).await;
                }
                _ => panic!("boom"),
            }
            ExitReason::Normal
        });
        await_end(ctx, child.pid().unwrap()).await;
        say!(ctx, "free: {}", ctx.whereis("names_out").is_none());
    }
}

async fn otp_23_one_of_two_takes_a_name(ctx: &Client) {
    let me = ctx.address();
    for word in ["one", "two"] {
        ctx.spawn(move |child: Context| async move {
            if child.register("names_race").is_ok() {
                say!(&child, "{word} has it");
            }
            me.send("ready".to_owned());
            idle(child).await;
        });
    }
    ready(ctx).await;
    ready(ctx).await;
}

async fn otp_23_a_name_stays_good_across_restarts(ctx: &Client) {
    ctx.trap_exit(true);
    let named = || probe("names_server", Plan::default()).name("names_server");
    let tree = start(ctx, Supervisor::one_for_one().child(child("a", named))).await;
    let server = Address::at(ctx.node(), "names_server");
    call(ctx, server, Ask::Get).await;
    let first = ctx.whereis("names_server");
    kill(ctx, tree, "a").await;
    call(ctx, server, Ask::Get).await;
    say!(
        ctx,
        "it is another: {}",
        ctx.whereis("names_server") != first
    );
    stop(ctx, tree).await;
}

async fn otp_23_what_is_sent_to_a_name_that_nobody_has_is_no_error(ctx: &Client) {
    Address::at(ctx.node(), "names_nobody").send("message".to_owned());
    nothing(ctx).await;
}

async fn otp_23_the_name_of_a_restarted_child_is_free_for_it(ctx: &Client) {
    ctx.trap_exit(true);
    let named = |id, name| child(id, move || probe(name, Plan::default()).name(name));
    let children = Supervisor::one_for_all().child(named("a", "names_first"));
    let tree = start(ctx, children.child(named("b", "names_second"))).await;
    kill(ctx, tree, "a").await;
    say_children(ctx, tree).await;
    stop(ctx, tree).await;
}
