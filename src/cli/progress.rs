//! The progress of a sweep: a live bar on a terminal, and nothing elsewhere.

use crate::explore::Progress;
use crate::report::grouped;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};
use std::fmt::Write;
use std::io::{self, IsTerminal};

/// Columns of a bar, with its brackets.
const COLUMNS: usize = 20;

/// A bar for one sweep.
pub(crate) struct Bar(Option<ProgressBar>);

impl Bar {
    pub(crate) fn new(scenario: &str, seeds: u64) -> Bar {
        if !io::stderr().is_terminal() {
            return Bar(None);
        }
        let bar = ProgressBar::with_draw_target(Some(seeds), ProgressDrawTarget::stderr());
        let template = format!(
            "  {{prefix}}   [{{bar:{COLUMNS}}}]  {{seeds}} seeds  {{speed}} seeds/s{{msg}}"
        );
        let style = ProgressStyle::with_template(&template).expect("the template is ours");
        let style = style
            .progress_chars("=> ")
            .with_key("seeds", |state: &ProgressState, out: &mut dyn Write| {
                let _ = out.write_str(&grouped(state.pos()));
            })
            .with_key("speed", |state: &ProgressState, out: &mut dyn Write| {
                let _ = out.write_str(&grouped(state.per_sec() as u64));
            });
        bar.set_style(style);
        bar.set_prefix(scenario.to_owned());
        Bar(Some(bar))
    }

    /// Shows how far the sweep is.
    pub(crate) fn show(&self, progress: Progress) {
        let Some(bar) = &self.0 else { return };
        bar.set_position(progress.seeds);
        if progress.violations > 0 {
            bar.set_message(format!("  {} violated", grouped(progress.violations)));
        }
    }

    /// Takes the live bar away.
    pub(crate) fn clear(&self) {
        if let Some(bar) = &self.0 {
            bar.finish_and_clear();
        }
    }

    /// The bar of a sweep that is over, as a text; none where no live bar was shown.
    pub(crate) fn still(&self, covered: u64, of: u64) -> Option<String> {
        self.0.as_ref()?;
        let share = u128::from(covered) * COLUMNS as u128 / u128::from(of.max(1));
        let full = (share as usize).min(COLUMNS);
        let tip = if full < COLUMNS { ">" } else { "" };
        Some(format!("[{:<COLUMNS$}]", "=".repeat(full) + tip))
    }
}
