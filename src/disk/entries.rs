//! Which names there are, and which of them a crash could take back.
//!
//! A change of names (a file is made, renamed, removed) is whole or not at all, and it is kept only with
//! all those before it that are about the same names: so after a crash each name stands for something that
//! it has stood for before, and no file has two.

use rustc_hash::FxHashSet;
use std::collections::BTreeMap;
use std::ops::Bound;

/// A file, by its place in the disk's table.
pub(super) type Place = u32;

/// What becomes of one name.
#[derive(Clone, Debug)]
struct Part {
    name: Box<str>,
    before: Option<Place>,
    after: Option<Place>,
}

/// What becomes of one name, or of two.
#[derive(Clone, Debug)]
struct Change {
    number: u64,
    parts: [Option<Part>; 2],
}

impl Change {
    fn parts(&self) -> impl Iterator<Item = &Part> {
        self.parts.iter().flatten()
    }
}

/// Names, and the journal of their changes that are not durable.
#[derive(Clone, Debug, Default)]
pub(super) struct Entries {
    names: BTreeMap<Box<str>, Place>,
    changes: Vec<Change>,
    changed: u64,
}

impl Entries {
    /// The file of this name.
    pub(super) fn find(&self, path: &str) -> Option<Place> {
        self.names.get(path).copied()
    }

    /// All names, in order, and their files.
    pub(super) fn all(&self) -> impl Iterator<Item = (&str, Place)> {
        self.names.iter().map(|(name, place)| (&**name, *place))
    }

    /// Whether something lies below this path: then it is a directory.
    pub(super) fn is_directory(&self, path: &str) -> bool {
        self.below(path).next().is_some()
    }

    /// Whether a part of this path before its last is a file.
    pub(super) fn leads_through_file(&self, path: &str) -> bool {
        let mut ends = path.match_indices('/').map(|(end, _)| &path[..end]);
        ends.any(|above| self.names.contains_key(above))
    }

    /// What lies in a directory, in order; a directory in it ends with `/`. The root is the empty path.
    pub(super) fn list(&self, directory: &str) -> Vec<String> {
        let mut found: Vec<String> = Vec::new();
        for rest in self.below(directory) {
            let name = match rest.split_once('/') {
                Some((inner, _)) => format!("{inner}/"),
                None => rest.to_owned(),
            };
            if found.last() != Some(&name) {
                found.push(name);
            }
        }
        found
    }

    /// All that lies below a path, without that path.
    fn below<'a>(&'a self, directory: &'a str) -> impl Iterator<Item = &'a str> {
        let start = match directory {
            "" => String::new(),
            _ => format!("{directory}/"),
        };
        let length = start.len();
        let from = Bound::Included(start.as_str());
        let names = self.names.range::<str, _>((from, Bound::Unbounded));
        let mut inside = Vec::new();
        for (name, _) in names.take_while(|(name, _)| name.starts_with(&start)) {
            inside.push(&name[length..]);
        }
        inside.into_iter()
    }

    /// A name stands for this file from now on, or for none.
    pub(super) fn set(&mut self, name: &str, after: Option<Place>) {
        let part = self.put(name, after);
        self.change([Some(part), None]);
    }

    /// One name gives its file to another.
    pub(super) fn rename(&mut self, from: &str, to: &str) {
        let file = self.find(from);
        let parts = [self.put(from, None), self.put(to, file)];
        self.change(parts.map(Some));
    }

    fn put(&mut self, name: &str, after: Option<Place>) -> Part {
        let before = match after {
            Some(place) => self.names.insert(name.into(), place),
            None => self.names.remove(name),
        };
        Part {
            name: name.into(),
            before,
            after,
        }
    }

    fn change(&mut self, parts: [Option<Part>; 2]) {
        self.changes.push(Change {
            number: self.changed,
            parts,
        });
        self.changed += 1;
    }

    /// How many changes there were: a sync that begins now is about these.
    pub(super) fn changed(&self) -> u64 {
        self.changed
    }

    /// How many changes are not durable.
    pub(super) fn pending(&self) -> usize {
        self.changes.len()
    }

    /// What was changed in a directory before this number is durable, with all on which it rests. Gives the
    /// files of which these changes told.
    pub(super) fn harden(&mut self, directory: &str, number: u64) -> Vec<Place> {
        self.harden_where(number, |name| parent(name) == directory)
    }

    /// What was changed before this number is durable.
    pub(super) fn harden_all(&mut self, number: u64) -> Vec<Place> {
        self.harden_where(number, |_| true)
    }

    fn harden_where(&mut self, number: u64, is_in: impl Fn(&str) -> bool) -> Vec<Place> {
        let mut wanted: FxHashSet<Box<str>> = FxHashSet::default();
        let mut told = Vec::new();
        let mut left = Vec::with_capacity(self.changes.len());
        for change in self.changes.drain(..).rev() {
            let is_wanted = |part: &Part| wanted.contains(&part.name) || is_in(&part.name);
            if change.number < number && change.parts().any(is_wanted) {
                for part in change.parts.into_iter().flatten() {
                    told.extend(part.before.into_iter().chain(part.after));
                    wanted.insert(part.name);
                }
            } else {
                left.push(change);
            }
        }
        left.reverse();
        self.changes = left;
        told
    }

    /// A crash loses these changes, by their place among those that are not durable, and all that rests on
    /// them; the others are durable. How many it has lost.
    pub(super) fn crash(&mut self, is_lost: impl Fn(usize) -> bool) -> usize {
        let mut names: FxHashSet<Box<str>> = FxHashSet::default();
        let mut lost = Vec::new();
        for (place, change) in self.changes.drain(..).enumerate() {
            if is_lost(place) || change.parts().any(|part| names.contains(&part.name)) {
                names.extend(change.parts().map(|part| part.name.clone()));
                lost.push(change);
            }
        }
        let count = lost.len();
        for change in lost.into_iter().rev() {
            for part in change.parts.into_iter().flatten() {
                match part.before {
                    Some(place) => self.names.insert(part.name, place),
                    None => self.names.remove(&part.name),
                };
            }
        }
        count
    }
}

/// The directory in which a path lies; the root is the empty path.
fn parent(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(directory, _)| directory)
}
