//! Cuts: which nodes no longer reach which.

use crate::trace::NodeId;
use std::fmt;

/// A cut through the network: nothing passes from the one side to the other and, unless it is one-way,
/// nothing back. Nodes on neither side reach both: they are a bridge. One on both sides reaches neither.
/// Where a node is written off it holds for both machines of that name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cut<N = NodeId> {
    from: Vec<N>,
    to: Vec<N>,
    one_way: bool,
}

impl<N: Ord> Cut<N> {
    /// Neither side reaches the other.
    pub fn between(a: impl IntoIterator<Item = N>, b: impl IntoIterator<Item = N>) -> Cut<N> {
        Cut {
            from: sorted(a),
            to: sorted(b),
            one_way: false,
        }
    }

    /// Nothing passes from the one side to the other; back it does.
    pub fn one_way(from: impl IntoIterator<Item = N>, to: impl IntoIterator<Item = N>) -> Cut<N> {
        Cut {
            one_way: true,
            ..Cut::between(from, to)
        }
    }

    /// The nodes of both sides.
    pub fn nodes(&self) -> impl Iterator<Item = &N> {
        self.from.iter().chain(&self.to)
    }

    /// Whether there is anything between its sides: two nodes, one on each.
    #[must_use]
    pub fn divides(&self) -> bool {
        let mut pairs = self
            .from
            .iter()
            .flat_map(|a| self.to.iter().map(move |b| (a, b)));
        pairs.any(|(a, b)| a != b)
    }

    /// The same cut, with its nodes named otherwise.
    pub(crate) fn map<M: Ord, E>(
        &self,
        mut name: impl FnMut(&N) -> Result<M, E>,
    ) -> Result<Cut<M>, E> {
        let mut side = |nodes: &[N]| nodes.iter().map(&mut name).collect::<Result<Vec<M>, E>>();
        Ok(Cut {
            from: sorted(side(&self.from)?),
            to: sorted(side(&self.to)?),
            one_way: self.one_way,
        })
    }
}

fn sorted<N: Ord>(nodes: impl IntoIterator<Item = N>) -> Vec<N> {
    let mut nodes: Vec<N> = nodes.into_iter().collect();
    nodes.sort_unstable();
    nodes.dedup();
    nodes
}

impl Cut {
    /// Another machine stands on the side of this node.
    pub(crate) fn join(&mut self, node: NodeId, other: NodeId) {
        for side in [&mut self.from, &mut self.to] {
            if side.binary_search(&node).is_ok()
                && let Err(place) = side.binary_search(&other)
            {
                side.insert(place, other);
            }
        }
    }

    /// Whether nothing passes from this node to that one.
    #[must_use]
    pub fn blocks(&self, from: NodeId, to: NodeId) -> bool {
        let has = |side: &[NodeId], node| side.binary_search(&node).is_ok();
        let over = |a: &[NodeId], b: &[NodeId]| has(a, from) && has(b, to);
        over(&self.from, &self.to) || (!self.one_way && over(&self.to, &self.from))
    }
}

impl<N: fmt::Display> fmt::Display for Cut<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let side = |f: &mut fmt::Formatter<'_>, nodes: &[N]| {
            for (index, node) in nodes.iter().enumerate() {
                write!(f, "{}{node}", if index > 0 { ", " } else { "" })?;
            }
            Ok(())
        };
        side(f, &self.from)?;
        f.write_str(if self.one_way { " -> " } else { " | " })?;
        side(f, &self.to)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cut_blocks_between_its_sides_and_nowhere_else() {
        let [a, b, bridge] = [0, 1, 2].map(NodeId::new);
        let cut = Cut::between([a], [b]);
        assert!(cut.blocks(a, b) && cut.blocks(b, a));
        assert!(!cut.blocks(a, bridge) && !cut.blocks(bridge, b) && !cut.blocks(a, a));
        let one_way = Cut::one_way([a], [b]);
        assert!(one_way.blocks(a, b) && !one_way.blocks(b, a));
    }

    #[test]
    fn one_that_joins_is_cut_off_as_the_node_is() {
        let [a, b, other] = [1, 2, 0].map(NodeId::new);
        let mut cut = Cut::one_way([a], [b]);
        cut.join(b, other);
        assert!(cut.blocks(a, other) && !cut.blocks(other, a) && !cut.blocks(b, other));
    }

    #[test]
    fn a_cut_divides_where_two_nodes_stand_apart() {
        assert!(Cut::between(["a"], ["b"]).divides() && Cut::between(["a", "b"], ["b"]).divides());
        assert!(!Cut::between([], ["b"]).divides() && !Cut::between(["b"], ["b"]).divides());
    }

    #[test]
    fn a_cut_reads_as_its_sides() {
        assert_eq!(Cut::between(["a", "b"], ["c"]).to_string(), "a, b | c");
        assert_eq!(Cut::one_way(["a"], ["c"]).to_string(), "a -> c");
    }
}
