//! What a property can see of a run. Looking changes nothing.

use super::observe::Snapshot;
use crate::check::Misdelivery;
use crate::kernel::Time;
use crate::otp::{Desk, GenStatem, Machine};
use crate::process::{Target, Waiting, with};
use crate::trace::{DeadReason, Name, NodeId, Pid, Totals};
use rustc_hash::FxHashMap;
use std::any::Any;
use std::rc::Rc;
use std::time::Duration;

/// What can be seen of a run at one moment: the observers' board, servers between their messages, the
/// books, the clock.
#[derive(Debug)]
pub struct View {
    pub(crate) board: FxHashMap<String, Box<dyn Any>>,
}

/// Why a server's state cannot be read now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    /// The node is down.
    #[error("the node is down")]
    NodeDown,
    /// Nobody has that name.
    #[error("no such process")]
    NoProc,
    /// A handler is at work on it.
    #[error("a handler is at work")]
    Busy,
    /// The process is no server with a state of this type.
    #[error("the state is of another type")]
    OtherType,
}

impl View {
    /// Lets `look` see the run on this thread.
    pub(crate) fn looking<R>(look: impl FnOnce(&View) -> R) -> R {
        let view = View {
            board: with(|system| std::mem::take(&mut system.board)),
        };
        let seen = look(&view);
        with(|system| system.board = view.board);
        seen
    }

    /// Virtual time.
    #[must_use]
    pub fn now(&self) -> Time {
        with(|system| system.kernel.now())
    }

    /// Steps so far.
    #[must_use]
    pub fn step(&self) -> u64 {
        with(|system| system.kernel.steps())
    }

    /// The totals of the books so far.
    #[must_use]
    pub fn books(&self) -> Totals {
        with(|system| system.kernel.trace.books.totals())
    }

    /// How many dead letters there were for this reason so far. Of all reasons together: `books().dead`.
    #[must_use]
    pub fn dead_letters(&self, why: DeadReason) -> u64 {
        with(|system| system.kernel.trace.books.dead(why))
    }

    /// How many letters were accepted so far, and have neither had an effect nor were set aside with a
    /// reason. For progress: `eventually("all mail is through", …)`.
    #[must_use]
    pub fn waiting_letters(&self) -> usize {
        with(|system| {
            system.kernel.trace.show_rest();
            system.world().0.delivery.borrow().waiting()
        })
    }

    /// Whether all mail is through that should be: no letter has got no further for as long as `within`, of
    /// which no fault kept it, and has no effect and no reason, or a sender who still tries.
    /// For the end of a run; how long a letter may take there, the scenario knows.
    ///
    /// What must hold at any time of a run needs no property: the run is violated as `mail is delivered`.
    ///
    /// # Errors
    /// The letter that has waited longest, [lost](crate::check::Mishap::Lost) or
    /// [stuck](crate::check::Mishap::Stuck).
    ///
    /// ```
    /// use netsplit::trace::{LetterId, Mailed};
    /// use netsplit::{Context, Scenario, secs};
    ///
    /// let scenario = Scenario::new("forgetful")
    ///     .client("shop", |ctx: Context| async move {
    ///         let letter = LetterId { origin: ctx.mail_origin("orders"), number: 1 };
    ///         ctx.tell_mail(letter, 0, Mailed::accepted(0));
    ///         ctx.tell_mail(letter, 1, Mailed::Sent);
    ///     })
    ///     .horizon(secs(60))
    ///     .finally("no letter is lost", |view| view.mail_is_through(secs(10)));
    /// let violation = scenario.run(7).unwrap().violation.unwrap();
    /// assert_eq!(
    ///     violation.detail,
    ///     "letter 1 of \"orders\", accepted at 0.000 s (step 1): it is lost: no effect, not set aside, and \
    ///      nobody has done anything about it since 0.000 s (step 1)"
    /// );
    /// ```
    pub fn mail_is_through(&self, within: Duration) -> Result<(), Misdelivery> {
        let now = self.now();
        with(|system| {
            system.kernel.trace.show_rest();
            let (world, _) = system.world();
            let now = now.max(world.nothing_before);
            world
                .delivery
                .borrow()
                .unfinished(now, within)
                .map_or(Ok(()), Err)
        })
    }

    /// The node of this name.
    ///
    /// # Panics
    /// Where the cluster has none.
    #[must_use]
    pub fn node(&self, name: &str) -> NodeId {
        let node = with(|system| system.host.node(name));
        node.unwrap_or_else(|| panic!("the cluster has no node named `{name}`"))
    }

    /// Whether a node is up.
    ///
    /// # Panics
    /// Where the cluster has no node of this name.
    #[must_use]
    pub fn is_up(&self, node: &str) -> bool {
        let node = self.node(node).index();
        with(|system| system.nodes[node].up)
    }

    /// How often a node has booted.
    ///
    /// # Panics
    /// Where the cluster has no node of this name.
    #[must_use]
    pub fn boots(&self, node: &str) -> u32 {
        let node = self.node(node).index();
        with(|system| system.nodes[node].boots)
    }

    /// Who holds a name on a node.
    ///
    /// # Panics
    /// Where the cluster has no node of this name.
    #[must_use]
    pub fn whereis(&self, node: &str, name: &str) -> Option<Pid> {
        let node = self.node(node).index();
        with(|system| {
            system.nodes[node]
                .up
                .then(|| system.nodes[node].whereis(Name::new(name)))
        })?
    }

    /// How much processes have counted under `key`; 0 where nobody has yet.
    #[must_use]
    pub fn counter(&self, key: &str) -> u64 {
        with(|system| system.counters.get(key).copied().unwrap_or(0))
    }

    /// What each live process waits for, those of clients included, in the order of nodes and pids. It
    /// looks at all of them and at the whole agenda: for the end of a run, or where something is wrong,
    /// rather than for each step.
    ///
    /// ```
    /// # use netsplit::{Address, Context, ReplyTo, Scenario, secs};
    /// let scenario = Scenario::new("no answer")
    ///     .node("shop", |ctx: Context<ReplyTo<()>>| async move {
    ///         ctx.register("till").expect("a free name");
    ///         ctx.sleep(secs(90)).await;
    ///     })
    ///     .client("buyer", |ctx: Context| async move {
    ///         ctx.sleep(secs(1)).await;
    ///         let till = Address::<ReplyTo<()>>::named("shop", "till");
    ///         let _ = till.call(|reply_to| reply_to, secs(70)).await;
    ///     })
    ///     .finally("everybody waits", |view| {
    ///         let lines: Vec<String> = view.waiting().iter().map(|w| w.to_string()).collect();
    ///         assert_eq!(lines, [
    ///             "<shop.0.0> \"till\"  waits for a timer due at 90.000 s; 1 in its mailbox",
    ///             "<buyer.0.0>  waits for the answer of <shop.0.0> \"till\" (called at 1.000 s), \
    ///              or a timer due at 71.000 s",
    ///         ]);
    ///         true
    ///     });
    /// assert_eq!(scenario.run(7).unwrap().violation, None);
    /// ```
    #[must_use]
    pub fn waiting(&self) -> Vec<Waiting> {
        with(|system| system.waiting())
    }

    /// The whole cluster as it is now: for each node the tree of its processes, and what each of them is, has
    /// and waits for. It looks at everything, as [`View::waiting`] does, and asks each behaviour for the text
    /// of its state.
    #[must_use]
    pub fn observe(&self) -> Snapshot {
        Snapshot::now()
    }

    /// Processes that wait for each other's answers, or for room in each other's mailboxes, in a ring, the
    /// least pid first, where there are any;
    /// [`print_ring`](super::print_ring) makes a text of it. A call by name counts for the process that
    /// holds the name now. Unless such a call ends by its timeout, none of these goes on. It looks at every
    /// live process.
    #[must_use]
    pub fn call_cycle(&self) -> Option<Vec<Pid>> {
        with(|system| system.call_ring())
    }

    /// What processes have noted on the board under `key`; nothing where nobody has yet.
    ///
    /// # Panics
    /// Where it is of another type than `T`.
    #[must_use]
    pub fn observed<T: Any>(&self, key: &str) -> Option<&T> {
        let value = self.board.get(key)?;
        match value.downcast_ref() {
            Some(value) => Some(value),
            None => {
                panic!(
                    "the board holds `{key}` with another type than {}",
                    std::any::type_name::<T>()
                )
            }
        }
    }

    /// Reads the state of the server that holds `name` on `node`, between its messages.
    ///
    /// # Errors
    /// [`Unreadable`]: while a handler of it is suspended a read answers `Busy`.
    ///
    /// # Panics
    /// Where the cluster has no node of this name.
    pub fn server<S: 'static, R>(
        &self,
        node: &str,
        name: &str,
        read: impl FnOnce(&S) -> R,
    ) -> Result<R, Unreadable> {
        let desk = self.exposed::<S>(node, name)?;
        desk.try_read(read).ok_or(Unreadable::Busy)
    }

    /// Reads data and state of the state machine that holds `name` on `node`, between its events.
    ///
    /// # Errors
    /// [`Unreadable`]: while a callback of it is suspended a read answers `Busy`.
    ///
    /// # Panics
    /// Where the cluster has no node of this name.
    pub fn state_machine<S: GenStatem, R>(
        &self,
        node: &str,
        name: &str,
        read: impl FnOnce(&S, &S::State) -> R,
    ) -> Result<R, Unreadable> {
        let desk = self.exposed::<Machine<S>>(node, name)?;
        let read = |machine: &Machine<S>| read(&machine.data, &machine.state);
        desk.try_read(read).ok_or(Unreadable::Busy)
    }

    /// What the process that holds `name` on `node` lets properties read.
    fn exposed<T: 'static>(&self, node: &str, name: &str) -> Result<Rc<Desk<T>>, Unreadable> {
        let id = self.node(node);
        let behaviour = with(|system| {
            if !system.nodes[id.index()].up {
                return Err(Unreadable::NodeDown);
            }
            let found = system.resolve(Target::Name(id, Name::new(name)));
            let (_, slot) = found.map_err(|_| Unreadable::NoProc)?;
            let extra = system
                .process(slot)
                .and_then(|process| process.extra.as_ref());
            extra
                .and_then(|extra| extra.behaviour.clone())
                .ok_or(Unreadable::OtherType)
        })?;
        let behaviour: Rc<dyn Any> = behaviour;
        behaviour.downcast().map_err(|_| Unreadable::OtherType)
    }
}
