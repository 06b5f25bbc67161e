//! The outbox: takes letters, keeps them in a store, and sends them until they are acked.

mod core;
mod record;
mod server;
mod stream;
#[cfg(test)]
mod tests;

pub use record::DeadMail;
pub(super) use record::read;
use server::{Args, OutboxServer};

use super::letter::{Body, Key, Parcel, Receipts, Recipient};
use super::store::{Store, StoreError};
use crate::otp::{BackOff, Server, StartError, Startable, Starting};
use crate::process::{Address, CallError, Context, ExitReason, Message, ReplyTo, Tag, Target, Via};
use crate::trace::LetterId;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::rc::Rc;
use std::time::Duration;

/// How long a sender waits for its outbox to store a letter. As a call in OTP.
const SEND_TIMEOUT: Duration = Duration::from_secs(5);

/// Opens the store of an outbox or an inbox.
pub(super) type Opener = Box<dyn FnOnce(Context) -> Result<Box<dyn Store>, StoreError>>;

/// An outbox: a process that keeps letters and sends them until they are acked.
///
/// A letter is stored before [`send`](OutboxRef::send) answers; from then on it is not lost: it is sent again
/// and again, over crashes of both ends, until its recipient has acked it or it is set aside with a reason.
/// An outbox is a supervisor's child like any other. Its name, with the name of its node, is what its letters
/// are known by, so a node has one outbox of a name, and a store one outbox.
///
/// ```
/// use netsplit::mail::{Inbox, Letter, MemoryStore, Outbox, Reader, Store, StoreError, Table, Verdict};
/// use netsplit::mail::Batch;
/// use netsplit::{Context, Faults, Scenario, secs};
///
/// const TOTALS: Table = Table("totals");
///
/// struct Ledger {
///     total: u64,
///     ctx: Context,
/// }
///
/// impl Reader for Ledger {
///     type Message = u64;
///
///     fn open(_: &dyn Store, ctx: Context) -> Result<Ledger, StoreError> {
///         Ok(Ledger { total: 0, ctx })
///     }
///
///     async fn letter(&mut self, letter: Letter<u64>, batch: &mut Batch) -> Verdict {
///         self.total += letter.message;
///         self.ctx.observe("total", |total| *total = self.total);
///         batch.put(TOTALS, b"all", self.total.to_le_bytes());
///         letter.ack()
///     }
/// }
///
/// let scenario = Scenario::new("letters over a bad network")
///     .node("b", |ctx: Context| async move {
///         let inbox = Inbox::<Ledger>::new("ledger", |_| Ok(MemoryStore::new()));
///         inbox.start(&ctx).await.expect("an inbox");
///         ctx.sleep(secs(100)).await;
///     })
///     .client("a", |ctx: Context| async move {
///         let outbox = Outbox::new("outbox", |_| Ok(MemoryStore::new()));
///         let outbox = outbox.start(&ctx).await.expect("an outbox");
///         for amount in 1..=10u64 {
///             outbox.send(("b", "ledger"), "account 7", &amount).await.expect("stored");
///         }
///         ctx.sleep(secs(100)).await;
///     })
///     .faults(Faults::calm().lose(0.3).duplicate(0.3))
///     .finally("each came once", |view| view.observed("total") == Some(&55u64))
///     .horizon(secs(90));
/// assert!(scenario.run(7).unwrap().is_ok());
/// ```
pub struct Outbox {
    name: String,
    open: Opener,
    options: core::Options,
    via: Via,
    route: Route,
}

/// Who stands for a key.
type Route = Rc<dyn Fn(Key) -> Option<Recipient>>;

impl fmt::Debug for Outbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Outbox({}, {:?})", self.name, self.options)
    }
}

impl Outbox {
    /// An outbox with this local name, which keeps its letters in the store that `open` opens. Where the
    /// store fails later, the process ends with that as its reason, and its supervisor starts it anew.
    pub fn new<S: Store>(
        name: &str,
        open: impl FnOnce(Context) -> Result<S, StoreError> + 'static,
    ) -> Outbox {
        Outbox {
            name: name.to_owned(),
            open: Box::new(|ctx| Ok(Box::new(open(ctx)?))),
            options: core::Options {
                retry: BackOff::new(Duration::from_millis(200), Duration::from_secs(10)),
                window: 1024,
                backlog: 100_000,
                largest: 1 << 20,
            },
            via: Via::Datagram,
            route: Rc::new(|_| None),
        }
    }

    /// How long it waits for an ack before it sends a letter again. Of each wait a half is drawn. Default:
    /// between 100 and 200 milliseconds, twice that each time, at most 10 seconds.
    #[must_use]
    pub fn retry(mut self, retry: BackOff) -> Outbox {
        self.options.retry = retry;
        self
    }

    /// How many letters may be on their way to one recipient: what is sent lies less than so many places
    /// beyond the first that is not acked. The inbox remembers no more than that. Default: 1,024.
    ///
    /// # Panics
    /// Where it is 0.
    #[must_use]
    pub fn window(mut self, letters: u64) -> Outbox {
        assert!(
            letters > 0,
            "a window of 0 sends no letter: it is at least 1"
        );
        self.options.window = letters;
        self
    }

    /// How many letters it holds that are not acked: then it takes no more. Default: 100,000.
    #[must_use]
    pub fn backlog(mut self, letters: usize) -> Outbox {
        self.options.backlog = letters;
        self
    }

    /// How many bytes an encoded message has at most. Default: 1,048,576.
    #[must_use]
    pub fn largest(mut self, bytes: usize) -> Outbox {
        self.options.largest = bytes;
        self
    }

    /// Whether letters go as datagrams or over connections. Either may lose them: a connection breaks as a
    /// whole. Default: as datagrams.
    #[must_use]
    pub fn over(mut self, via: Via) -> Outbox {
        self.via = via;
        self
    }

    /// Who stands for a key, asked before each attempt: nobody, or a name. Default: nobody for any.
    #[must_use]
    pub fn route(mut self, route: impl Fn(Key) -> Option<Recipient> + 'static) -> Outbox {
        self.route = Rc::new(route);
        self
    }

    /// Starts it, linked to the starter, and waits until it has read its store.
    ///
    /// # Errors
    /// [`StartError`]: its name is taken, or its store did not open.
    pub async fn start<M: Message>(self, starter: &Context<M>) -> Result<OutboxRef, StartError> {
        Ok(OutboxRef::from(self.begin(starter).await?))
    }
}

impl Startable for Outbox {
    type Message = ToOutbox;

    fn begin<M: Message>(self, starter: &Context<M>) -> Starting<ToOutbox> {
        let Outbox {
            name,
            open,
            options,
            via,
            route,
        } = self;
        let args = Args {
            name: name.clone(),
            open,
            options,
            via,
            route,
        };
        Server::<OutboxServer>::with(args)
            .name(&name)
            .begin(starter)
    }
}

/// What an outbox takes: made by an [`OutboxRef`] and by inboxes.
#[derive(Debug, Serialize, Deserialize)]
pub struct ToOutbox(pub(super) Asked);

#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Asked {
    Post(Vec<Written>, ReplyTo<Result<Vec<LetterId>, SendError>>),
    Receipts(Receipts),
    /// A recipient is up again.
    Again(Recipient),
    Dead(u64, ReplyTo<Result<Vec<DeadMail>, SendError>>),
    Forget(Vec<LetterId>, ReplyTo<Result<(), SendError>>),
}

/// A letter as its sender hands it in.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Written {
    pub(super) draft: Draft,
    pub(super) kind: Tag,
    pub(super) body: Body,
}

/// What a sender says of a letter beside its message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Draft {
    pub(super) to: Recipient,
    pub(super) key: Key,
    pub(super) follows: Option<LetterId>,
    pub(super) deadline_ns: Option<u64>,
}

impl Draft {
    /// A letter to this recipient, without a key and without a deadline.
    ///
    /// # Panics
    /// As the conversion of names into a [`Recipient`].
    #[must_use]
    pub fn to(recipient: impl Into<Recipient>) -> Draft {
        Draft {
            to: recipient.into(),
            key: Key::NONE,
            follows: None,
            deadline_ns: None,
        }
    }

    /// What orders it.
    #[must_use]
    pub fn key(mut self, key: impl Into<Key>) -> Draft {
        self.key = key.into();
        self
    }

    /// The letter that is its cause.
    #[must_use]
    pub fn follows(mut self, letter: LetterId) -> Draft {
        self.follows = Some(letter);
        self
    }

    /// From when on it is of no use, by the wall clock of the outbox's node, as
    /// [`Context::wall_clock`](crate::process::Context::wall_clock) tells it. Then it is set aside.
    #[must_use]
    pub fn deadline(mut self, wall_clock: Duration) -> Draft {
        self.deadline_ns = Some(crate::kernel::time::nanos(wall_clock));
        self
    }
}

/// An outbox, to send letters by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutboxRef(Address<ToOutbox>);

impl From<Address<ToOutbox>> for OutboxRef {
    fn from(address: Address<ToOutbox>) -> OutboxRef {
        OutboxRef(address)
    }
}

impl OutboxRef {
    /// The outbox with this name: `"outbox"` on the node of the process that runs, `("a", "outbox")` on
    /// another.
    ///
    /// # Panics
    /// Outside a process, and where the cluster has no such node.
    #[must_use]
    pub fn named(name: impl Into<Target>) -> OutboxRef {
        OutboxRef(Address::to(name.into()))
    }

    /// Hands a letter in, and waits until it is stored. Letters of one key to one recipient are taken in the
    /// order in which they are handed in; [`Key::NONE`] waits for no other.
    ///
    /// # Errors
    /// [`SendError`]. Of [`SendError::Unanswered`] and [`SendError::Store`] it is not known whether the
    /// letter is stored; else it is not.
    ///
    /// # Panics
    /// Outside a process, where the message does not encode, and as the conversion into a [`Recipient`].
    pub async fn send<M: Message>(
        self,
        to: impl Into<Recipient>,
        key: impl Into<Key>,
        message: &M,
    ) -> Result<LetterId, SendError> {
        self.post(Draft::to(to).key(key), message).await
    }

    /// Hands a letter in that says more than whom it is for.
    ///
    /// # Errors
    /// As [`OutboxRef::send`].
    ///
    /// # Panics
    /// As [`OutboxRef::send`].
    pub async fn post<M: Message>(self, draft: Draft, message: &M) -> Result<LetterId, SendError> {
        let letters = self.post_all([(draft, message)]).await?;
        Ok(letters[0])
    }

    /// Hands many letters in at once: all are stored in one commit, or none is.
    ///
    /// # Errors
    /// As [`OutboxRef::send`].
    ///
    /// # Panics
    /// As [`OutboxRef::send`].
    pub async fn post_all<'a, M: Message>(
        self,
        letters: impl IntoIterator<Item = (Draft, &'a M)>,
    ) -> Result<Vec<LetterId>, SendError> {
        let (kind, mut room) = (Tag::of::<M>(), Vec::new());
        let letters = letters.into_iter().map(|(draft, message)| Written {
            draft,
            kind,
            body: Body::of(message, &mut room),
        });
        let letters = letters.collect();
        let answer = self.0.call(
            |reply_to| ToOutbox(Asked::Post(letters, reply_to)),
            SEND_TIMEOUT,
        );
        answer.await?
    }

    /// The oldest letters that were set aside, at most so many. They stay until they are
    /// [forgotten](OutboxRef::forget).
    ///
    /// # Errors
    /// [`SendError::Unanswered`] and [`SendError::Store`].
    pub async fn dead(self, most: u64) -> Result<Vec<DeadMail>, SendError> {
        let ask = |reply_to| ToOutbox(Asked::Dead(most, reply_to));
        self.0.call(ask, SEND_TIMEOUT).await?
    }

    /// Forgets letters that were set aside.
    ///
    /// # Errors
    /// As [`OutboxRef::dead`].
    pub async fn forget(self, letters: Vec<LetterId>) -> Result<(), SendError> {
        let ask = |reply_to| ToOutbox(Asked::Forget(letters, reply_to));
        self.0.call(ask, SEND_TIMEOUT).await?
    }
}

/// Why a letter was not taken.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum SendError {
    /// Its message is too large.
    #[error(
        "the message has {bytes} bytes, and this outbox takes up to {most}: send less, or raise `largest`"
    )]
    TooLarge {
        /// How many bytes it has.
        bytes: u64,
        /// How many it may have.
        most: u64,
    },
    /// Its deadline is past already.
    #[error("the letter's deadline is past already")]
    PastDeadline,
    /// The outbox holds as many letters as it may.
    #[error(
        "the outbox holds {most} letters that are not acked, and takes no more: wait, or raise `backlog`"
    )]
    Full {
        /// How many it may hold.
        most: u64,
    },
    /// The store failed.
    #[error("{0}")]
    Store(#[from] StoreError),
    /// The outbox did not answer: it may have stored the letter, or not.
    #[error("whether the outbox has stored the letter is not known: {0}")]
    Unanswered(#[from] CallError),
}

impl From<SendError> for ExitReason {
    fn from(error: SendError) -> ExitReason {
        ExitReason::error(error)
    }
}

/// Where parcels go.
pub(super) type ToInbox = Address<Parcel>;
