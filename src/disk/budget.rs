//! How many copies of one datum may be hurt.

use crate::choice::{Choice, Kind, Lineage, Shape, Site};

/// The copies of one datum, and how many of them faults may hurt.
///
/// Which these are is drawn once, for each copy by itself, and not by who is hurt first: so a fault that is
/// taken out of a run lets no other in.
///
/// ```
/// use netsplit::choice::{Choice, Lineage};
/// use netsplit::disk::Budget;
///
/// let copies = ["a", "b", "c"].map(|node| (Lineage::node(node), "ledger".to_owned()));
/// let budget = Budget::new(copies, 1);
/// let mut choice = Choice::seeded(7);
/// assert_eq!(budget.spared(&mut choice).len(), 2);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Budget {
    copies: Vec<(Lineage, String)>,
    most: usize,
}

impl Budget {
    /// Of these copies (a node, and the path of a file or a directory on it) at most so many are hurt.
    #[must_use]
    pub fn new(copies: impl IntoIterator<Item = (Lineage, String)>, most: usize) -> Budget {
        Budget {
            copies: copies.into_iter().collect(),
            most,
        }
    }

    /// Which copies no fault may hurt: for [`Disk::spare`](super::Disk::spare) of each node's disk. In a
    /// calm run these are the last of them.
    #[must_use]
    pub fn spared(&self, choice: &mut Choice) -> Vec<(Lineage, String)> {
        let mut ranks: Vec<(u64, usize)> = Vec::with_capacity(self.copies.len());
        for (index, (node, path)) in self.copies.iter().enumerate() {
            let who = choice.file(*node, path);
            let rank = choice.draw(Site::new(Kind::CopyRank, who, 0), Shape::Rank);
            ranks.push((rank, index));
        }
        ranks.sort_unstable();
        let spared = ranks.iter().skip(self.most);
        spared
            .map(|(_, index)| self.copies[*index].clone())
            .collect()
    }
}
