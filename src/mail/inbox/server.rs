//! The process of an inbox: hands over all that waits, commits all effects at once, then tells and acks.

use super::core::{Arrival, Core};
use super::{Opener, Reader};
use crate::mail::letter::{Answer, Delivery, Head, Letter, Parcel, Receipt, Receipts, Sheet};
use crate::mail::outbox::{Asked, ToOutbox};
use crate::mail::store::{Batch, Store, StoreError};
use crate::otp::{Flow, GenServer, Refusal};
use crate::process::{Address, Context, ExitReason, Info, Labeled, Tag, Target, decode};
use crate::trace::{LetterId, Mailed, PacketKind};
use std::time::Duration;

/// How much of what waits is taken into one commit.
const GROUP: usize = 1024;
/// How many receipts go in one packet.
const RECEIPTS: usize = 128;
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
    /// What is told of which letter, at which attempt, once the effects are committed.
    told: Vec<(LetterId, u32, Mailed)>,
    receipts: Vec<(Target, Receipts)>,
    /// How many letters were held that is not counted as yet.
    held: u64,
    /// Of which type its messages are.
    kind: Tag,
}

/// A parcel, while its letters are read.
#[derive(Clone, Copy)]
struct Opened {
    head: Head,
    stream: usize,
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
            held: 0,
            kind: Tag::of::<R::Message>(),
        })
    }

    async fn handle(&mut self, parcel: Parcel, ctx: &mut Context<Parcel>) -> Flow {
        let (mut began, mut read, mut in_time) = (ctx.now(), 0, true);
        let mut next = Some(parcel);
        while let Some(Parcel { head, sheets }) = next {
            let stream = self.core.opens(&head);
            for sheet in sheets {
                self.take(Opened { head, stream }, &sheet, ctx).await;
                read += 1;
                if ctx.now().since(began) >= GROUP_TIME {
                    if let Err(error) = self.commit(ctx) {
                        return Flow::Stop(ExitReason::error(error));
                    }
                    (began, in_time) = (ctx.now(), false);
                }
            }
            let more = in_time && read < GROUP;
            next = more.then(|| ctx.take_message()).flatten();
        }
        match self.commit(ctx) {
            Ok(()) => Flow::Next,
            Err(error) => Flow::Stop(ExitReason::error(error)),
        }
    }

    async fn handle_info(&mut self, _: Info, _: &mut Context<Parcel>) -> Flow {
        Flow::Next
    }

    /// Where a letter makes its reader panic, those that were read before it in its group are done all the
    /// same: else they would be dropped with it, again and again.
    async fn terminate(&mut self, _: &ExitReason, ctx: &mut Context<Parcel>) {
        self.scratch.clear();
        let _ = self.commit(ctx);
    }

    fn format_status(&self) -> String {
        format!("an inbox that holds {} letters", self.core.held())
    }
}

impl<R: Reader> InboxServer<R> {
    async fn take(&mut self, opened: Opened, sheet: &Sheet, ctx: &Context<Parcel>) {
        match self.core.arrives(opened.stream, opened.head.kind, sheet) {
            Arrival::Hand => self.hand(opened, sheet, ctx).await,
            Arrival::HandHeld(sheet) => self.hand(opened, &sheet, ctx).await,
            Arrival::Held => self.held += 1,
            Arrival::Repeated(receipt) => {
                let letter = opened.head.letter(receipt.number);
                self.told.push((letter, receipt.attempt, Mailed::Repeated));
                self.acknowledge(&opened.head, receipt);
            }
            Arrival::Beyond => ctx.count("mail.inbox.beyond_window"),
        }
        let Opened { head, stream } = opened;
        while let Some((kind, sheet)) = self.core.released(stream) {
            let head = Head { kind, ..head };
            self.hand(Opened { head, stream }, &sheet, ctx).await;
        }
    }

    /// Hands a letter to the reader.
    async fn hand(&mut self, opened: Opened, sheet: &Sheet, ctx: &Context<Parcel>) {
        let Opened { head, stream } = opened;
        let (letter, attempt) = (head.letter(sheet.number), sheet.attempt);
        let answer = match (&sheet.body, self.open(head.kind, sheet)) {
            (None, _) => Answer::Done,
            (Some(_), None) => Answer::Unreadable,
            (Some(_), Some(message)) => {
                ctx.tell_mail(letter, attempt, Mailed::Delivered);
                let letter_read = Letter {
                    envelope: head.envelope(sheet),
                    message,
                    delivery: Delivery::new(letter, attempt),
                };
                let verdict = self.reader.letter(letter_read, &mut self.scratch).await;
                let answer = verdict.of(&Delivery::new(letter, attempt));
                if answer == Answer::Done {
                    self.batch.append(&mut self.scratch);
                    self.told.push((letter, attempt, Mailed::Effected));
                }
                self.scratch.clear();
                answer
            }
        };
        let receipt = self.core.decided(stream, sheet, answer);
        self.acknowledge(&head, receipt);
    }

    /// The message of a letter, where it has one that can be read.
    fn open(&self, kind: Tag, sheet: &Sheet) -> Option<R::Message> {
        let bytes = sheet.body.as_ref()?.bytes();
        let label = match kind == self.kind {
            true => Labeled::of::<R::Message>(),
            false => Labeled::from(kind),
        };
        decode(label, bytes).ok()
    }

    /// Keeps a receipt, to be sent once all is committed.
    fn acknowledge(&mut self, head: &Head, receipt: Receipt) {
        let Head {
            origin, from, to, ..
        } = *head;
        let of_same = |(outbox, receipts): &&mut (Target, Receipts)| {
            let has_room = receipts.receipts.len() < RECEIPTS;
            has_room && *outbox == from && receipts.origin == origin && receipts.to == to
        };
        if let Some((_, receipts)) = self.receipts.last_mut().filter(of_same) {
            return receipts.receipts.push(receipt);
        }
        let receipts = vec![receipt];
        self.receipts.push((
            from,
            Receipts {
                origin,
                to,
                receipts,
            },
        ));
    }

    /// Commits effects and memory together, and then says so.
    fn commit(&mut self, ctx: &Context<Parcel>) -> Result<(), StoreError> {
        if self.held > 0 {
            ctx.count_by("mail.inbox.held", std::mem::take(&mut self.held));
        }
        self.core.seal(&mut self.batch);
        if !self.batch.is_empty()
            && let Err(error) = self.store.commit(&self.batch)
        {
            ctx.note(format_args!("the inbox could not commit: {error}"));
            ctx.count("mail.inbox.store_failed");
            self.batch.clear();
            self.told.clear();
            self.receipts.clear();
            return Err(error);
        }
        self.batch.clear();
        // What is committed is told before anything else: a crash cannot come between.
        for (letter, attempt, what) in self.told.drain(..) {
            ctx.tell_mail(letter, attempt, what);
        }
        for (to, receipts) in self.receipts.drain(..) {
            let receipts = ToOutbox(Asked::Receipts(receipts));
            Address::to(to).send_datagram_as(PacketKind::Ack, receipts);
        }
        Ok(())
    }
}
