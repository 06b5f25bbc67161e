//! The registry: processes of a node under keys, with values. A table that is read without a message.

mod by_key;
mod table;

pub use by_key::ByKey;

use super::desk::Desk;
use super::gen_server::{Flow, GenServer, Server};
use super::start::{Refusal, StartError, Startable, Starting};
use crate::process::{
    Address, Behaviour, Context, ExitReason, Info, Message, Never, exposed, lives, may_act,
    name_text, own_context,
};
use crate::trace::{Name, Pid};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::marker::PhantomData;
use std::rc::Rc;
use table::Table;

/// Whether a key has one holder at most, or any number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Keys {
    Unique,
    Duplicate,
}

/// Why a process was not registered, or its value not changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RegistryError {
    /// The keys are unique, and this process holds the key: it may be the one that asks.
    #[error("already_registered: the key is held by {holder}")]
    AlreadyRegistered {
        /// Who holds it.
        holder: Pid,
    },
    /// The process that asks is not registered under the key.
    #[error("this process is not registered under the key")]
    NotRegistered,
    /// No registry of this name runs on this node.
    #[error("the registry does not run on this node")]
    NotRunning,
}

impl From<RegistryError> for ExitReason {
    fn from(error: RegistryError) -> ExitReason {
        ExitReason::error(error)
    }
}

/// What a registry tells its listeners.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum RegistryEvent<K, V> {
    /// A process was registered.
    Registered {
        /// Under which key.
        key: K,
        /// Which process.
        pid: Pid,
        /// With which value.
        value: V,
    },
    /// It is registered no longer: it has unregistered itself, or has ended.
    Unregistered {
        /// Under which key.
        key: K,
        /// Which process.
        pid: Pid,
    },
}

type Listener<K, V> = Rc<dyn Fn(RegistryEvent<K, V>)>;

/// A registry, as it is started: processes of one node under keys of type `K`, each entry with a value.
///
/// It is Elixir's `Registry`, on one node. Its process owns the table and is found by its name; the table is
/// read and written by whoever registers and looks up, without a message: a [`RegistryRef`] does that. A
/// process that ends is in no answer from that moment on, before anybody is told of its end.
///
/// As in Elixir, whoever is registered is linked to the registry: where that ends other than as `normal`, so
/// do they, unless they trap exits; so nobody lives on believing to be registered.
///
/// ```
/// use netsplit::otp::process;
/// use netsplit::{Context, Registry, RegistryRef, Scenario, Supervisor, child, millis};
///
/// type Rooms = RegistryRef<String, u32>;
///
/// async fn room(ctx: Context<String>, name: &str, seats: u32) {
///     let rooms = Rooms::named("rooms");
///     rooms.register(name.to_owned(), seats).expect("a room of its own");
///     loop {
///         let said = ctx.receive_message().await;
///         ctx.note(said);
///         ctx.count("said");
///     }
/// }
///
/// fn tree() -> Supervisor {
///     Supervisor::rest_for_one()
///         .child(child("rooms", || Registry::<String, u32>::unique("rooms")))
///         .child(child("lobby", || process(|ctx| room(ctx, "lobby", 20))))
///         .child(child("guest", || process(guest)).temporary())
/// }
///
/// async fn guest(ctx: Context) {
///     let rooms = Rooms::named("rooms");
///     ctx.sleep(millis(1)).await;
///     let lobby = rooms.lookup(&"lobby".to_owned());
///     assert_eq!(lobby[0].1, 20); // seats
///     rooms.address::<String>("lobby".to_owned()).send("hello".to_owned());
/// }
///
/// let scenario = Scenario::new("rooms")
///     .node("house", |ctx| tree().run(ctx))
///     .finally("it was said", |view| view.counter("said") == 1);
/// assert!(scenario.run(7).unwrap().is_ok());
/// ```
pub struct Registry<K, V = ()> {
    name: String,
    keys: Keys,
    listeners: Vec<Listener<K, V>>,
}

impl<K, V> fmt::Debug for Registry<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Registry({}, {:?})", self.name, self.keys)
    }
}

impl<K: Message + Ord + Clone, V: Message + Clone> Registry<K, V> {
    fn new(name: &str, keys: Keys) -> Registry<K, V> {
        Registry {
            name: name.to_owned(),
            keys,
            listeners: Vec::new(),
        }
    }

    /// A registry of this name in which each key has one holder at most.
    #[must_use]
    pub fn unique(name: &str) -> Registry<K, V> {
        Registry::new(name, Keys::Unique)
    }

    /// A registry of this name in which a key may have many holders, and a process be registered under one
    /// more than once.
    #[must_use]
    pub fn duplicate(name: &str) -> Registry<K, V> {
        Registry::new(name, Keys::Duplicate)
    }

    /// Whoever holds this local name is told of registrations and their ends, in messages that `wrap` makes.
    /// Those of one key come in the order in which they happened. `wrap` must not ask this registry, which
    /// may be at work on its table then. Default: nobody is.
    #[must_use]
    pub fn listener<M: Message>(
        mut self,
        name: &str,
        wrap: impl Fn(RegistryEvent<K, V>) -> M + 'static,
    ) -> Registry<K, V> {
        let name = name.to_owned();
        self.listeners.push(Rc::new(move |event| {
            let node = own_context().node();
            Address::at(node, &name).send(wrap(event));
        }));
        self
    }

    /// What reads and writes it.
    #[must_use]
    pub fn handle(&self) -> RegistryRef<K, V> {
        RegistryRef::named(&self.name)
    }

    fn server(self) -> Server<Owner<K, V>> {
        let name = self.name.clone();
        Server::with(self).name(&name)
    }

    /// Starts it, linked to the starter.
    ///
    /// # Errors
    /// [`StartError::AlreadyStarted`], where its name is taken.
    pub async fn start_link<M: Message>(
        self,
        starter: &Context<M>,
    ) -> Result<RegistryRef<K, V>, StartError> {
        let handle = self.handle();
        self.server().start_link(starter).await?;
        Ok(handle)
    }

    /// Makes the current process the registry; gives the reason of its end.
    pub async fn run(self, ctx: Context<Never>) -> ExitReason {
        self.server().run(ctx).await
    }
}

impl<K: Message + Ord + Clone, V: Message + Clone> Startable for Registry<K, V> {
    type Message = Never;

    fn begin<M: Message>(self, starter: &Context<M>) -> Starting<Never> {
        self.server().begin(starter)
    }
}

/// What the process of a registry has.
struct Owner<K, V> {
    table: Table<K, V>,
    listeners: Rc<[Listener<K, V>]>,
}

impl<K: Message + Ord + Clone, V: Message + Clone> GenServer for Owner<K, V> {
    type Args = Registry<K, V>;
    type Message = Never;

    async fn init(registry: Registry<K, V>, ctx: &mut Context) -> Result<Self, Refusal> {
        ctx.trap_exit(true);
        Ok(Owner {
            table: Table::new(registry.keys),
            listeners: registry.listeners.into(),
        })
    }

    async fn handle(&mut self, message: Never, _: &mut Context) -> Flow {
        match message {}
    }

    /// A process that is linked has ended: its entries, which nobody sees any more, are taken out.
    async fn handle_info(&mut self, info: Info, _: &mut Context) -> Flow {
        if let Info::Exit { from, .. } = info
            && !lives(from)
        {
            for (key, _) in self.table.remove_all(from) {
                tell_gone(&self.listeners, &key, from);
            }
        }
        Flow::Next
    }

    fn format_status(&self) -> String {
        let live = self.table.all().filter(|(_, pid, _)| lives(*pid));
        format!("{:?} keys: {:?}", self.table.keys, live.collect::<Vec<_>>())
    }
}

fn tell_gone<K: Clone, V>(listeners: &[Listener<K, V>], key: &K, pid: Pid) {
    for listener in listeners {
        let key = key.clone();
        listener(RegistryEvent::Unregistered { key, pid });
    }
}

/// What reads and writes the registry of a name, on the node of the process that uses it.
///
/// `Copy`; it is found by the name each time, so it stays good across restarts of the registry. A registry
/// that does not run has no entries.
///
/// A read costs no message; it is exact: nobody is in an answer who has ended, or whom an exit signal has
/// reached. Answers come in an order that is the same in every run: keys in theirs, the entries of one key
/// in that of their registrations.
///
/// # Panics
/// All methods panic outside a process, and where the registry of this name has keys or values of other
/// types.
pub struct RegistryRef<K, V = ()> {
    name: Name,
    types: PhantomData<fn(K, V)>,
}

impl<K, V> Clone for RegistryRef<K, V> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<K, V> Copy for RegistryRef<K, V> {}

impl<K, V> fmt::Debug for RegistryRef<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RegistryRef({:x})", self.name.as_u64())
    }
}

/// The table, as the registry's process has exposed it.
type Entries<K, V> = Desk<Owner<K, V>>;

impl<K: Message + Ord + Clone, V: Message + Clone> RegistryRef<K, V> {
    /// The registry of this name.
    #[must_use]
    pub fn named(name: &str) -> RegistryRef<K, V> {
        RegistryRef {
            name: Name::new(name),
            types: PhantomData,
        }
    }

    /// The registry's process and its table, where it runs.
    fn owner(self) -> Option<(Pid, Rc<Entries<K, V>>)> {
        let (pid, behaviour) = exposed(self.name)?;
        let Ok(desk) = behaviour.downcast::<Entries<K, V>>() else {
            let name = name_text(self.name).unwrap_or_default();
            panic!("`{name}` is no registry with keys and values of these types")
        };
        Some((pid, desk))
    }

    /// Registers the process that calls, under a key, until it ends or unregisters itself.
    ///
    /// # Errors
    /// [`RegistryError::AlreadyRegistered`], where keys are unique and a process that lives holds this one;
    /// [`RegistryError::NotRunning`].
    pub fn register(self, key: K, value: V) -> Result<(), RegistryError> {
        let (owner, desk) = self.owner().ok_or(RegistryError::NotRunning)?;
        let ctx = own_context();
        let pid = ctx.pid();
        let (holder, is_new, listeners) = {
            let state = desk.borrow();
            let mut held = state.table.of_key(&key).map(|(holder, _)| holder);
            let unique = state.table.keys == Keys::Unique;
            let holder = if unique { held.next() } else { None };
            (holder, !state.table.has(pid), state.listeners.clone())
        };
        if let Some(holder) = holder.filter(|holder| lives(*holder)) {
            return Err(RegistryError::AlreadyRegistered { holder });
        }
        if !may_act() {
            return Ok(());
        }
        if is_new {
            ctx.link(owner);
        }
        let gone = {
            let table = &mut desk.borrow_mut().table;
            // Its holder has ended, and the registry's process has not heard of it yet.
            let gone = holder.map(|holder| (holder, table.remove(&key, holder)));
            table.add(key.clone(), pid, value.clone());
            gone
        };
        if let Some((holder, _)) = gone {
            tell_gone(&listeners, &key, holder);
        }
        ctx.note(format_args!("is registered under {key:?}"));
        for listener in &*listeners {
            let (key, value) = (key.clone(), value.clone());
            listener(RegistryEvent::Registered { key, pid, value });
        }
        Ok(())
    }

    /// Takes out the entries of the process that calls under a key; nothing where there are none.
    pub fn unregister(self, key: &K) {
        let Some((owner, desk)) = self.owner().filter(|_| may_act()) else {
            return;
        };
        let ctx = own_context();
        let pid = ctx.pid();
        let (gone, is_last, listeners) = {
            let mut state = desk.borrow_mut();
            let gone = state.table.remove(key, pid);
            (gone, !state.table.has(pid), state.listeners.clone())
        };
        if gone.is_empty() {
            return;
        }
        // Its starter stays linked to it, as a parent is.
        if is_last && !desk.is_parent(pid) {
            ctx.unlink(owner);
        }
        ctx.note(format_args!("is no longer registered under {key:?}"));
        for (key, _) in gone {
            tell_gone(&listeners, &key, pid);
        }
    }

    /// Gives the entries of the process that calls under a key other values.
    ///
    /// # Errors
    /// [`RegistryError::NotRegistered`], [`RegistryError::NotRunning`].
    pub fn update_value(self, key: &K, update: impl FnMut(&V) -> V) -> Result<(), RegistryError> {
        let (_, desk) = self.owner().ok_or(RegistryError::NotRunning)?;
        let pid = own_context().pid();
        let own = self
            .lookup(key)
            .into_iter()
            .filter(|(holder, _)| *holder == pid);
        let own: Vec<V> = own.map(|(_, value)| value).collect();
        if own.is_empty() {
            return Err(RegistryError::NotRegistered);
        }
        let values: Vec<V> = own.iter().map(update).collect();
        if may_act() {
            // What was there is dropped when nothing is borrowed any more.
            let old = desk.borrow_mut().table.update(key, pid, values.into_iter());
            drop(old);
        }
        Ok(())
    }

    /// Reads the table, where there is one.
    fn read<R>(self, read: impl FnOnce(&Table<K, V>) -> R) -> Option<R> {
        let (_, desk) = self.owner()?;
        let state = desk.borrow();
        Some(read(&state.table))
    }

    /// The processes under a key, each with its value, the one that is registered the longest first. Of a
    /// unique key one at most.
    #[must_use]
    pub fn lookup(self, key: &K) -> Vec<(Pid, V)> {
        let found = self.read(|table| {
            let live = table.of_key(key).filter(|(pid, _)| lives(*pid));
            live.map(|(pid, value)| (pid, value.clone())).collect()
        });
        found.unwrap_or_default()
    }

    /// The process under a key: of several the one that is registered the longest.
    #[must_use]
    pub fn whereis(self, key: &K) -> Option<Pid> {
        self.read(|table| {
            let mut pids = table.of_key(key).map(|(pid, _)| pid);
            pids.find(|pid| lives(*pid))
        })?
    }

    /// The keys of a process, in their order; one several times where it is registered so often.
    #[must_use]
    pub fn keys(self, pid: Pid) -> Vec<K> {
        let keys = self.read(|table| {
            let keys = if lives(pid) {
                table.of_pid(pid)
            } else {
                Vec::new()
            };
            keys.iter().map(|key| (**key).clone()).collect()
        });
        keys.unwrap_or_default()
    }

    /// All entries: in the order of their keys, those of one key in that of their registrations.
    #[must_use]
    pub fn entries(self) -> Vec<(K, Pid, V)> {
        let all = self.read(|table| {
            let live = table.all().filter(|(_, pid, _)| lives(*pid));
            live.map(|(key, pid, value)| (key.clone(), pid, value.clone()))
                .collect()
        });
        all.unwrap_or_default()
    }

    /// How many entries there are. It looks at each, so that none of a process that has ended counts.
    #[must_use]
    pub fn count(self) -> usize {
        self.read(|table| table.all().filter(|(_, pid, _)| lives(*pid)).count())
            .unwrap_or(0)
    }

    /// Sends a message to every process under a key, once for each entry, in the order of their
    /// registrations; how many that were.
    pub fn dispatch<M: Message + Clone>(self, key: &K, message: M) -> usize {
        let holders = self.lookup(key);
        for (pid, _) in &holders {
            Address::of(*pid).send(message.clone());
        }
        holders.len()
    }

    /// The address of whoever is under a key, looked up each time that it is used.
    #[must_use]
    pub fn address<M: Message>(self, key: K) -> ByKey<K, V, M> {
        ByKey::new(self, key)
    }
}
