//! The process of an outbox: takes all that waits, commits it at once, then tells, answers and sends.

use super::core::{Core, Moment, Options};
use super::record::{self, DeadMail};
use super::{Asked, Opener, Route, SendError, ToInbox, ToOutbox, Written};
use crate::mail::store::{Batch, Store, StoreError};
use crate::otp::{Flow, GenServer, Refusal};
use crate::process::{Context, ExitReason, Info, ReplyTo, Target, Via};
use crate::trace::{LetterId, Mailed, Name, PacketKind};
use std::time::Duration;

/// How much of what waits is taken into one commit.
const GROUP: usize = 1024;

/// How long it waits on a full disk before it sends again.
const FULL_WAIT: Duration = Duration::from_secs(1);

/// How to start an outbox.
pub(super) struct Args {
    pub(super) name: String,
    pub(super) open: Opener,
    pub(super) options: Options,
    pub(super) via: Via,
    pub(super) route: Route,
}

/// The outbox as a server.
pub(super) struct OutboxServer {
    core: Core,
    store: Box<dyn Store>,
    batch: Batch,
    replies: Vec<Waiter>,
    /// Whether it has sent what an earlier boot has left.
    booted: bool,
    options: Options,
    via: Via,
    route: Route,
    from: Target,
}

/// Who waits for the commit.
enum Waiter {
    Posted(Vec<LetterId>, ReplyTo<Result<Vec<LetterId>, SendError>>),
    Forgot(ReplyTo<Result<(), SendError>>),
}

impl Waiter {
    fn hears(self, committed: Result<(), SendError>) {
        match self {
            Waiter::Posted(letters, reply_to) => reply_to.reply(committed.map(|()| letters)),
            Waiter::Forgot(reply_to) => reply_to.reply(committed),
        }
    }
}

impl GenServer for OutboxServer {
    type Args = Args;
    type Message = ToOutbox;

    async fn init(args: Args, ctx: &mut Context<ToOutbox>) -> Result<OutboxServer, Refusal> {
        let Args {
            name,
            open,
            options,
            via,
            route,
        } = args;
        let mut store = open(ctx.untyped()).map_err(ExitReason::error)?;
        let from = Target::from((ctx.node(), name.as_str()));
        let mut batch = Batch::new();
        ctx.keeps_mail();
        // A store that was wiped counts from 1 again: its letters must be others than those before.
        let mut origin = || Name::new(&format!("{name}@{}/{:x}", ctx.node(), ctx.random()));
        let core = Core::open(&*store, options, from, &mut origin, &mut batch);
        let core = core.map_err(ExitReason::error)?;
        if !batch.is_empty() {
            store.commit(&batch).map_err(ExitReason::error)?;
            batch.clear();
        }
        Ok(OutboxServer {
            core,
            store,
            batch,
            replies: Vec::new(),
            booted: false,
            options,
            via,
            route,
            from,
        })
    }

    fn first(&self) -> Flow {
        Flow::Continue
    }

    async fn handle_continue(&mut self, ctx: &mut Context<ToOutbox>) -> Flow {
        self.finish(ctx)
    }

    async fn handle(&mut self, message: ToOutbox, ctx: &mut Context<ToOutbox>) -> Flow {
        let (mut next, mut taken) = (Some(message), 0);
        while let Some(ToOutbox(asked)) = next {
            self.take(asked, ctx);
            taken += 1;
            next = (taken < GROUP).then(|| ctx.take_message()).flatten();
        }
        self.finish(ctx)
    }

    async fn handle_info(&mut self, info: Info, ctx: &mut Context<ToOutbox>) -> Flow {
        if info == Info::Redeliver {
            self.with_core(ctx, |core, moment, _| core.redeliver(moment));
        }
        self.finish(ctx)
    }

    fn format_status(&self) -> String {
        format!("an outbox that holds {} letters", self.core.held())
    }
}

impl OutboxServer {
    fn with_core<R>(
        &mut self,
        ctx: &Context<ToOutbox>,
        code: impl FnOnce(&mut Core, &mut Moment<'_>, &mut Batch) -> R,
    ) -> R {
        let mut moment = Moment {
            now: ctx.now(),
            wall_ns: crate::kernel::time::nanos(ctx.wall_clock()),
            draw: &mut |below| ctx.random_below(below),
            route: &*self.route,
        };
        code(&mut self.core, &mut moment, &mut self.batch)
    }

    fn take(&mut self, asked: Asked, ctx: &Context<ToOutbox>) {
        match asked {
            Asked::Post(letters, reply_to) => self.post(letters, reply_to, ctx),
            Asked::Receipts(receipts) => self.with_core(ctx, |core, moment, batch| {
                core.receipts(receipts, moment, batch);
            }),
            Asked::Again(to) => {
                self.with_core(ctx, |core, moment, _| core.again(to, moment));
            }
            Asked::Dead(most, reply_to) => reply_to.reply(self.dead(most)),
            Asked::Forget(letters, reply_to) => {
                for letter in letters {
                    record::remove_dead(&mut self.batch, letter.number);
                }
                self.replies.push(Waiter::Forgot(reply_to));
            }
        }
    }

    fn dead(&self, most: u64) -> Result<Vec<DeadMail>, SendError> {
        Ok(record::dead(&*self.store, most)?)
    }

    fn post(
        &mut self,
        letters: Vec<Written>,
        reply_to: ReplyTo<Result<Vec<LetterId>, SendError>>,
        ctx: &Context<ToOutbox>,
    ) {
        let taken = self.with_core(ctx, |core, moment, batch| {
            core.admits(&letters, moment.wall_ns)?;
            let letters = letters.into_iter();
            Ok(letters
                .map(|letter| core.accept(letter, moment, batch))
                .collect())
        });
        match taken {
            Ok(taken) => self.replies.push(Waiter::Posted(taken, reply_to)),
            Err(error) => reply_to.reply(Err(error)),
        }
    }

    /// Commits what was taken, and does what was to wait for that.
    fn finish(&mut self, ctx: &Context<ToOutbox>) -> Flow {
        let booted = std::mem::replace(&mut self.booted, true);
        self.with_core(ctx, |core, moment, batch| {
            if !booted {
                core.boot(moment, batch);
            }
            core.due(moment, batch);
            core.seal(batch);
        });
        if !self.batch.is_empty()
            && let Err(error) = self.store.commit(&self.batch)
        {
            return self.failed(error, ctx);
        }
        self.batch.clear();
        let effects = self.core.effects();
        // What is committed is told before anything else: a crash cannot come between.
        for fact in effects.facts.drain(..) {
            ctx.tell_mail(fact.letter, fact.attempt, fact.what);
        }
        for waiter in self.replies.drain(..) {
            waiter.hears(Ok(()));
        }
        for (to, parcel) in effects.parcels.drain(..) {
            for sheet in parcel.sheets.iter().filter(|sheet| sheet.body.is_some()) {
                let letter = parcel.head.letter(sheet.number);
                ctx.tell_mail(letter, sheet.attempt, Mailed::Sent);
            }
            let to = ToInbox::to(to);
            match self.via {
                Via::Datagram => to.send_datagram_as(PacketKind::Data, parcel),
                Via::Connection => to.send_as(PacketKind::Data, parcel),
            }
        }
        self.rest(ctx)
    }

    fn rest(&mut self, ctx: &Context<ToOutbox>) -> Flow {
        let wall_ns = crate::kernel::time::nanos(ctx.wall_clock());
        match self.core.wait(ctx.now(), wall_ns) {
            Some(wait) => Flow::NextWithin(wait),
            None => Flow::Next,
        }
    }

    /// A commit has failed. On a full disk nothing has changed, so it goes on from what is stored; after any
    /// other failure that is not known, and it ends.
    fn failed(&mut self, error: StoreError, ctx: &Context<ToOutbox>) -> Flow {
        ctx.note(format_args!("the outbox could not commit: {error}"));
        ctx.count("mail.outbox.store_failed");
        self.batch.clear();
        for waiter in self.replies.drain(..) {
            waiter.hears(Err(SendError::Store(error.clone())));
        }
        let stop = |error| Flow::Stop(ExitReason::error(error));
        let StoreError::Full(_) = error else {
            return stop(error);
        };
        let mut origin = || unreachable!("a store that was begun has a name");
        let opened = Core::open(
            &*self.store,
            self.options,
            self.from,
            &mut origin,
            &mut self.batch,
        );
        match opened {
            Ok(core) => self.core = core,
            Err(error) => return stop(error),
        }
        self.booted = false;
        Flow::NextWithin(FULL_WAIT)
    }
}
