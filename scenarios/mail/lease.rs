//! Clerks on three machines keep one book. Each reads it, works for a while, and writes it back with its own
//! entry added: so only one may at a time, and whoever is at it holds a lease.
//!
//! - The leases are granted by a process on a machine of its own, which may crash: its tokens are stored
//!   before they are told, and what was granted before is waited for.
//! - A clerk works as long as it holds the lease, which is renewed meanwhile. It may be paused, or cut off,
//!   or what it has sent may be on its way for long: then it is another's turn, and that one has read the
//!   book.
//! - The archive keeps the book. Whoever reads or writes shows a fencing token, and is refused where a later
//!   one was seen. The book and the fence are written in one transaction.
//!
//! The mutant leaves out the fence, as somebody would who trusts that a lease which is held is held. Sooner
//! or later a write comes after the next clerk has read the book: and takes an entry with it that was
//! confirmed.

use super::{machine, store, storm};
use netsplit::mail::lease::{Fences, Fencing, LeaseError, LeaseSettings, Leases, Resource};
use netsplit::mail::{Batch, RedbStore, Store, Table};
use netsplit::otp::process;
use netsplit::{
    Address, Context, ExitReason, Flow, GenServer, Refusal, ReplyTo, Scenario, Server, Startable,
    Supervisor, Time, View, child, millis, secs,
};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

const CLERKS: [&str; 3] = ["ann", "bob", "cat"];
const NO_LOSS: &str = "no entry that was confirmed is lost";
/// How long ago the last entry of a clerk may be at the end.
const RECENT: Duration = secs(12);

/// An entry: a number that no other has.
type Entry = u64;

// ---- the archive

#[derive(Debug, Serialize, Deserialize)]
enum ToArchive {
    /// The book as it is; nothing for whoever comes too late.
    Read(Fencing, ReplyTo<Option<Vec<Entry>>>),
    /// The book as it is to be; answered when it is stored, or refused.
    Write(Fencing, Vec<Entry>, ReplyTo<bool>),
}

/// Whether the archive looks at tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Looks {
    AtTokens,
    Nowhere,
}

struct Archive {
    looks: Looks,
    store: RedbStore,
    fences: Fences,
    book: Vec<Entry>,
}

const BOOKS: Table = Table("books");

impl Archive {
    /// Whether whoever shows this may go on; what that leaves in the store is in the batch.
    fn admits(&mut self, fencing: &Fencing, batch: &mut Batch, ctx: &Context<ToArchive>) -> bool {
        if self.looks == Looks::Nowhere {
            return true;
        }
        let admitted = self.fences.admit(fencing, batch);
        if admitted.is_err() {
            ctx.count("came too late");
        }
        admitted.is_ok()
    }

    /// The book is another: observers see whether it has all that was confirmed.
    fn tell(&self, ctx: &Context<ToArchive>) {
        let entries: BTreeSet<&Entry> = self.book.iter().collect();
        ctx.observe("kept", |kept: &mut Kept| {
            let mut confirmed = kept.confirmed.iter();
            kept.lost = confirmed.position(|entry| !entries.contains(entry));
        });
    }
}

impl GenServer for Archive {
    type Args = Looks;
    type Message = ToArchive;

    async fn init(looks: Looks, ctx: &mut Context<ToArchive>) -> Result<Archive, Refusal> {
        let store = store(ctx).map_err(ExitReason::error)?;
        let fences = Fences::open(&store).map_err(ExitReason::error)?;
        let book = store.get(BOOKS, b"the book").map_err(ExitReason::error)?;
        let entry = |bytes: &[u8; 8]| Entry::from_be_bytes(*bytes);
        let book = book
            .unwrap_or_default()
            .as_chunks()
            .0
            .iter()
            .map(entry)
            .collect();
        let archive = Archive {
            looks,
            store,
            fences,
            book,
        };
        archive.tell(ctx);
        Ok(archive)
    }

    async fn handle(&mut self, message: ToArchive, ctx: &mut Context<ToArchive>) -> Flow {
        let mut batch = Batch::new();
        match message {
            ToArchive::Read(fencing, reply_to) => {
                // From now on nobody writes who held the lease before.
                let admits = self.admits(&fencing, &mut batch, ctx);
                if let Err(error) = self.store.commit(&batch) {
                    return Flow::Stop(ExitReason::error(error));
                }
                reply_to.reply(admits.then(|| self.book.clone()));
            }
            ToArchive::Write(fencing, book, reply_to) => {
                let admits = self.admits(&fencing, &mut batch, ctx);
                if admits {
                    let bytes: Vec<u8> =
                        book.iter().flat_map(|entry| entry.to_be_bytes()).collect();
                    batch.put(BOOKS, b"the book", bytes);
                    if let Err(error) = self.store.commit(&batch) {
                        return Flow::Stop(ExitReason::error(error));
                    }
                    self.book = book;
                    self.tell(ctx);
                }
                reply_to.reply(admits);
            }
        }
        Flow::Next
    }
}

// ---- the clerks

async fn clerk(ctx: Context, name: &'static str) -> Result<(), ExitReason> {
    let book = Resource::new(Address::named("office", "leases"), "the book").timeout(secs(1));
    loop {
        let Ok(lease) = book.acquire_within(secs(5)).await else {
            ctx.sleep(millis(200)).await;
            continue;
        };
        let written = lease.during(keep_the_book(&ctx, lease.fencing())).await;
        match written {
            Ok(Some(entry)) => ctx.observe("kept", |kept: &mut Kept| {
                kept.confirmed.push(entry);
                kept.last.insert(name, ctx.now());
            }),
            Ok(None) => {}
            Err(LeaseError::NotHeld | LeaseError::Server(_)) => ctx.count("lost its lease"),
        }
        drop(lease);
        ctx.sleep(millis(ctx.random_below(1_000))).await;
    }
}

/// Adds an entry to the book: which, once that is confirmed.
async fn keep_the_book(ctx: &Context, fencing: &Fencing) -> Option<Entry> {
    let archive = Address::named("archive", "archive");
    let read = |reply_to| ToArchive::Read(fencing.clone(), reply_to);
    let mut book = archive.call(read, secs(2)).await.ok()??;
    ctx.sleep(millis(300)).await;
    let entry = ctx.random();
    book.push(entry);
    let write = |reply_to| ToArchive::Write(fencing.clone(), book, reply_to);
    (archive.call(write, secs(2)).await == Ok(true)).then_some(entry)
}

// ---- the scenarios

/// What observers know.
#[derive(Default)]
struct Kept {
    /// What clerks were told that it is written.
    confirmed: Vec<Entry>,
    /// When each clerk was last told so, by its clock.
    last: BTreeMap<&'static str, Time>,
    /// The first of what was confirmed that is not in the book.
    lost: Option<usize>,
}

fn nothing_is_lost(view: &View) -> Result<(), String> {
    match view.observed::<Kept>("kept").and_then(|kept| kept.lost) {
        Some(nth) => Err(format!(
            "entry {nth} was confirmed, and the book has it no more"
        )),
        None => Ok(()),
    }
}

fn all_write(view: &View) -> Result<(), String> {
    let last = |name| view.observed::<Kept>("kept")?.last.get(name).copied();
    for name in CLERKS {
        let is_recent = |at| view.now().since(at) <= RECENT;
        if !last(name).is_some_and(is_recent) {
            return Err(format!("{name} has written nothing lately"));
        }
    }
    Ok(())
}

/// One process to look after.
fn tree<C: Startable>(name: &str, start: impl Fn() -> C + 'static) -> Supervisor {
    Supervisor::one_for_one()
        .intensity(100, secs(10))
        .child(child(name, start))
}

fn leases() -> Leases {
    Leases::new("leases", |ctx| store(&ctx)).resource("the book", LeaseSettings::new(secs(1)))
}

fn scenario(name: &str, looks: Looks) -> Scenario {
    let archive = move || Server::<Archive>::with(looks).name("archive");
    let scenario = Scenario::new(name)
        .node("office", |ctx| machine(ctx, || tree("leases", leases)))
        .node("archive", move |ctx| {
            machine(ctx, move || tree("archive", archive))
        });
    CLERKS
        .into_iter()
        .fold(scenario, |scenario, name| {
            let clerk = move || process(move |ctx| clerk(ctx, name));
            scenario.node(name, move |ctx| machine(ctx, move || tree("clerk", clerk)))
        })
        .faults(storm())
        .horizon(secs(45))
        .quiet(secs(20))
        .always(NO_LOSS, nothing_is_lost)
}

/// The sound form.
pub(crate) fn sound() -> Scenario {
    scenario("mail/lease", Looks::AtTokens)
        .summary(
            "a book that one keeps at a time, by a lease: who comes too late shows an old token",
        )
        .finally("in the end every clerk writes", all_write)
        .sometimes("somebody comes too late", |view| {
            view.counter("came too late") > 0
        })
        .sometimes("a clerk loses its lease at work", |view| {
            view.counter("lost its lease") > 0
        })
}

/// The mutant: the archive does not look at tokens.
pub(crate) fn no_fencing() -> Scenario {
    scenario("mail/mutant_no_fencing", Looks::Nowhere)
        .summary("the same book without a fence: a clerk that was paused or cut off writes late")
        .broken(NO_LOSS)
}
