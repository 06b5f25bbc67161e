//! Mail as people write it themselves, right, and with one safeguard left out each.
//!
//! A shop keeps each letter in a store until it is acked, and sends the oldest again and again. A bank books
//! what the letter says, and acks it. That is right (`mail/by_hand`) if
//!
//! - an ack names its letter: else a second ack of one letter is taken for the ack of the next, which is lost
//!   (`mail/mutant_ack_without_id`);
//! - the letter is acked when it is booked, not before: else a crash between the two loses it
//!   (`mail/mutant_ack_before_effect`);
//! - what it does and the memory that it is done are stored in one transaction: else a crash between the two
//!   books it again (`mail/mutant_two_transactions`);
//! - what is remembered lasts for as long as a letter can come again: else a copy that was held up on its way
//!   is booked again (`mail/mutant_small_window`);
//! - what is stored is synced before it counts: else the power takes what was acked
//!   (`mail/mutant_unsynced_store`).

use super::hasty::HastyStore;
use super::ledger::{
    BOOKS, LOST, Ledger, ONCE, Transfer, booked_once, customer, none_lost, stormy, supervised,
};
use super::{machine, store};
use netsplit::mail::{Batch, Store, StoreError, Table};
use netsplit::{
    Address, Context, ExitReason, Flow, GenServer, Info, Message, PacketKind, Refusal, ReplyTo,
    Scenario, Server, child, millis, secs,
};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::marker::PhantomData;

type Number = u64;
type Stored = Result<Box<dyn Store>, StoreError>;

/// A letter on its way.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Letter(Number, Transfer);

// ---- acks

/// What the bank says of a letter.
trait Ack: Message {
    fn of(letter: Letter) -> Self;

    /// Whether it is for this letter.
    fn is_for(&self, letter: Number) -> bool;
}

/// This letter is done.
#[derive(Debug, Serialize, Deserialize)]
struct Done(Number);

impl Ack for Done {
    fn of(Letter(number, _): Letter) -> Done {
        Done(number)
    }

    fn is_for(&self, letter: Number) -> bool {
        self.0 == letter
    }
}

/// The letter that you have sent is done.
#[derive(Debug, Serialize, Deserialize)]
struct ThatIsDone;

impl Ack for ThatIsDone {
    fn of(_: Letter) -> ThatIsDone {
        ThatIsDone
    }

    fn is_for(&self, _: Number) -> bool {
        true
    }
}

// ---- the shop

#[derive(Debug, Serialize, Deserialize)]
enum ToShop<A> {
    /// Answered when it is stored.
    Post(Transfer, ReplyTo<()>),
    Ack(A),
}

const LETTERS: Table = Table("letters");
const NEXT: Table = Table("next");

struct Shop<A> {
    store: Box<dyn Store>,
    letters: BTreeMap<Number, Transfer>,
    next: Number,
    acks: PhantomData<A>,
}

impl<A: Ack> Shop<A> {
    fn send_oldest(&self) -> Flow {
        let Some((number, transfer)) = self.letters.first_key_value() else {
            return Flow::Next;
        };
        Address::named("bank", "ledger").send_datagram(Letter(*number, *transfer));
        self.wait_for_ack()
    }

    fn wait_for_ack(&self) -> Flow {
        if self.letters.is_empty() {
            return Flow::Next;
        }
        Flow::NextWithin(millis(100))
    }

    fn post(&mut self, transfer: Transfer) -> Result<Flow, StoreError> {
        let mut batch = Batch::new();
        let written = postcard::to_allocvec(&transfer).expect("two numbers");
        batch.put(LETTERS, self.next.to_be_bytes(), written);
        batch.put(NEXT, b"next", (self.next + 1).to_be_bytes());
        self.store.commit(&batch)?;
        self.letters.insert(self.next, transfer);
        self.next += 1;
        Ok(match self.letters.len() {
            1 => self.send_oldest(),
            _ => self.wait_for_ack(),
        })
    }

    fn acked(&mut self, ack: &A) -> Result<Flow, StoreError> {
        let oldest = self.letters.first_entry();
        let Some(oldest) = oldest.filter(|oldest| ack.is_for(*oldest.key())) else {
            return Ok(self.wait_for_ack());
        };
        let mut batch = Batch::new();
        batch.remove(LETTERS, oldest.key().to_be_bytes());
        self.store.commit(&batch)?;
        oldest.remove();
        Ok(self.send_oldest())
    }
}

impl<A: Ack> GenServer for Shop<A> {
    type Args = ();
    type Message = ToShop<A>;

    async fn init((): (), ctx: &mut Context<ToShop<A>>) -> Result<Shop<A>, Refusal> {
        let store = store(ctx)?;
        let mut letters = BTreeMap::new();
        let last: &[u8] = &[u8::MAX; 8];
        store.scan(LETTERS, &[]..=last, &mut |number, transfer| {
            let transfer = postcard::from_bytes(transfer).expect("two numbers");
            letters.insert(self::number(number), transfer);
            true
        })?;
        let next = store.get(NEXT, b"next")?;
        Ok(Shop {
            store: Box::new(store),
            letters,
            next: next.map_or(1, |next| number(&next)),
            acks: PhantomData,
        })
    }

    fn first(&self) -> Flow {
        Flow::NextWithin(millis(100))
    }

    async fn handle(&mut self, message: ToShop<A>, _: &mut Context<ToShop<A>>) -> Flow {
        let stored = match message {
            ToShop::Post(transfer, promised) => {
                let stored = self.post(transfer);
                stored.inspect(|_| promised.reply(()))
            }
            ToShop::Ack(ack) => self.acked(&ack),
        };
        stored.unwrap_or_else(|error| Flow::Stop(error.into()))
    }

    async fn handle_info(&mut self, _: Info, _: &mut Context<ToShop<A>>) -> Flow {
        self.send_oldest()
    }
}

fn number(bytes: &[u8]) -> Number {
    Number::from_be_bytes(bytes.try_into().expect("eight bytes"))
}

async fn post<A: Ack>(transfer: Transfer) -> bool {
    let shop = Address::<ToShop<A>>::named("shop", "shop");
    let promised = shop.call(|promised| ToShop::Post(transfer, promised), secs(5));
    promised.await.is_ok()
}

// ---- the bank

const DONE: Table = Table("done");

/// The books, and the memory of which letters are done.
struct Desk {
    store: Box<dyn Store>,
    ledger: Ledger,
    done: BTreeSet<Number>,
}

impl Desk {
    fn open(store: Box<dyn Store>) -> Result<Desk, StoreError> {
        let mut done = BTreeSet::new();
        let last: &[u8] = &[u8::MAX; 8];
        store.scan(DONE, &[]..=last, &mut |number, _| {
            done.insert(self::number(number))
        })?;
        let ledger = Ledger::read(&*store)?;
        Ok(Desk {
            store,
            ledger,
            done,
        })
    }

    fn remember(&mut self, letter: Number, batch: &mut Batch) {
        self.done.insert(letter);
        batch.put(DONE, letter.to_be_bytes(), b"");
    }
}

/// How the bank works on a letter that may be new.
trait Way: 'static {
    async fn take(
        desk: &mut Desk,
        letter: Letter,
        ack: impl Fn(),
        ctx: &Context<Letter>,
    ) -> Result<(), StoreError>;
}

/// Right: what the letter does and the memory of it at once, then the ack.
struct Careful;

impl Way for Careful {
    async fn take(
        desk: &mut Desk,
        Letter(number, transfer): Letter,
        ack: impl Fn(),
        _: &Context<Letter>,
    ) -> Result<(), StoreError> {
        if !desk.done.contains(&number) {
            let mut batch = Batch::new();
            desk.ledger.book(transfer, &mut batch);
            desk.remember(number, &mut batch);
            desk.store.commit(&batch)?;
        }
        ack();
        Ok(())
    }
}

/// Says that it has the letter, and then works on it.
struct AcksFirst;

impl Way for AcksFirst {
    async fn take(
        desk: &mut Desk,
        letter: Letter,
        ack: impl Fn(),
        ctx: &Context<Letter>,
    ) -> Result<(), StoreError> {
        ack();
        ctx.sleep(millis(5)).await;
        Careful::take(desk, letter, || (), ctx).await
    }
}

/// Books it, and notes then that it is done.
struct TwoTransactions;

impl Way for TwoTransactions {
    async fn take(
        desk: &mut Desk,
        Letter(number, transfer): Letter,
        ack: impl Fn(),
        _: &Context<Letter>,
    ) -> Result<(), StoreError> {
        if !desk.done.contains(&number) {
            let mut batch = Batch::new();
            desk.ledger.book(transfer, &mut batch);
            desk.store.commit(&batch)?;
            let mut batch = Batch::new();
            desk.remember(number, &mut batch);
            desk.store.commit(&batch)?;
        }
        ack();
        Ok(())
    }
}

/// Remembers the last three letters.
struct Forgets;

impl Way for Forgets {
    async fn take(
        desk: &mut Desk,
        letter: Letter,
        ack: impl Fn(),
        ctx: &Context<Letter>,
    ) -> Result<(), StoreError> {
        Careful::take(desk, letter, ack, ctx).await?;
        while desk.done.len() > 3 {
            desk.done.pop_first();
        }
        Ok(())
    }
}

struct Bank<W, A> {
    desk: Desk,
    way: PhantomData<(W, A)>,
}

impl<W: Way, A: Ack> GenServer for Bank<W, A> {
    type Args = fn(&Context<Letter>) -> Stored;
    type Message = Letter;

    async fn init(open: Self::Args, ctx: &mut Context<Letter>) -> Result<Bank<W, A>, Refusal> {
        let desk = Desk::open(open(ctx)?)?;
        desk.ledger.show(ctx);
        Ok(Bank {
            desk,
            way: PhantomData,
        })
    }

    async fn handle(&mut self, letter: Letter, ctx: &mut Context<Letter>) -> Flow {
        let ack = || {
            let shop = Address::<ToShop<A>>::named("shop", "shop");
            shop.send_datagram_as(PacketKind::Ack, ToShop::Ack(A::of(letter)));
        };
        if let Err(error) = W::take(&mut self.desk, letter, ack, ctx).await {
            return Flow::Stop(ExitReason::from(error));
        }
        self.desk.ledger.show(ctx);
        Flow::Next
    }
}

// ---- the scenarios

fn synced(ctx: &Context<Letter>) -> Stored {
    Ok(Box::new(store(ctx)?))
}

fn unsynced(ctx: &Context<Letter>) -> Stored {
    Ok(Box::new(HastyStore::open(
        ctx.files(),
        "store",
        &[BOOKS, DONE],
    )?))
}

fn mail<W: Way, A: Ack>(name: &str, open: fn(&Context<Letter>) -> Stored) -> Scenario {
    stormy(
        Scenario::new(name)
            .node("shop", |ctx| {
                let shop = || Server::<Shop<A>>::with(()).name("shop");
                machine(ctx, move || supervised().child(child("shop", shop)))
            })
            .node("bank", move |ctx| {
                let bank = move || Server::<Bank<W, A>>::with(open).name("ledger");
                machine(ctx, move || supervised().child(child("bank", bank)))
            })
            .client("customer", |ctx| customer(ctx, post::<A>)),
    )
}

/// The sound form.
pub(crate) fn sound() -> Scenario {
    let mail = mail::<Careful, Done>("mail/by_hand", synced);
    none_lost(booked_once(mail)).summary(
        "mail as people write it themselves, right: the mutants leave out one safeguard each",
    )
}

/// An ack says that something is done, and not what.
pub(crate) fn ack_without_id() -> Scenario {
    none_lost(mail::<Careful, ThatIsDone>(
        "mail/mutant_ack_without_id",
        synced,
    ))
    .summary("an ack without an id: a second one of one letter is taken for that of the next")
    .broken(LOST)
}

/// A letter is acked before it is booked.
pub(crate) fn ack_before_effect() -> Scenario {
    none_lost(mail::<AcksFirst, Done>(
        "mail/mutant_ack_before_effect",
        synced,
    ))
    .summary("an ack before the work is done: a crash between the two loses the letter")
    .broken(LOST)
}

/// A letter is booked, and it is noted then that it is done.
pub(crate) fn two_transactions() -> Scenario {
    booked_once(mail::<TwoTransactions, Done>(
        "mail/mutant_two_transactions",
        synced,
    ))
    .summary("effect and id in two transactions: a crash between the two does it again")
    .broken(ONCE)
}

/// A few letters are remembered, however late others may come.
pub(crate) fn small_window() -> Scenario {
    booked_once(mail::<Forgets, Done>("mail/mutant_small_window", synced))
        .summary("three letters are remembered: a copy of an older one, held up on its way, is done again")
        .broken(ONCE)
}

/// What is stored is not synced.
pub(crate) fn unsynced_store() -> Scenario {
    none_lost(mail::<Careful, Done>(
        "mail/mutant_unsynced_store",
        unsynced,
    ))
    .summary("a store that does not sync: the power takes what was acked")
    .broken(LOST)
}
