//! What a process sees of its own node where it has no context at hand: for tables that are read without a
//! message.

use super::context::{Context, Never};
use super::system::{act, current, with};
use super::target::Target;
use crate::trace::{Name, NodeId, Pid};
use std::any::Any;
use std::rc::Rc;

/// The context of the process that runs.
///
/// # Panics
/// Outside a process, with advice.
pub(crate) fn own_context() -> Context<Never> {
    Context::new(current().pid)
}

/// Counts a call of the host by the process that runs; whether it is made.
pub(crate) fn may_act() -> bool {
    act(|_, _| ()).is_some()
}

/// Whether a process of this node lives: false from the moment on in which an exit signal has reached it.
pub(crate) fn lives(pid: Pid) -> bool {
    with(|system| system.resolve(Target::Pid(pid)).is_ok())
}

/// Who holds a name on the node of the process that runs, and what it has exposed as a behaviour.
pub(crate) fn exposed(name: Name) -> Option<(Pid, Rc<dyn Any>)> {
    with(|system| {
        let target = Target::Name(system.current().pid.node(), name);
        let (pid, slot) = system.resolve(target).ok()?;
        let behaviour = system.process(slot)?.extra.as_ref()?.behaviour.clone()?;
        Some((pid, behaviour as Rc<dyn Any>))
    })
}

/// The node that had the name of this one first: the same through all that takes its place.
pub(crate) fn first_of(node: NodeId) -> NodeId {
    with(|system| system.first(node))
}

/// A pid of this node that nobody has.
pub(crate) fn nobody() -> Pid {
    let node = current().pid.node();
    Pid::of_node(node, 0)
}

/// The text of a name that somebody has held in this run.
pub(crate) fn name_text(name: Name) -> Option<String> {
    with(|system| system.name_text(name))
}
