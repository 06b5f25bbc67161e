//! What becomes of letters, as the processes that send and receive them tell.

use super::context::Context;
use super::message::Message;
use super::system::with;
use crate::trace::{Event, LetterId, Mailed, Name};

impl<M: Message> Context<M> {
    /// The name of an outbox or a queue, as its letters have it. Logs and complaints know its
    /// text from here.
    #[must_use]
    pub fn mail_origin(&self, text: &str) -> Name {
        let name = Name::new(text);
        with(|system| system.kernel.trace.mail_name(name, text));
        name
    }

    /// Says that this process keeps mail until that is acked, and sends it again where it was not: faults of
    /// mail may befall it from now on. When it is told [`Info::Redeliver`](super::Info::Redeliver) it is to
    /// send again, at once, all that it has sent and is not acked.
    pub fn keeps_mail(&self) {
        with(|system| {
            let slot = system.own_slot(self.pid());
            if let Some(process) = system.process(slot) {
                process.extra().keeps_mail = true;
            }
        });
    }

    /// Notes what becomes of a letter, at its how-manieth attempt; 0 where it is none of one. For who makes
    /// mail, so that a trace shows it and a check can follow it. No call of the host.
    ///
    /// ```
    /// use netsplit::trace::{Event, LetterId, Mailed};
    /// use netsplit::{Chance, Context, Keep, Scenario};
    ///
    /// let scenario = Scenario::new("mail by hand")
    ///     .client("shop", |ctx: Context| async move {
    ///         let letter = LetterId { origin: ctx.mail_origin("orders"), number: 1 };
    ///         ctx.tell_mail(letter, 0, Mailed::accepted(0));
    ///     })
    ///     .finally("it ended", |_| true);
    /// let keep = Keep { log: true, ..Keep::default() };
    /// let log = scenario.run_with(Chance::Seed(7), keep).unwrap().log.unwrap();
    /// let mail = |event: &Event| matches!(event, Event::Mail { .. });
    /// assert_eq!(log.entries().iter().filter(|entry| mail(&entry.event)).count(), 1);
    /// ```
    #[inline]
    pub fn tell_mail(&self, letter: LetterId, attempt: u32, what: Mailed) {
        with(|system| {
            if system.budget > 0 {
                let by = system.current.pid;
                let attempt = u16::try_from(attempt).unwrap_or(u16::MAX);
                system.kernel.trace.emit(Event::Mail {
                    by,
                    letter,
                    attempt,
                    what,
                });
            }
        });
    }
}
