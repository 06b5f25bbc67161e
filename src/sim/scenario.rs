//! A scenario: nodes and what they boot, clients, network, faults, properties, a horizon.

use super::faults::{FaultError, Faults, Rates, checked};
use super::observe::Observation;
use super::outcome::Outcome;
use super::plan::Planned;
use super::property::{Property, Verdict, When};
use super::run::{Boot, Chance, Cluster, Keep, Node, healed};
use super::script::{Script, Sim};
use super::view::View;
use crate::choice::{DistributionError, Lineage, valid_name};
use crate::disk;
use crate::kernel::{Bounds, Time};
use crate::net::{Model, Network};
use crate::process::{self, Context, IntoExit, Message};
use crate::trace::NodeId;
use rustc_hash::FxHashMap;
use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// Whether a scenario is meant to hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Form {
    /// Every seed must survive.
    Sound,
    /// Its design is broken: some seed must violate this property.
    Broken {
        /// The property's name.
        property: String,
    },
}

/// Why a scenario cannot be run.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum ScenarioError {
    /// There is no node.
    #[error("it has no nodes: add at least one with `node(…)` or `client(…)`")]
    NoNodes,
    /// There is no property.
    #[error(
        "it has no properties, so no run of it could fail: add one with `always`, `never`, \
         `eventually`, `finally` or `sometimes`"
    )]
    NoProperties,
    /// Its disks make no sense.
    #[error(transparent)]
    Disk(#[from] disk::SettingsError),
    /// A node's name does not do.
    #[error(
        "`{0}` cannot name a node: use 1 to 64 letters, digits, `_`, `-` or `.`, the \
         first a letter or digit, not `run`"
    )]
    NodeName(String),
    /// Two nodes have one name.
    #[error("two nodes are named `{0}`: every node needs a name of its own")]
    NodeTwice(String),
    /// Too many nodes.
    #[error("it has {0} nodes, and a cluster has at most 16,383")]
    TooManyNodes(usize),
    /// Two properties have one name.
    #[error("two properties are named \"{0}\": a report could not tell them apart")]
    PropertyTwice(String),
    /// The property that a broken form must violate is none of its own.
    #[error("it must violate \"{0}\", and has no property of this name")]
    NoSuchProperty(String),
    /// The property that a broken form must violate is one that no single run can violate.
    #[error(
        "it must violate \"{0}\", which is a `sometimes`: no run violates one, only a sweep misses it; \
         name a property of another sort in `broken(…)`"
    )]
    BrokenSometimes(String),
    /// The deadline of an `eventually` comes after the end of the run.
    #[error(
        "\"{property}\" must have held by {deadline}, and a run ends at {horizon}: raise the horizon, let \
         faults stop earlier with `quiet(…)`, or give it less time"
    )]
    DeadlineTooLate {
        /// The property's name.
        property: String,
        /// When it must have held.
        deadline: Time,
        /// When a run ends.
        horizon: Time,
    },
    /// A run would end where it begins.
    #[error("its horizon is zero: say how long a run lasts with `horizon(…)`")]
    ZeroHorizon,
    /// No connection could ever be set up.
    #[error("the set-up of its connections may take no time: give it some with `set_up_time(…)`")]
    ZeroSetUpTime,
    /// The quiet end is longer than the run.
    #[error("its quiet end ({quiet:?}) is longer than its horizon ({horizon:?})")]
    QuietTooLong {
        /// How long no faults are drawn at the end.
        quiet: Duration,
        /// How long a run lasts.
        horizon: Duration,
    },
    /// A path names a node that is not there.
    #[error("a path names the node `{0}`, which the scenario does not have")]
    PathNode(String),
    /// The faults spare a node that is not there.
    #[error("its faults spare the node `{0}`, which the scenario does not have")]
    SparedNode(String),
    /// A latency makes no sense.
    #[error("the latency of a path: {0}")]
    Latency(#[from] DistributionError),
    /// A profile of faults makes no sense.
    #[error("its faults: {0}")]
    Faults(#[from] FaultError),
    /// The crate was built without unwinding.
    #[error(
        "this program was built with `panic = \"abort\"`, so a panic of one process would end them \
         all: build tests and scenarios with `panic = \"unwind\"` (the default of every profile)"
    )]
    PanicAbort,
}

/// A declared scenario. It is `Sync`: many threads make runs of it at once, one seed each.
///
/// ```
/// use netsplit::{Context, Scenario, secs};
///
/// let scenario = Scenario::new("greeting")
///     .node("greeter", |ctx: Context<String>| async move {
///         ctx.register("greeter").expect("a free name");
///         let name = ctx.receive_message().await;
///         ctx.observe("greeted", |all: &mut Vec<String>| all.push(name));
///     })
///     .client("guest", |_: Context| async move {
///         netsplit::Address::named("greeter", "greeter").send("Ada".to_owned());
///     })
///     .finally("the guest is greeted", |view| {
///         view.observed::<Vec<String>>("greeted").is_some_and(|all| all == &["Ada"])
///     })
///     .horizon(secs(1));
///
/// assert!(scenario.run(311).unwrap().is_ok());
/// ```
#[derive(Clone)]
pub struct Scenario {
    name: String,
    summary: String,
    form: Form,
    nodes: Vec<Node>,
    network: Network,
    disk: disk::Settings,
    faults: Faults,
    properties: Vec<Property>,
    horizon: Duration,
    quiet: Option<Duration>,
    bounds: Bounds,
    script: Option<Script>,
    cluster: Arc<OnceLock<Result<Arc<Cluster>, ScenarioError>>>,
}

impl fmt::Debug for Scenario {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scenario")
            .field("name", &self.name)
            .field("form", &self.form)
            .field(
                "nodes",
                &self.nodes.iter().map(|node| &node.name).collect::<Vec<_>>(),
            )
            .field("faults", &self.faults)
            .field("properties", &self.properties)
            .field("horizon", &self.horizon)
            .finish_non_exhaustive()
    }
}

impl Scenario {
    /// A scenario of this name, with a horizon of 60 s and no faults.
    #[must_use]
    pub fn new(name: &str) -> Scenario {
        Scenario {
            name: name.to_owned(),
            summary: String::new(),
            form: Form::Sound,
            nodes: Vec::new(),
            network: Network::default(),
            disk: disk::Settings::default(),
            faults: Faults::calm(),
            properties: Vec::new(),
            horizon: Duration::from_secs(60),
            quiet: None,
            bounds: Bounds::default(),
            script: None,
            cluster: Arc::default(),
        }
    }

    /// One line that says what it is about.
    #[must_use]
    pub fn summary(mut self, summary: &str) -> Scenario {
        summary.clone_into(&mut self.summary);
        self
    }

    /// Says that its design is broken, and that some seed must violate this property. Default: sound.
    #[must_use]
    pub fn broken(mut self, property: &str) -> Scenario {
        self.form = Form::Broken {
            property: property.to_owned(),
        };
        self.changed()
    }

    /// A node that boots this process, at the beginning and after each crash.
    #[must_use]
    pub fn node<M, F>(
        self,
        name: &str,
        boot: impl Fn(Context<M>) -> F + Send + Sync + 'static,
    ) -> Scenario
    where
        M: Message,
        F: Future<Output: IntoExit> + 'static,
    {
        self.add(name, false, boot)
    }

    /// A client of the workload: a process on a node of its own, which faults of nodes spare. A panic of
    /// it fails the run.
    #[must_use]
    pub fn client<M, F>(
        self,
        name: &str,
        work: impl Fn(Context<M>) -> F + Send + Sync + 'static,
    ) -> Scenario
    where
        M: Message,
        F: Future<Output: IntoExit> + 'static,
    {
        self.add(name, true, work)
    }

    fn add<M, F>(
        mut self,
        name: &str,
        client: bool,
        boot: impl Fn(Context<M>) -> F + Send + Sync + 'static,
    ) -> Scenario
    where
        M: Message,
        F: Future<Output: IntoExit> + 'static,
    {
        let boot: Boot = Arc::new(move |node| process::boot(node, &boot));
        self.nodes.push(Node {
            name: name.to_owned(),
            client,
            spared: client,
            boot,
        });
        self.changed()
    }

    /// The paths between nodes. Default: 1 to 10 ms everywhere, nothing lost.
    #[must_use]
    pub fn network(mut self, network: Network) -> Scenario {
        self.network = network;
        self.changed()
    }

    /// How large the disk of each node is, and how fast. Default: no bound, and as fast as a solid-state
    /// disk.
    #[must_use]
    pub fn disk(mut self, settings: disk::Settings) -> Scenario {
        self.disk = settings;
        self.changed()
    }

    /// The faults that runs may have. Default: none.
    #[must_use]
    pub fn faults(mut self, faults: Faults) -> Scenario {
        self.faults = faults;
        self.changed()
    }

    /// A property that must hold after each step.
    #[must_use]
    pub fn always<V: Into<Verdict>>(
        self,
        name: &str,
        look: impl Fn(&View) -> V + Send + Sync + 'static,
    ) -> Scenario {
        self.property(name, When::Always, look)
    }

    /// Something that must never happen: looked at after each step, and violated where `look` says true.
    ///
    /// ```
    /// # use netsplit::{Context, Scenario};
    /// # let scenario = Scenario::new("lock").client("a", |_: Context| async {});
    /// let scenario = scenario.never("two hold the lock", |view| {
    ///     view.observed::<u32>("holders").is_some_and(|holders| *holders > 1)
    /// });
    /// ```
    #[must_use]
    pub fn never(
        self,
        name: &str,
        look: impl Fn(&View) -> bool + Send + Sync + 'static,
    ) -> Scenario {
        self.property(name, When::Always, move |view| !look(view))
    }

    /// A property that must have held after some step not later than `within` after the faults stop, or
    /// after the beginning where the scenario has no faults. It may hold before that, too, and need not go
    /// on to hold. Once it has held it is not looked at again. A violation tells what each process waits
    /// for.
    ///
    /// ```
    /// # use netsplit::{Context, Faults, Scenario, secs};
    /// let scenario = Scenario::new("election")
    ///     .client("a", |ctx: Context| async move {
    ///         ctx.sleep(secs(46)).await;
    ///         ctx.observe("leader", |leader: &mut Option<u32>| *leader = Some(1));
    ///     })
    ///     .faults(Faults::calm().lose(0.1))
    ///     .horizon(secs(60)) // Faults stop after 45 s: see `quiet`.
    ///     .eventually("there is a leader", secs(5), |view| {
    ///         view.observed::<Option<u32>>("leader").is_some_and(Option::is_some)
    ///     });
    /// assert!(scenario.run(7).unwrap().is_ok());
    /// ```
    #[must_use]
    pub fn eventually<V: Into<Verdict>>(
        self,
        name: &str,
        within: Duration,
        look: impl Fn(&View) -> V + Send + Sync + 'static,
    ) -> Scenario {
        self.property(name, When::Eventually(within), look)
    }

    /// Something that some run must reach: looked at after each step until `look` says true. No run
    /// violates it; a sweep that covers all its seeds and in which no run has reached it fails.
    ///
    /// ```
    /// # use netsplit::{Context, Scenario};
    /// # let scenario = Scenario::new("mail").client("a", |_: Context| async {});
    /// let scenario = scenario.sometimes("a letter is sent again", |view| view.counter("resent") > 0);
    /// ```
    #[must_use]
    pub fn sometimes(
        self,
        name: &str,
        look: impl Fn(&View) -> bool + Send + Sync + 'static,
    ) -> Scenario {
        self.property(name, When::Sometimes, look)
    }

    /// A property that must hold at the end of the run: faults have stopped a while before.
    #[must_use]
    pub fn finally<V: Into<Verdict>>(
        self,
        name: &str,
        look: impl Fn(&View) -> V + Send + Sync + 'static,
    ) -> Scenario {
        self.property(name, When::Finally, look)
    }

    fn property<V: Into<Verdict>>(
        mut self,
        name: &str,
        when: When,
        look: impl Fn(&View) -> V + Send + Sync + 'static,
    ) -> Scenario {
        let look = Arc::new(move |view: &View| look(view).into());
        self.properties.push(Property {
            name: name.to_owned(),
            when,
            look,
        });
        self.changed()
    }

    /// How long a run lasts in virtual time; it ends before where nothing more can happen. Default 60 s.
    #[must_use]
    pub fn horizon(mut self, horizon: Duration) -> Scenario {
        self.horizon = horizon;
        self.changed()
    }

    /// How long before the horizon faults stop: cuts heal, nodes boot, what was lost on a connection is sent
    /// again at once. Default: a quarter of the horizon.
    #[must_use]
    pub fn quiet(mut self, quiet: Duration) -> Scenario {
        self.quiet = Some(quiet);
        self.changed()
    }

    /// A script that drives the run, in place of the horizon: see [`Sim`]. It runs once for each seed, and
    /// ends the run when it ends; a panic of it fails the seed. Nodes can be declared beforehand or by the
    /// script, and `finally` is looked at when it has ended. The profile's faults come as they are drawn:
    /// those of nodes, the network and clocks to the nodes declared beforehand, up to the quiet end of the
    /// horizon; those of packets and timers, until [`Sim::quiet`].
    #[must_use]
    pub fn script(mut self, script: impl Fn(&mut Sim<'_, '_>) + Send + Sync + 'static) -> Scenario {
        self.script = Some(Arc::new(script));
        self.changed()
    }

    /// The bounds of a run.
    #[must_use]
    pub fn bounds(mut self, bounds: Bounds) -> Scenario {
        self.bounds = bounds;
        self.changed()
    }

    /// A builder's change: what was compiled before no longer counts.
    fn changed(mut self) -> Scenario {
        self.cluster = Arc::default();
        self
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether it is meant to hold.
    #[must_use]
    pub fn form(&self) -> &Form {
        &self.form
    }

    /// The line that says what it is about.
    #[must_use]
    pub fn about(&self) -> &str {
        &self.summary
    }

    /// The names of its `sometimes` properties, as they were declared.
    pub fn sometimes_names(&self) -> impl Iterator<Item = &str> {
        let all = self.properties.iter();
        all.filter(|property| property.when == When::Sometimes)
            .map(|property| property.name.as_str())
    }

    /// Whether it can be run.
    ///
    /// # Errors
    /// [`ScenarioError`], which says what is missing or wrong and what to do.
    pub fn validate(&self) -> Result<(), ScenarioError> {
        self.cluster().map(drop)
    }

    /// The run of a seed.
    ///
    /// # Errors
    /// Where the scenario cannot be run. A violated property is no error: it is in the [`Outcome`].
    pub fn run(&self, seed: u64) -> Result<Outcome, ScenarioError> {
        self.run_with(Chance::Seed(seed), Keep::default())
    }

    /// The run of a seed or a tape, keeping more or less of it.
    ///
    /// # Errors
    /// Where the scenario cannot be run.
    pub fn run_with(&self, chance: Chance, keep: Keep) -> Result<Outcome, ScenarioError> {
        Ok(self.cluster()?.run(chance, keep))
    }

    /// The cluster as it is at a moment of a run, after all that happens at that moment; at the end of the
    /// run where that was before. The run is made twice. Nothing where the two differ, as they do where code
    /// depends on what is outside of the run.
    ///
    /// # Errors
    /// Where the scenario cannot be run.
    pub fn observe(
        &self,
        chance: impl Fn() -> Chance,
        at: Time,
    ) -> Result<Option<Observation>, ScenarioError> {
        Ok(self.cluster()?.observe(chance, at))
    }

    /// What all runs share, made at the first use.
    pub(crate) fn cluster(&self) -> Result<&Arc<Cluster>, ScenarioError> {
        self.cluster
            .get_or_init(|| self.compile().map(Arc::new))
            .as_ref()
            .map_err(Clone::clone)
    }

    fn compile(&self) -> Result<Cluster, ScenarioError> {
        if cfg!(panic = "abort") {
            return Err(ScenarioError::PanicAbort);
        }
        let ids = self.node_ids()?;
        self.check_properties()?;
        if self.horizon.is_zero() {
            return Err(ScenarioError::ZeroHorizon);
        }
        if self.network.settings().set_up.is_zero() {
            return Err(ScenarioError::ZeroSetUpTime);
        }
        let (horizon, quiet) = (self.horizon, self.quiet.unwrap_or(self.horizon / 4));
        if quiet > horizon {
            return Err(ScenarioError::QuietTooLong { quiet, horizon });
        }
        self.check_deadlines(Time::ZERO + horizon, Time::ZERO + (horizon - quiet))?;
        let rates = self.faults.rates()?;
        if let Some(name) = self
            .faults
            .spared()
            .iter()
            .find(|name| !ids.contains_key(*name))
        {
            return Err(ScenarioError::SparedNode(name.clone()));
        }
        self.disk.validate()?;
        let budgets = self.faults.budgets(|name| ids.contains_key(name))?;
        let faults_end = horizon - quiet;
        let by_hand = self.planned(&ids, faults_end)?;
        let model = self.model(&ids, &rates, faults_end)?;
        let mut nodes = self.nodes.clone();
        for node in &mut nodes {
            node.spared |= self.faults.spared().contains(&node.name);
        }
        Ok(Cluster {
            scenario: self.name.clone(),
            names: self.nodes.iter().map(|node| node.name.clone()).collect(),
            ids: Arc::new(ids),
            nodes,
            model,
            settings: self.network.settings(),
            disk: self.disk.clone(),
            budgets,
            rates,
            by_hand,
            script: self.script.clone(),
            calm: self.is_calm(),
            properties: self.properties.clone(),
            horizon: Time::ZERO + horizon,
            faults_end: Time::ZERO + faults_end,
            bounds: self.bounds.clone(),
        })
    }

    /// The network, and what is aimed at its packets.
    fn model(
        &self,
        ids: &FxHashMap<String, NodeId>,
        rates: &Rates,
        faults_end: Duration,
    ) -> Result<Model, ScenarioError> {
        let default = self.network.default_path().clone();
        default.latency.validate()?;
        let mut model = Model::new(default, rates.packets.clone());
        for node in &self.nodes {
            model.add(None, Lineage::node(&node.name));
        }
        for fault in self.faults.aimed() {
            let rule = fault.rule(|name| ids.get(name).copied());
            let rule = rule.and_then(|rule| fault.before(faults_end).map(|()| rule));
            let mut rule = rule.map_err(FaultError::from)?;
            rule.end_by(Time::ZERO + faults_end);
            model.add_rule(rule);
        }
        for (from, to, path) in self.network.paths() {
            path.latency.validate()?;
            let id = |name: &String| {
                ids.get(name)
                    .copied()
                    .ok_or_else(|| ScenarioError::PathNode(name.clone()))
            };
            model.set_path(id(from)?, id(to)?, path.clone());
        }
        Ok(model)
    }

    /// The faults that are planned by hand.
    fn planned(
        &self,
        ids: &FxHashMap<String, NodeId>,
        end: Duration,
    ) -> Result<Vec<Planned>, FaultError> {
        let mut all = Vec::new();
        for (index, (at, fault)) in self.faults.by_hand().iter().enumerate() {
            checked(fault)?;
            let id = |name: &String| {
                ids.get(name).copied().ok_or_else(|| FaultError::Node {
                    fault: Box::new(fault.clone()),
                    node: name.clone(),
                })
            };
            if *at >= end {
                return Err(FaultError::TooLate {
                    fault: Box::new(fault.clone()),
                    at: *at,
                    end,
                });
            }
            all.push(Planned {
                at: Time::ZERO + *at,
                fault: fault.map(id)?,
                site: (Lineage::RUN, index as u32),
            });
        }
        Ok(all)
    }

    fn node_ids(&self) -> Result<FxHashMap<String, NodeId>, ScenarioError> {
        if self.nodes.is_empty() && self.script.is_none() {
            return Err(ScenarioError::NoNodes);
        }
        if self.nodes.len() >= NodeId::MOST {
            return Err(ScenarioError::TooManyNodes(self.nodes.len()));
        }
        let mut ids = FxHashMap::default();
        for (index, Node { name, .. }) in self.nodes.iter().enumerate() {
            if !valid_name(name) {
                return Err(ScenarioError::NodeName(name.clone()));
            }
            if ids.insert(name.clone(), NodeId::new(index)).is_some() {
                return Err(ScenarioError::NodeTwice(name.clone()));
            }
        }
        Ok(ids)
    }

    fn check_properties(&self) -> Result<(), ScenarioError> {
        if self.properties.is_empty() && self.script.is_none() {
            return Err(ScenarioError::NoProperties);
        }
        for (index, property) in self.properties.iter().enumerate() {
            if self.properties[..index]
                .iter()
                .any(|other| other.name == property.name)
            {
                return Err(ScenarioError::PropertyTwice(property.name.clone()));
            }
        }
        match &self.form {
            Form::Broken { property } => {
                match self.properties.iter().find(|p| p.name == *property) {
                    None => Err(ScenarioError::NoSuchProperty(property.clone())),
                    Some(Property {
                        when: When::Sometimes,
                        ..
                    }) => Err(ScenarioError::BrokenSometimes(property.clone())),
                    Some(_) => Ok(()),
                }
            }
            Form::Sound => Ok(()),
        }
    }

    /// Every `eventually` must be over when a run ends.
    fn check_deadlines(&self, horizon: Time, faults_end: Time) -> Result<(), ScenarioError> {
        for property in &self.properties {
            let When::Eventually(within) = property.when else {
                continue;
            };
            let deadline = healed(self.is_calm(), faults_end) + within;
            if deadline > horizon {
                return Err(ScenarioError::DeadlineTooLate {
                    property: property.name.clone(),
                    deadline,
                    horizon,
                });
            }
        }
        Ok(())
    }

    /// Whether it has no faults at all.
    fn is_calm(&self) -> bool {
        self.faults == Faults::calm()
    }
}
