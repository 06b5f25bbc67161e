//! The log: every event with its time and step, and the texts that go with them. Kept on demand.

use super::event::Event;
use super::ids::{Name, TextId};
use rustc_hash::FxHashMap;

/// One line of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Virtual time, in nanoseconds.
    pub at_ns: u64,
    /// The step of the run in which it happened.
    pub step: u64,
    /// What happened.
    pub event: Event,
}

/// All events of a run.
#[derive(Clone, Debug, Default)]
pub struct Log {
    entries: Vec<Entry>,
    texts: Vec<String>,
    names: FxHashMap<Name, String>,
}

impl Log {
    /// Appends a line.
    pub fn push(&mut self, entry: Entry) {
        self.entries.push(entry);
    }

    /// Forgets the lines after this moment, in nanoseconds.
    pub fn keep_until(&mut self, at_ns: u64) {
        let kept = self.entries.partition_point(|entry| entry.at_ns <= at_ns);
        self.entries.truncate(kept);
    }

    /// Keeps a text.
    pub fn intern(&mut self, text: String) -> TextId {
        self.texts.push(text);
        TextId(self.texts.len() as u32)
    }

    /// Keeps the text of a name.
    pub fn name(&mut self, name: Name, text: &str) {
        self.names.entry(name).or_insert_with(|| text.to_owned());
    }

    /// All lines, in order.
    #[must_use]
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The text kept under this id; none for [`TextId::NONE`].
    #[must_use]
    pub fn text(&self, id: TextId) -> Option<&str> {
        self.texts
            .get((id.0 as usize).checked_sub(1)?)
            .map(String::as_str)
    }

    /// The text of the name that this number stands for, where one is known.
    #[must_use]
    pub fn name_of(&self, number: u64) -> Option<&str> {
        self.names.get(&Name::of(number)).map(String::as_str)
    }

    /// The text of a name.
    #[must_use]
    pub fn name_text(&self, name: Name) -> &str {
        self.names.get(&name).map_or("?", String::as_str)
    }
}
