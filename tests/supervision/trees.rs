//! A node that boots drawn trees, one after the other, and somebody on it who meddles with them.

use netsplit::otp::process;
use netsplit::{
    AutoShutdown, BackOff, ChildSpec, Context, DynamicSupervisor, ExitReason, Faults, Flow,
    GenServer, Info, Message, Pid, Received, Refusal, Restart, Scenario, Server, Shutdown,
    Supervisor, SupervisorRef, child, millis, secs,
};
use serde::{Deserialize, Serialize};
use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

/// Drawn trees on two nodes, under these faults.
pub(crate) fn scenario(faults: Faults) -> Scenario {
    Scenario::new("trees")
        .node("n", trees)
        .node("m", trees)
        .faults(faults)
        .horizon(secs(10))
        .finally("ends", |_| true)
}

fn drawn_time<M: Message>(ctx: &Context<M>, most_ms: u64) -> Duration {
    millis(ctx.random_below(most_ms + 1))
}

fn drawn_reason<M: Message>(ctx: &Context<M>) -> ExitReason {
    match ctx.random_below(5) {
        0 => ExitReason::Normal,
        1 => ExitReason::Shutdown,
        2 => ExitReason::ShutdownWith("drawn".to_owned()),
        3 => ExitReason::Kill,
        _ => ExitReason::error("drawn"),
    }
}

/// How many supervisors, dynamic supervisors and leaves a node has had: they are named by numbers.
#[derive(Clone, Default)]
struct Counts {
    supervisors: Rc<Cell<u64>>,
    pools: Rc<Cell<u64>>,
    leaves: Rc<Cell<u64>>,
}

fn next(count: &Cell<u64>) -> u64 {
    count.replace(count.get() + 1)
}

/// The first process of a node: starts a tree, and another when that has ended.
async fn trees(ctx: Context) -> ExitReason {
    ctx.trap_exit(true);
    let counts = Counts::default();
    for _ in 0..2 {
        let counts = counts.clone();
        ctx.spawn(move |ctx| meddles(ctx, counts));
    }
    loop {
        let tree = drawn_tree(&ctx, 0, &counts).start_link(&ctx).await;
        let tree = tree.ok().and_then(|tree| tree.pid());
        let over = loop {
            match ctx.receive_within(millis(500)).await {
                Some(Received::Info(Info::Exit { from, .. })) if Some(from) == tree => break None,
                Some(Received::Info(Info::Exit { from, reason })) if from == Pid::NOBODY => {
                    break Some(reason);
                }
                None if tree.is_none() => break None,
                _ => {}
            }
        };
        if let Some(reason) = over {
            if let Some(tree) = tree {
                ctx.send_exit(tree, ExitReason::Shutdown);
                let is_it = |info: &Info| matches!(info, Info::Exit { from, .. } if *from == tree);
                ctx.receive_info(is_it).await;
            }
            return reason;
        }
    }
}

fn drawn_tree<M: Message>(ctx: &Context<M>, depth: u64, counts: &Counts) -> Supervisor {
    let name = format!("s{}", next(&counts.supervisors));
    let mut tree = match ctx.random_below(3) {
        0 => Supervisor::one_for_one(),
        1 => Supervisor::one_for_all(),
        _ => Supervisor::rest_for_one(),
    };
    let intensity = ctx.random_below(6) as u32;
    tree = tree.intensity(intensity, millis(50) + drawn_time(ctx, 3_000));
    let auto = match ctx.random_below(4) {
        0 => AutoShutdown::AnySignificant,
        1 => AutoShutdown::AllSignificant,
        _ => AutoShutdown::Never,
    };
    tree = tree.auto_shutdown(auto);
    if ctx.random_below(3) == 0 {
        tree = tree.back_off(BackOff::new(drawn_time(ctx, 20), drawn_time(ctx, 200)));
    }
    for _ in 0..ctx.random_below(5) {
        let spec = match ctx.random_below(6) {
            0 if depth < 2 => {
                let inner = drawn_tree(ctx, depth + 1, counts);
                child(&format!("t{}", next(&counts.leaves)), move || inner.clone())
            }
            1 => {
                let pool = drawn_pool(ctx, counts);
                child(&format!("p{}", next(&counts.leaves)), move || pool.clone())
            }
            2 => child(&format!("l{}", next(&counts.leaves)), || process(plain)),
            _ => leaf(counts, &name),
        };
        tree = tree.child(drawn_kind(ctx, spec, auto != AutoShutdown::Never));
    }
    tree.name(&name)
}

fn drawn_pool<M: Message>(ctx: &Context<M>, counts: &Counts) -> DynamicSupervisor<u64> {
    let name = format!("d{}", next(&counts.pools));
    let supervisor = name.clone();
    let mut pool = DynamicSupervisor::new(move |id: u64| works(&format!("x{id}"), &supervisor))
        .intensity(
            ctx.random_below(4) as u32,
            millis(50) + drawn_time(ctx, 3_000),
        )
        .restart(drawn_restart(ctx))
        .shutdown(drawn_shutdown(ctx));
    if ctx.random_below(3) == 0 {
        pool = pool.back_off(BackOff::new(drawn_time(ctx, 20), drawn_time(ctx, 200)));
    }
    pool.name(&name)
}

fn drawn_restart<M: Message>(ctx: &Context<M>) -> Restart {
    let all = [
        Restart::Permanent,
        Restart::Permanent,
        Restart::Transient,
        Restart::Temporary,
    ];
    all[ctx.random_below(4) as usize]
}

fn drawn_shutdown<M: Message>(ctx: &Context<M>) -> Shutdown {
    match ctx.random_below(3) {
        0 => Shutdown::BrutalKill,
        1 => Shutdown::Infinity,
        _ => Shutdown::Within(drawn_time(ctx, 50)),
    }
}

fn drawn_kind<M: Message>(ctx: &Context<M>, spec: ChildSpec, significant: bool) -> ChildSpec {
    let restart = drawn_restart(ctx);
    let spec = spec.restart(restart).shutdown(drawn_shutdown(ctx));
    if significant && restart != Restart::Permanent && ctx.random_below(2) == 0 {
        return spec.significant();
    }
    spec
}

/// Ends after some time, for some reason.
async fn plain(ctx: Context) -> ExitReason {
    ctx.trap_exit(ctx.random_below(2) == 0);
    ctx.sleep(drawn_time(&ctx, 1_000)).await;
    drawn_reason(&ctx)
}

/// A leaf of this supervisor.
fn leaf(counts: &Counts, supervisor: &str) -> ChildSpec {
    let id = format!("l{}", next(&counts.leaves));
    let supervisor = supervisor.to_owned();
    child(&id.clone(), move || works(&id, &supervisor))
}

/// A server of this name, which knows its supervisor.
fn works(name: &str, supervisor: &str) -> Server<Works> {
    let server = Server::with(supervisor.to_owned());
    server.name(name).start_timeout(millis(50))
}

/// What a leaf does: fails, hangs or begins, and ends some time in some way.
struct Works {
    supervisor: String,
    ends_after: Duration,
}

impl GenServer for Works {
    type Args = String;
    type Message = ();

    async fn init(supervisor: String, ctx: &mut Context<()>) -> Result<Works, Refusal> {
        ctx.trap_exit(ctx.random_below(3) > 0);
        match ctx.random_below(40) {
            0..3 => return Err(Refusal::Ignore),
            3..6 => return Err(drawn_reason(ctx).into()),
            6 => panic!("drawn"),
            7 => ctx.sleep(secs(1)).await,
            8..12 => ctx.sleep(drawn_time(ctx, 40)).await,
            12 => ctx.address().send(()),
            _ => {}
        }
        for _ in 0..ctx.random_below(3) {
            ctx.send_after(ctx.address(), (), drawn_time(ctx, 3_000));
        }
        let ends_after = drawn_time(ctx, 60);
        Ok(Works {
            supervisor,
            ends_after,
        })
    }

    async fn handle(&mut self, (): (), ctx: &mut Context<()>) -> Flow {
        match ctx.random_below(8) {
            0 => {
                if let Some(supervisor) = ctx.whereis(&self.supervisor) {
                    ctx.unlink(supervisor);
                }
                Flow::Next
            }
            1 => panic!("drawn"),
            2 => {
                ctx.sleep(drawn_time(ctx, 100)).await;
                Flow::Next
            }
            _ => Flow::Stop(drawn_reason(ctx)),
        }
    }

    async fn terminate(&mut self, _: &ExitReason, ctx: &mut Context<()>) {
        ctx.sleep(self.ends_after).await;
    }
}

/// What somebody asks a supervisor for.
#[derive(Clone, Debug, Serialize, Deserialize)]
enum Ask {
    Terminate(String),
    Restart(String),
    Delete(String),
    Start,
    Exit(Pid, ExitReason),
}

/// Asks drawn supervisors of its node for drawn things, each from a process of its own, since some wait long.
async fn meddles(ctx: Context, counts: Counts) {
    loop {
        ctx.sleep(drawn_time(&ctx, 300)).await;
        let counts = counts.clone();
        ctx.spawn(async move |ctx: Context| match ctx.random_below(4) {
            0 => meddles_with_pool(&ctx, &counts).await,
            _ => meddles_with_tree(&ctx, &counts).await,
        });
    }
}

async fn meddles_with_tree(ctx: &Context, counts: &Counts) {
    let name = format!("s{}", ctx.random_below(counts.supervisors.get().max(1)));
    let tree = SupervisorRef::at(ctx.node(), &name);
    let Ok(children) = tree.which_children().await else {
        return;
    };
    let asks = match children.len() as u64 {
        0 => Ask::Start,
        many => {
            let child = &children[ctx.random_below(many) as usize];
            let (id, pid) = (child.id.clone(), child.pid.unwrap_or(ctx.pid()));
            match ctx.random_below(6) {
                0 => Ask::Terminate(id),
                1 => Ask::Restart(id),
                2 => Ask::Delete(id),
                3 => Ask::Start,
                _ => Ask::Exit(pid, drawn_reason(ctx)),
            }
        }
    };
    // What comes of it is drawn as well.
    match asks {
        Ask::Terminate(id) => drop(tree.terminate_child(&id).await),
        Ask::Restart(id) => drop(tree.restart_child(&id).await),
        Ask::Delete(id) => drop(tree.delete_child(&id).await),
        Ask::Exit(pid, reason) => ctx.send_exit(pid, reason),
        Ask::Start => drop(
            tree.start_child(drawn_kind(ctx, leaf(counts, &name), false))
                .await,
        ),
    }
}

async fn meddles_with_pool(ctx: &Context, counts: &Counts) {
    let name = format!("d{}", ctx.random_below(counts.pools.get().max(1)));
    let pool = netsplit::DynamicSupervisorRef::<u64>::at(ctx.node(), &name);
    for _ in 0..ctx.random_below(4) {
        let _ = pool.start_child(next(&counts.leaves)).await;
    }
    if let Ok(children) = pool.which_children().await
        && let Some(pid) = children.first().and_then(|child| child.pid)
    {
        match ctx.random_below(3) {
            0 => drop(pool.terminate_child(pid).await),
            1 => ctx.send_exit(pid, drawn_reason(ctx)),
            _ => {}
        }
    }
}
