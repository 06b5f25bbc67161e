//! The arguments of the command line.

use super::parse;
use crate::explore::{SHRINK_TRIES, Strategy, Trials};
use crate::kernel::Time;
use clap::{Args, Parser, Subcommand};
use std::ops::Range;
use std::path::PathBuf;

/// Finds failures of simulated clusters, and replays them from their seeds.
///
/// Exit codes: 0 nothing violated; 1 a property violated; 2 wrong arguments or input; 4 two runs of one
/// seed differed; 5 no seed reached a `sometimes` property; 70 a fault of netsplit itself; the lowest that
/// is not 0 wins.
#[derive(Debug, Parser)]
#[command(version, subcommand_required = true, arg_required_else_help = true)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Lists the scenarios: name, form, summary.
    List {
        /// Prints one JSON object a line: name, form, property, summary.
        #[arg(long)]
        json: bool,
    },
    /// Runs many seeds, and stops at a scenario's first violation.
    Run(Run),
    /// Runs every scenario, and tells whether it is as it states: a broken one must violate the property
    /// that it names, a sound one must hold. Ends with 1 where one is not.
    Gallery(Gallery),
    /// Makes one run again, and prints its events and its digest.
    Replay(Replay),
    /// Makes one run again, and prints the cluster as it is at a moment of it: for each node the tree of its
    /// processes, and what each of them waits for.
    Observe(Observe),
    /// Cuts the failure of a seed down to the few draws that it needs, and writes them as a tape.
    Shrink(Shrink),
    /// Measures how many seeds each strategy takes to find what is broken.
    Strategies(Strategies),
}

#[derive(Debug, Args)]
pub(crate) struct Run {
    /// Names of scenarios, or globs such as `supe/*`.
    #[arg(required = true, value_name = "NAME")]
    pub(crate) names: Vec<String>,
    /// How many seeds, from 0 on, or a half open range.
    #[arg(long, value_name = "N|A..B", default_value = "1000", value_parser = parse::seeds)]
    pub(crate) seeds: Range<u64>,
    /// This seed only.
    #[arg(long, value_name = "S", conflicts_with = "seeds", value_parser = parse::seed)]
    pub(crate) seed: Option<u64>,
    /// How the run of a seed is made: see docs/SEARCH.md.
    #[arg(long, value_name = "NAME", default_value_t, value_parser = parse::strategy())]
    pub(crate) strategy: Strategy,
    /// Threads; it changes the time and nothing else [default: one a core].
    #[arg(long, value_name = "J", value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) jobs: Option<u16>,
    /// Runs all seeds, and reports every violation.
    #[arg(long)]
    pub(crate) keep_going: bool,
    /// Runs every seed twice, and compares.
    #[arg(long)]
    pub(crate) check_determinism: bool,
    /// Prints one JSON object for each scenario.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Gallery {
    /// How many seeds a sound scenario must hold for, and within how many a broken one must be found
    /// [default: 1000 for a sound one, 10000 for a broken one].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) seeds: Option<u64>,
    /// Threads; it changes the time and nothing else [default: one a core].
    #[arg(long, value_name = "J", value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) jobs: Option<u16>,
    /// Prints one JSON object for each scenario.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Replay {
    /// The name of the scenario.
    pub(crate) name: String,
    #[command(flatten)]
    pub(crate) which: Which,
    /// How the run of a seed is made: see docs/SEARCH.md.
    #[arg(long, value_name = "NAME", default_value_t, conflicts_with = "tape",
        value_parser = parse::strategy())]
    pub(crate) strategy: Strategy,
    /// Prints events up to this moment of virtual time, such as 4.2s, 300ms or 1m [default: all].
    #[arg(long, value_name = "TIME", value_parser = parse::time)]
    pub(crate) until: Option<Time>,
    /// Writes the events to this file; `-` is standard output [default: -, and nowhere with --json].
    #[arg(long, value_name = "FILE|-")]
    pub(crate) trace: Option<PathBuf>,
    /// Prints one JSON object.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Observe {
    /// The name of the scenario.
    pub(crate) name: String,
    #[command(flatten)]
    pub(crate) which: Which,
    /// The moment of virtual time, such as 12.5s, 300ms or 1m: after all that happens at it. After the end of
    /// the run: its end.
    #[arg(long, value_name = "TIME", value_parser = parse::time)]
    pub(crate) at: Time,
    /// How the run of a seed is made: see docs/SEARCH.md.
    #[arg(long, value_name = "NAME", default_value_t, conflicts_with = "tape",
        value_parser = parse::strategy())]
    pub(crate) strategy: Strategy,
    /// Prints one JSON object.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Shrink {
    /// The name of the scenario.
    pub(crate) name: String,
    /// A seed that violates a property.
    #[arg(long, value_name = "S", value_parser = parse::seed)]
    pub(crate) seed: u64,
    /// How the run of a seed is made: see docs/SEARCH.md.
    #[arg(long, value_name = "NAME", default_value_t, value_parser = parse::strategy())]
    pub(crate) strategy: Strategy,
    /// The file for the tape, which `replay --tape` plays.
    #[arg(long, value_name = "FILE")]
    pub(crate) out: PathBuf,
    /// How many runs may be made on the way.
    #[arg(long, value_name = "N", default_value_t = SHRINK_TRIES)]
    pub(crate) tries: u64,
}

#[derive(Debug, Args)]
pub(crate) struct Strategies {
    /// Names of scenarios, or globs such as `supe/*`; of these, the broken ones.
    #[arg(required = true, value_name = "NAME")]
    pub(crate) names: Vec<String>,
    /// How many times each is searched for, each time with other seeds.
    #[arg(long, value_name = "N", default_value_t = Trials::default().trials,
        value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    pub(crate) trials: u64,
    /// How many seeds a trial has at most.
    #[arg(long, value_name = "N", default_value_t = Trials::default().cap,
        value_parser = clap::value_parser!(u64).range(1..=1_000_000_000))]
    pub(crate) cap: u64,
    /// Threads; it changes the time and nothing else [default: one a core].
    #[arg(long, value_name = "J", value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) jobs: Option<u16>,
}

#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub(crate) struct Which {
    /// The seed of the run.
    #[arg(long, value_name = "S", value_parser = parse::seed)]
    pub(crate) seed: Option<u64>,
    /// A file with the tape of the run.
    #[arg(long, value_name = "FILE")]
    pub(crate) tape: Option<PathBuf>,
}

#[cfg(test)]
mod tests {
    use super::Arguments;
    use clap::CommandFactory;
    use std::collections::BTreeSet;

    const PAGE: &str = include_str!("../../docs/guide/command-line.md");

    /// The part of the page that is about a command.
    fn about(command: &str) -> &'static str {
        let (_, rest) = PAGE
            .split_once(&format!("\n## `{command}`\n"))
            .unwrap_or_else(|| panic!("the page has no part about `{command}`"));
        rest.split("\n## ").next().unwrap_or_default()
    }

    /// What stands in a text as an option.
    fn options(text: &str) -> BTreeSet<&str> {
        let words = text.split(|c: char| !(c.is_ascii_lowercase() || c == '-'));
        let long = words.filter(|word| word.starts_with("--") && word.len() > 2);
        long.collect()
    }

    #[test]
    fn every_command_and_option_stands_in_the_guide_with_an_example() {
        for command in Arguments::command().get_subcommands() {
            let name = command.get_name();
            let about = about(name);
            let table = about.lines().filter(|line| line.starts_with("| `--"));
            let call = format!("$ netsplit {name}");
            let calls = PAGE.lines().filter(|line| line.starts_with(&call));
            let examples = calls.collect::<Vec<&str>>().join("\n");
            assert!(!examples.is_empty(), "`{name}` has no example");
            let known: BTreeSet<String> = command
                .get_arguments()
                .filter_map(|argument| Some(format!("--{}", argument.get_long()?)))
                .filter(|option| option != "--help")
                .collect();
            let known: BTreeSet<&str> = known.iter().map(String::as_str).collect();
            let told = table.map(|row| row.split('|').nth(1));
            let told: BTreeSet<&str> = told.flatten().flat_map(options).collect();
            assert_eq!(told, known, "the table of `{name}`");
            let shown = options(&examples);
            let not_shown: Vec<&&str> = known.difference(&shown).collect();
            assert!(
                not_shown.is_empty(),
                "`{name}` without an example: {not_shown:?}"
            );
        }
    }
}
