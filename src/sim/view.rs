//! What a property can see of a run. Looking changes nothing.

use crate::kernel::Time;
use crate::process::{Target, with};
use crate::trace::{Name, NodeId, Pid, Totals};
use rustc_hash::FxHashMap;
use std::any::Any;
use std::cell::RefCell;
use std::rc::Rc;

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
        let id = self.node(node);
        let state = with(|system| {
            if !system.nodes[id.index()].up {
                return Err(Unreadable::NodeDown);
            }
            let found = system.resolve(Target::Name(id, Name::new(name)));
            let (_, slot) = found.map_err(|_| Unreadable::NoProc)?;
            let extra = system
                .process(slot)
                .and_then(|process| process.extra.as_ref());
            extra
                .and_then(|extra| extra.state.clone())
                .ok_or(Unreadable::OtherType)
        })?;
        let cell: Rc<RefCell<Option<S>>> = state
            .downcast()
            .map_err(|_: Rc<dyn Any>| Unreadable::OtherType)?;
        let state = cell.try_borrow().map_err(|_| Unreadable::Busy)?;
        state.as_ref().map(read).ok_or(Unreadable::Busy)
    }
}
