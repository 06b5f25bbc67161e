//! The process of an inbox: hands over all that waits, commits all effects at once, then tells and acks.

use super::core::{Arrival, Core};
use super::{Opener, Reader};
use crate::kernel::Time;
use crate::mail::letter::{Answer, Body, Delivery, Envelope, Letter, Parcel, Receipt};
use crate::mail::outbox::{Asked, ToOutbox};
use crate::mail::store::{Batch, Store};
use crate::otp::{Flow, GenServer, Refusal};
use crate::process::{Address, Context, ExitReason, Info, Labeled, Target, decode};
use crate::trace::{Mailed, PacketKind};
use std::time::Duration;

/// How much of what waits is taken into one commit.
const GROUP: usize = 1024;
/// A reader that takes this long ends its group: those before it are not to wait.
const GROUP_TIME: Duration = Duration::from_millis(1);

/// How to start an inbox.
pub(super) struct Args {
    pub(super) open: Opener,
    pub(super) window: u64,
}

/// The inbox as a server.
pub(super) struct InboxServer<R> {
    core: Core,
    store: Box<dyn Store>,
    reader: R,
    batch: Batch,
    /// What one letter changes, until it is acked.
    scratch: Batch,
    told: Vec<(Envelope, Mailed)>,
    receipts: Vec<(Target, Receipt)>,
}

impl<R: Reader> GenServer for InboxServer<R> {
    type Args = Args;
    type Message = Parcel;

    async fn init(args: Args, ctx: &mut Context<Parcel>) -> Result<InboxServer<R>, Refusal> {
        let store = (args.open)(ctx.untyped()).map_err(ExitReason::error)?;
        let core = Core::open(&*store, args.window).map_err(ExitReason::error)?;
        let reader = R::open(&*store, ctx.untyped()).map_err(ExitReason::error)?;
        for (from, to) in core.senders() {
            let again = ToOutbox(Asked::Again(to));
            Address::to(from).send_datagram_as(PacketKind::Control, again);
        }
        Ok(InboxServer {
            core,
            store,
            reader,
            batch: Batch::new(),
            scratch: Batch::new(),
            told: Vec::new(),
            receipts: Vec::new(),
        })
    }

    async fn handle(&mut self, parcel: Parcel, ctx: &mut Context<Parcel>) -> Flow {
        let began = ctx.now();
        let (mut next, mut taken) = (Some(parcel), 0);
        while let Some(parcel) = next {
            self.take(parcel, ctx).await;
            taken += 1;
            let more = taken < GROUP && !is_over(began, ctx);
            next = more.then(|| ctx.take_message()).flatten();
        }
        self.finish(ctx)
    }

    async fn handle_info(&mut self, _: Info, _: &mut Context<Parcel>) -> Flow {
        Flow::Next
    }

    fn format_status(&self) -> String {
        format!("an inbox that holds {} letters", self.core.held())
    }
}

fn is_over(began: Time, ctx: &Context<Parcel>) -> bool {
    ctx.now().since(began) >= GROUP_TIME
}

impl<R: Reader> InboxServer<R> {
    async fn take(&mut self, parcel: Parcel, ctx: &Context<Parcel>) {
        let envelope = parcel.envelope;
        match self.core.arrives(parcel) {
            Arrival::Hand(parcel) => self.hand(parcel, ctx).await,
            Arrival::Held => ctx.count("mail.inbox.held"),
            Arrival::Repeated(envelope, receipt) => {
                self.told.push((envelope, Mailed::Repeated));
                self.receipts.push((envelope.from, receipt));
            }
            Arrival::Beyond => ctx.count("mail.inbox.beyond_window"),
        }
        while let Some(parcel) = self.core.released(&envelope) {
            self.hand(parcel, ctx).await;
        }
    }

    /// Hands a letter to the reader.
    async fn hand(&mut self, parcel: Parcel, ctx: &Context<Parcel>) {
        let Parcel {
            envelope,
            place,
            body,
            ..
        } = parcel;
        let Some(body) = body else {
            let receipt = self.core.decided(&envelope, place, Answer::Done);
            return self.receipts.push((envelope.from, receipt));
        };
        let answer = match open::<R>(&envelope, &body) {
            None => Answer::Unreadable,
            Some(message) => {
                ctx.tell_mail(envelope.id, envelope.attempt, Mailed::Delivered);
                let letter = Letter {
                    envelope,
                    message,
                    delivery: Delivery::new(envelope.id, envelope.attempt),
                };
                let verdict = self.reader.letter(letter, &mut self.scratch).await;
                verdict.of(&Delivery::new(envelope.id, envelope.attempt))
            }
        };
        if answer == Answer::Done {
            self.batch.append(&mut self.scratch);
            self.told.push((envelope, Mailed::Effected));
        } else {
            self.scratch.clear();
        }
        let receipt = self.core.decided(&envelope, place, answer);
        self.receipts.push((envelope.from, receipt));
    }

    /// Commits effects and memory together, and then says so.
    fn finish(&mut self, ctx: &Context<Parcel>) -> Flow {
        self.core.seal(&mut self.batch);
        if !self.batch.is_empty()
            && let Err(error) = self.store.commit(&self.batch)
        {
            ctx.note(format_args!("the inbox could not commit: {error}"));
            ctx.count("mail.inbox.store_failed");
            return Flow::Stop(ExitReason::error(error));
        }
        self.batch.clear();
        // What is committed is told before anything else: a crash cannot come between.
        for (envelope, what) in self.told.drain(..) {
            ctx.tell_mail(envelope.id, envelope.attempt, what);
        }
        while let Some(&(to, _)) = self.receipts.first() {
            let receipts = self.receipts.extract_if(.., |(from, _)| *from == to);
            let receipts = receipts.map(|(_, receipt)| receipt).collect();
            let receipts = ToOutbox(Asked::Receipts(receipts));
            Address::to(to).send_datagram_as(PacketKind::Ack, receipts);
        }
        Flow::Next
    }
}

fn open<R: Reader>(envelope: &Envelope, body: &Body) -> Option<R::Message> {
    decode(Labeled::from(envelope.kind), body.bytes()).ok()
}
