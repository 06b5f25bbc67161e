//! The network as a model: paths between nodes, latency, loss, duplication, reordering, cuts, connections.
//!
//! A packet goes in with the draws it may make; out comes what becomes of it. No clock, no futures, no
//! processes, and no state for a pair of nodes but where a path was declared for it or a connection is.
//!
//! ```
//! use netsplit::net::{Network, Path};
//! use netsplit::{Distribution, millis};
//! let slow = Path::new(Distribution::uniform(millis(80), millis(120))).with_bandwidth(125_000);
//! let network = Network::new(Path::default()).path("europe", "asia", slow);
//! assert_eq!(network.default_path(), &Path::default());
//! ```

mod connection;
mod cut;
mod model;
mod path;
mod roads;
mod rule;

pub use connection::Settings;
pub(crate) use connection::{Connections, Effect, Head, Late, Leaves, Load, Surroundings, Waiter};
pub use cut::Cut;
pub(crate) use model::{Carried, Model, PacketFaults, Passage, Passed};
pub use path::{Network, Path};
pub use rule::{PacketFault, RuleError};
