//! Paths between nodes, and the network as it is declared.

use super::Settings;
use crate::choice::{Distribution, Rate};
use std::time::Duration;

/// One direction from a node to another.
#[derive(Clone, Debug, PartialEq)]
pub struct Path {
    /// How long a packet takes.
    pub latency: Distribution,
    /// How often it is lost for no other reason. On a connection that is a delay, as it is sent again.
    pub loss: Rate,
    /// How many bytes pass in a second; unbounded where nothing is said.
    pub bandwidth: Option<u64>,
}

impl Path {
    /// A path with this latency, that loses nothing by itself, and is as broad as one likes.
    #[must_use]
    pub const fn new(latency: Distribution) -> Path {
        Path {
            latency,
            loss: Rate::NEVER,
            bandwidth: None,
        }
    }

    /// The same path, which loses this share of its packets.
    #[must_use]
    pub const fn with_loss(self, loss: Rate) -> Path {
        Path { loss, ..self }
    }

    /// The same path, through which so many bytes pass in a second. A connection sends them one after the
    /// other; a datagram takes the time that its own need.
    ///
    /// # Panics
    /// Where it is 0: nothing would ever arrive. A cut does that.
    #[must_use]
    pub const fn with_bandwidth(self, bytes_per_second: u64) -> Path {
        assert!(
            bytes_per_second > 0,
            "a path through which nothing passes is a cut"
        );
        Path {
            bandwidth: Some(bytes_per_second),
            ..self
        }
    }

    /// How long so many bytes take to pass, beside the latency.
    #[inline]
    pub(super) fn passes_ns(&self, bytes: u32) -> Option<u64> {
        let bandwidth = self.bandwidth?;
        Some(u64::from(bytes) * 1_000_000_000 / bandwidth)
    }
}

impl Default for Path {
    /// 1 to 10 ms, each as likely, nothing lost: what most simulators begin with.
    fn default() -> Path {
        Path::new(Distribution::uniform(
            Duration::from_millis(1),
            Duration::from_millis(10),
        ))
    }
}

/// The paths of a cluster, as they are declared, and the times of its connections.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Network {
    default: Path,
    paths: Vec<(String, String, Path)>,
    settings: Settings,
}

impl Network {
    /// A network in which every path is like this one.
    #[must_use]
    pub fn new(default: Path) -> Network {
        Network {
            default,
            ..Network::default()
        }
    }

    /// Another path from one node to another; the way back stays as it is.
    #[must_use]
    pub fn path(mut self, from: &str, to: &str, path: Path) -> Network {
        self.paths.push((from.to_owned(), to.to_owned(), path));
        self
    }

    /// How long the set-up of a connection may take: longer than 0. Default 7 s, as in Erlang.
    #[must_use]
    pub fn set_up_time(mut self, time: Duration) -> Network {
        self.settings.set_up = time;
        self
    }

    /// A silent peer is given up after three to five quarters of this. Default 60 s, as in Erlang.
    #[must_use]
    pub fn tick_time(mut self, time: Duration) -> Network {
        self.settings.tick = time;
        self
    }

    /// With more bytes than this under way, a connection makes its senders wait. Default 1 MiB, as in
    /// Erlang.
    #[must_use]
    pub fn buffer(mut self, bytes: usize) -> Network {
        self.settings.buffer_bytes = bytes;
        self
    }

    /// The path between nodes for which none was declared.
    #[must_use]
    pub const fn default_path(&self) -> &Path {
        &self.default
    }

    /// The paths that were declared: from, to, path.
    #[must_use]
    pub fn paths(&self) -> &[(String, String, Path)] {
        &self.paths
    }

    /// The times and sizes of its connections.
    #[must_use]
    pub const fn settings(&self) -> Settings {
        self.settings
    }
}
