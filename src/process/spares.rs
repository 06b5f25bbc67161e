//! What ended processes leave for those that are started after them: restarts and short-lived workers take no
//! new memory for it.

use super::mailbox::AnyMailbox;
use super::system::{Extra, Receiver, System};

/// So many of each are kept, of at most so much memory.
const MOST: usize = 4;
const MOST_LETTERS: usize = 64;

/// Empty mailboxes and extras. What comes of a run does not depend on them.
#[derive(Default)]
pub(crate) struct Spares {
    mailboxes: Vec<Box<dyn AnyMailbox>>,
    #[allow(
        clippy::vec_box,
        reason = "a process has it in a box, and that box serves again"
    )]
    extras: Vec<Box<Extra>>,
}

impl Spares {
    /// Keeps the mailbox of one that has ended: an empty one.
    pub(crate) fn keep_mailbox(&mut self, mailbox: Box<dyn AnyMailbox>) {
        if mailbox.capacity() <= MOST_LETTERS {
            if self.mailboxes.len() == MOST {
                // That which nobody has wanted for longest.
                drop(self.mailboxes.remove(0));
            }
            self.mailboxes.push(mailbox);
        }
    }

    /// A mailbox for a process that begins, where one of its type is there.
    #[inline(always)]
    pub(crate) fn mailbox(&mut self, of: &Receiver) -> Option<Box<dyn AnyMailbox>> {
        let mut mailboxes = self.mailboxes.iter();
        let place = mailboxes.rposition(|mailbox| (of.fits)(&**mailbox))?;
        Some(self.mailboxes.remove(place))
    }

    /// Keeps what one that has ended had, if dropping that ran no code of a user's.
    pub(crate) fn keep_extra(&mut self, mut extra: Box<Extra>) {
        if self.extras.len() < MOST {
            extra.clear();
            self.extras.push(extra);
        }
    }
}

impl System {
    /// Gives a process that begins, and will need an extra, one that has served.
    pub(crate) fn lend_extra(&mut self, slot: u32) {
        if let Some(extra) = self.spares.extras.pop()
            && let Some(process) = self.process(slot)
        {
            process.extra = Some(extra);
        }
    }
}

impl Extra {
    /// As new, but for the memory that its lists have.
    fn clear(&mut self) {
        let Extra {
            children,
            links,
            monitors,
            name,
            aliases,
            unsettled,
            delayed,
            postponed,
            stream,
            behaviour,
            steps,
            acks,
            keeps_mail,
            strike,
            files,
            bounded,
            suspended,
            foreign,
        } = self;
        (*children, *steps, *acks, *strike) = (0, 0, 0, 0);
        (*unsettled, *keeps_mail) = (false, false);
        (*links, *monitors, *name, *files) = Default::default();
        (*stream, *behaviour, *bounded, *suspended) = Default::default();
        aliases.clear();
        delayed.clear();
        postponed.clear();
        foreign.clear();
    }
}
