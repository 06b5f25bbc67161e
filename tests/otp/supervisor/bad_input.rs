//! Bad input: an error as a value, from every way to start a supervisor, and no process is made.

use super::{abc, error, one_node, states, told, worker};
use netsplit::{
    AutoShutdown, CallError, ChildError, ChildSpec, Context, ExitReason, Scenario, SpecError,
    StartError, Supervisor, SupervisorRef, child, millis, secs,
};

/// Every way to start this tree gives this error, and starts nothing.
async fn is_refused(ctx: &Context<String>, tree: Supervisor, why: SpecError) {
    ctx.trap_exit(true);
    assert_eq!(tree.check(), Err(why.clone()));
    let refused = Err(StartError::Spec(why.clone()));
    assert_eq!(tree.clone().start(ctx).await, refused);
    assert_eq!(tree.clone().start_link(ctx).await, refused);
    let as_child = Supervisor::one_for_one().child({
        let tree = tree.clone();
        child("inner", move || tree.clone())
    });
    let reason = format!("failed_to_start_child(inner, {why})");
    let reason = StartError::Failed(ExitReason::ShutdownWith(reason));
    assert_eq!(as_child.start(ctx).await, Err(reason));
    let (_, _monitor) = ctx.spawn_monitor(|ctx| tree.run(ctx));
    assert_eq!(super::next_down(ctx).await, error(&why.to_string()));
    assert_eq!(told(ctx).await, "");
}

/// This child is refused by a supervisor that runs, too.
async fn is_refused_later(ctx: &Context<String>, spec: ChildSpec, why: SpecError) {
    let tree = super::start(ctx, Supervisor::one_for_one()).await;
    assert_eq!(tree.start_child(spec).await, Err(ChildError::Spec(why)));
    assert_eq!(states(tree).await, "");
}

#[test]
fn otp_14_two_children_of_one_id_are_refused() {
    one_node(async |ctx: &Context<String>| {
        let tree = abc(ctx, Supervisor::one_for_one()).child(worker(ctx, "b").spec());
        is_refused(ctx, tree, SpecError::DuplicateId("b".to_owned())).await;
    });
}

#[test]
fn otp_16_an_intensity_without_a_period_is_refused() {
    one_node(async |ctx: &Context<String>| {
        let tree = Supervisor::one_for_one().intensity(3, secs(0));
        is_refused(ctx, tree, SpecError::NoPeriod).await;
    });
}

#[test]
fn otp_21_a_permanent_child_cannot_be_significant() {
    one_node(async |ctx: &Context<String>| {
        for auto in [AutoShutdown::Never, AutoShutdown::AnySignificant] {
            let spec = worker(ctx, "a").spec().significant();
            let why = SpecError::PermanentSignificant("a".to_owned());
            let tree = Supervisor::one_for_one().auto_shutdown(auto);
            is_refused(ctx, tree.child(spec.clone()), why.clone()).await;
            is_refused_later(ctx, spec, why).await;
        }
    });
}

#[test]
fn otp_21_a_significant_child_needs_a_supervisor_that_shuts_itself_down() {
    one_node(async |ctx: &Context<String>| {
        let spec = worker(ctx, "a").spec().transient().significant();
        let why = SpecError::NoAutoShutdown("a".to_owned());
        is_refused(
            ctx,
            Supervisor::one_for_one().child(spec.clone()),
            why.clone(),
        )
        .await;
        is_refused_later(ctx, spec, why).await;
    });
}

#[test]
fn otp_08_a_supervisor_that_asks_itself_gets_calling_self() {
    one_node(async |ctx: &Context<String>| {
        // A child's maker runs in the supervisor's own process.
        let told_to = ctx.address();
        let tree = Supervisor::one_for_one()
            .name("tree")
            .child(child("a", move || AsksItsStarter(told_to)));
        super::start(ctx, tree).await;
        assert_eq!(told(ctx).await, "Err(CallingSelf)");
    });
}

/// Something to start that asks its own starter for its children.
struct AsksItsStarter(netsplit::Address<String>);

impl netsplit::Startable for AsksItsStarter {
    type Message = u64;

    fn begin<M: netsplit::Message>(self, starter: &Context<M>) -> netsplit::otp::Starting<u64> {
        netsplit::otp::Starting::by(starter, |starter: Context| async move {
            let own = SupervisorRef::of(starter.pid());
            self.0.send(format!("{:?}", own.which_children().await));
            Ok(starter.spawn_link(super::idle::<u64>))
        })
    }
}

/// A child that asks its supervisor for its children before it counts as started.
struct AsksInInit;

impl netsplit::GenServer for AsksInInit {
    type Args = ();
    type Message = u64;

    async fn init((): (), ctx: &mut Context<u64>) -> Result<Self, netsplit::Refusal> {
        ctx.register("asks").expect("a free name");
        let tree = ctx.whereis("tree").expect("the supervisor has its name");
        SupervisorRef::of(tree).which_children().await?;
        Ok(AsksInInit)
    }

    async fn handle(&mut self, _: u64, _: &mut Context<u64>) -> netsplit::Flow {
        netsplit::Flow::Next
    }
}

fn asks_in_init() -> netsplit::Server<AsksInInit> {
    netsplit::Server::with(())
}

#[test]
fn otp_14_a_child_that_asks_its_supervisor_in_its_init_is_a_deadlock_that_is_named() {
    let scenario = Scenario::new("deadlock")
        .node("n", |ctx| {
            let tree = Supervisor::one_for_one().name("tree");
            tree.child(child("asks", asks_in_init)).run(ctx)
        })
        .horizon(secs(60))
        .finally("they wait for each other", |view| {
            let ring = view.call_cycle().unwrap_or_default();
            let named = ["tree", "asks"].map(|name| view.whereis("n", name).expect("it waits"));
            ring.len() >= 2 && named.iter().all(|pid| ring.contains(pid))
        });
    crate::all_seeds(&scenario);
}

#[test]
fn otp_14_a_deadlock_of_an_init_ends_with_the_time_that_a_start_may_take() {
    one_node(async |ctx: &Context<String>| {
        let asks = child("asks", || asks_in_init().start_timeout(millis(50)));
        let tree = Supervisor::one_for_one().name("tree").child(asks);
        let reason = format!("failed_to_start_child(asks, {})", StartError::Timeout);
        let reason = StartError::Failed(ExitReason::ShutdownWith(reason));
        assert_eq!(tree.start(ctx).await, Err(reason));
        assert_eq!(["tree", "asks"].map(|name| ctx.whereis(name)), [None; 2]);
    });
}

#[test]
fn otp_08_errors_of_requests_become_exit_reasons_that_say_what_was_wrong() {
    let reasons: [(ChildError, ExitReason); 3] = [
        (ChildError::NotFound, error("it has no such child")),
        (ChildError::Call(CallError::NoProc), ExitReason::NoProc),
        (
            ChildError::Start(StartError::Failed(ExitReason::Shutdown)),
            ExitReason::Shutdown,
        ),
    ];
    for (error, reason) in reasons {
        assert_eq!(ExitReason::from(error), reason);
    }
}
