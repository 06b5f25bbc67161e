//! The inbox: takes letters, each once, in the order of their keys, and says so when that is stored.

mod core;
mod server;
#[cfg(test)]
mod tests;

#[cfg(test)]
pub(super) use self::core::{Arrival, Core};
use server::{Args, InboxServer};

use super::letter::{Letter, Parcel, Verdict};
use super::outbox::Opener;
use super::store::{Batch, Store, StoreError};
use crate::otp::{Server, StartError, Startable, Starting};
use crate::process::{Address, Context, Message};
use std::fmt;
use std::marker::PhantomData;

/// Who reads the letters of an [`Inbox`].
///
/// What a letter does to tables goes into the batch: it is committed together with the memory that the
/// letter is done, both or neither, and only then is its sender told. What it does elsewhere may happen
/// again, after a crash.
#[allow(
    async_fn_in_trait,
    reason = "no `Send` is asked of actor code: a host runs a node on one thread"
)]
pub trait Reader: Sized + 'static {
    /// What its letters say. One of another type, or that does not decode, is set aside by its sender.
    type Message: Message;

    /// Makes the reader from what is stored: after a crash of the inbox, too. The context is the inbox's.
    ///
    /// # Errors
    /// [`StoreError`]: the inbox does not start.
    fn open(store: &dyn Store, ctx: Context) -> Result<Self, StoreError>;

    /// Takes a letter; no other comes before it has answered. Letters may be read in groups that are
    /// committed at once, so a letter may find the effects of those before it in no store as yet: what a
    /// reader needs to know it keeps beside.
    async fn letter(&mut self, letter: Letter<Self::Message>, batch: &mut Batch) -> Verdict;
}

/// An inbox: a process that takes letters, by its name.
///
/// However often a letter comes, its effect is made once. Letters of one key from one outbox are read in the
/// order in which the outbox accepted them. See [`Outbox`](super::Outbox) for an example.
pub struct Inbox<R> {
    name: String,
    open: Opener,
    window: u64,
    reader: PhantomData<R>,
}

impl<R> fmt::Debug for Inbox<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Inbox({}, window {})", self.name, self.window)
    }
}

impl<R: Reader> Inbox<R> {
    /// An inbox with this local name, which keeps what it remembers, and the effects, in the store that
    /// `open` opens. Where the store fails later, the process ends with that as its reason, and its
    /// supervisor starts it anew.
    pub fn new<S: Store>(
        name: &str,
        open: impl FnOnce(Context) -> Result<S, StoreError> + 'static,
    ) -> Inbox<R> {
        Inbox {
            name: name.to_owned(),
            open: Box::new(|ctx| Ok(Box::new(open(ctx)?))),
            window: 4096,
            reader: PhantomData,
        }
    }

    /// How many places it remembers, and how many letters of one outbox it holds that wait for one before
    /// them. What lies beyond is taken when it comes again. It should be no less than the windows of the
    /// outboxes. Default: 4,096.
    ///
    /// # Panics
    /// Where it is 0.
    #[must_use]
    pub fn window(mut self, letters: u64) -> Inbox<R> {
        assert!(
            letters > 0,
            "a window of 0 takes no letter: it is at least 1"
        );
        self.window = letters;
        self
    }

    /// Starts it, linked to the starter, and waits until it has read its store.
    ///
    /// # Errors
    /// [`StartError`]: its name is taken, or its store did not open.
    pub async fn start<M: Message>(
        self,
        starter: &Context<M>,
    ) -> Result<Address<Parcel>, StartError> {
        self.begin(starter).await
    }
}

impl<R: Reader> Startable for Inbox<R> {
    type Message = Parcel;

    fn begin<M: Message>(self, starter: &Context<M>) -> Starting<Parcel> {
        let Inbox {
            name, open, window, ..
        } = self;
        Server::<InboxServer<R>>::with(Args { open, window })
            .name(&name)
            .begin(starter)
    }
}
