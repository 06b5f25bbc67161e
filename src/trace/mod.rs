//! What happened: plain ids, the one closed list of events, the rolling digest, the log, and the books.
//!
//! The digest and the books are always on; the log is kept on demand, since a second run yields it.
//! This floor does not know who produces events: it sees plain numbers.

mod books;
mod digest;
mod event;
mod file;
mod ids;
mod log;
mod mail;
mod supervision;

pub use books::{Books, BooksError, Fate, Totals};
pub use digest::{Checkpoint, Digest, DigestValue};
pub(crate) use event::emit;
pub use event::{Broken, DeadReason, Event, Limit, Reason};
pub use file::{DiskFault, FileReason};
pub(crate) use ids::set_names;
pub use ids::{MessageId, Name, Names, NodeId, PacketKind, Pid, TextId, node_name};
pub use log::{Entry, Log};
pub use mail::{LetterId, Mailed, OrderKey, WhyDead};
pub use supervision::{Restart, Strategy, Supervision};

use std::fmt;

/// So many events are shown to a watcher at a time.
const UNSEEN: usize = 128;

/// Who looks at events while a run goes on, without a log. It changes nothing of the run, and sees an event
/// some time after it happened.
pub trait Watcher: fmt::Debug {
    /// An event of this moment, in nanoseconds, and of this step of the run.
    fn see(&mut self, now_ns: u64, step: u64, event: &Event);

    /// The text of a name, where it wants to know.
    fn name(&mut self, _name: Name, _text: &str) {}
}

/// Everything that is kept of a run while it goes on.
#[derive(Debug, Default)]
pub struct Trace {
    digest: Digest,
    payloads: Option<Box<Digest>>,
    log: Option<Box<Log>>,
    watcher: Option<Box<dyn Watcher>>,
    /// There is a supervisor, and a watcher.
    watches: bool,
    mail_watcher: Option<Box<dyn Watcher>>,
    /// What the watchers have not yet seen: they see many events at a time, since their code and that of the
    /// run would push each other out of the processor's cache.
    unseen: Vec<Entry>,
    /// One line per copy of a message, in numbers.
    pub books: Books,
    now_ns: u64,
    step: u64,
}

impl Trace {
    /// A trace that keeps the digest and the books.
    #[must_use]
    pub fn new() -> Trace {
        Trace::default()
    }

    /// Keeps the log as well.
    pub fn keep_log(&mut self) {
        self.log.get_or_insert_default();
    }

    /// Takes the payloads of local messages into a second digest, for the check of determinism.
    pub fn digest_payloads(&mut self) {
        self.payloads.get_or_insert_default();
    }

    /// Shows a watcher the events that tell which processes, names and supervisors there are, from the first
    /// [`Supervision::Begins`] on.
    pub fn watched_by(&mut self, watcher: Box<dyn Watcher>) {
        self.watcher = Some(watcher);
    }

    /// Shows a watcher what becomes of letters, and [`Event::Quiet`].
    pub fn mail_watched_by(&mut self, watcher: Box<dyn Watcher>) {
        self.mail_watcher = Some(watcher);
    }

    /// A message found no receiver: noted, and entered in the books of `node`.
    #[cold]
    pub fn dead_letter(&mut self, node: NodeId, id: MessageId, to: u64, why: DeadReason) {
        self.emit(Event::DeadLetter { id, to, why });
        self.books.ended(node, id, Fate::Dead(why));
    }

    /// A packet was lost on its way: noted, and entered in the books of its sender.
    #[cold]
    pub fn lost(&mut self, id: MessageId, to: NodeId) {
        self.emit(Event::Lost { id, to });
        self.books.ended(id.from.node(), id, Fate::Lost);
    }

    /// Whether a log is kept: then texts are worth making.
    #[inline]
    #[must_use]
    pub fn logs(&self) -> bool {
        self.log.is_some()
    }

    /// Whether local payloads are digested: then they must be encoded.
    #[inline]
    #[must_use]
    pub fn wants_payloads(&self) -> bool {
        self.payloads.is_some()
    }

    /// Whether a sender should hand over the text or the bytes of a local message.
    #[inline]
    #[must_use]
    pub fn wants_detail(&self) -> bool {
        self.log.is_some() || self.payloads.is_some()
    }

    /// Adds the bytes of a local payload to the second digest.
    pub fn payload(&mut self, bytes: &[u8]) {
        if let Some(digest) = self.payloads.as_mut() {
            digest.absorb_bytes(bytes);
        }
    }

    /// Tells the trace where the run is: the log's lines carry it.
    #[inline]
    pub fn at(&mut self, now_ns: u64, step: u64) {
        self.now_ns = now_ns;
        self.step = step;
    }

    /// Something happened.
    #[inline(always)]
    pub fn emit(&mut self, event: Event) {
        let (words, count) = event.words();
        self.digest.absorb(&words, count);
        if self.log.is_some() {
            self.log_event(event);
        }
        if event.is_of_lives() && (self.watches || matches!(event, Event::Supervision { .. })) {
            self.show(event);
        }
        if event.is_of_mail() && self.mail_watcher.is_some() {
            self.keep_unseen(event);
        }
    }

    #[inline(never)]
    fn show(&mut self, event: Event) {
        self.watches = self.watcher.is_some();
        self.keep_unseen(event);
    }

    #[inline(never)]
    fn keep_unseen(&mut self, event: Event) {
        let entry = self.entry(event);
        self.unseen.push(entry);
        if self.unseen.len() >= UNSEEN {
            self.show_rest();
        }
    }

    /// Shows the watchers what they have not yet seen.
    #[cold]
    pub fn show_rest(&mut self) {
        for Entry { at_ns, step, event } in self.unseen.drain(..) {
            let watcher = match event.is_of_mail() {
                true => &mut self.mail_watcher,
                false => &mut self.watcher,
            };
            if let Some(watcher) = watcher {
                watcher.see(at_ns, step, &event);
            }
        }
    }

    fn entry(&self, event: Event) -> Entry {
        Entry {
            at_ns: self.now_ns,
            step: self.step,
            event,
        }
    }

    #[cold]
    fn log_event(&mut self, event: Event) {
        let entry = self.entry(event);
        if let Some(log) = self.log.as_mut() {
            log.push(entry);
        }
    }

    /// Takes the words of an event into the digest.
    #[inline(always)]
    pub(crate) fn absorb(&mut self, words: &[u64; 4], count: usize) {
        self.digest.absorb(words, count);
    }

    /// Something happened that is for the log alone.
    #[inline(always)]
    pub fn log_only(&mut self, event: Event) {
        if self.log.is_some() {
            self.log_event(event);
        }
    }

    /// Keeps a text for an event, where a log is kept.
    pub fn text(&mut self, text: impl FnOnce() -> String) -> TextId {
        self.log
            .as_mut()
            .map_or(TextId::NONE, |log| log.intern(text()))
    }

    /// Keeps a name's text, where a log is kept.
    pub fn name(&mut self, name: Name, text: &str) {
        if let Some(log) = self.log.as_mut() {
            log.name(name, text);
        }
    }

    /// Keeps the text of an outbox's or a queue's name, where a log is kept or mail is watched.
    pub fn mail_name(&mut self, name: Name, text: &str) {
        self.name(name, text);
        if let Some(watcher) = self.mail_watcher.as_mut() {
            watcher.name(name, text);
        }
    }

    /// Something that a user noted: in the log, never in the digest.
    pub fn note(&mut self, pid: Pid, text: impl FnOnce() -> String) {
        let text = self.text(text);
        if text != TextId::NONE {
            self.log_event(Event::Note { pid, text });
        }
    }

    /// How many events were digested so far.
    #[must_use]
    pub fn events(&self) -> u64 {
        self.digest.events()
    }

    /// The digest of all events so far.
    #[must_use]
    pub fn digest(&self) -> DigestValue {
        self.digest.value()
    }

    /// The digest of the local payloads, where it was asked for.
    #[must_use]
    pub fn payload_digest(&self) -> Option<DigestValue> {
        self.payloads.as_ref().map(|digest| digest.value())
    }

    /// The checkpoints of the digest, oldest first.
    #[must_use]
    pub fn checkpoints(&self) -> &[Checkpoint] {
        self.digest.checkpoints()
    }

    /// The log, where one was kept.
    #[must_use]
    pub fn take_log(&mut self) -> Option<Log> {
        self.log.take().map(|log| *log)
    }
}
