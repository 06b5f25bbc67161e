//! What is printed: results to standard output, all else to standard error. A reader that has gone away
//! is no error.

use super::again::variable;
use anstyle::{AnsiColor, Style};
use std::fmt::Display;
use std::io::{self, ErrorKind, IsTerminal, StdoutLock, Write};

/// Standard output.
pub(crate) struct Output {
    to: StdoutLock<'static>,
    styled: bool,
    open: bool,
}

/// Standard output could not be written, and not because its reader has gone away.
#[derive(Debug, thiserror::Error)]
#[error("standard output cannot be written: {0}")]
pub(crate) struct OutputError(#[from] io::Error);

impl Output {
    pub(crate) fn new() -> Output {
        let to = io::stdout().lock();
        let styled = to.is_terminal() && variable("NO_COLOR").is_none();
        Output {
            to,
            styled,
            open: true,
        }
    }

    /// Whether anybody still reads.
    pub(crate) fn is_open(&self) -> bool {
        self.open
    }

    /// Prints a line.
    pub(crate) fn line(&mut self, line: impl Display) -> Result<(), OutputError> {
        if !self.open {
            return Ok(());
        }
        let printed = writeln!(self.to, "{line}").and_then(|()| self.to.flush());
        self.passed(printed)
    }

    /// Prints many lines.
    pub(crate) fn lines(&mut self, lines: &[String]) -> Result<(), OutputError> {
        if !self.open || lines.is_empty() {
            return Ok(());
        }
        let mut text = lines.join("\n");
        text.push('\n');
        let printed = self.to.write_all(text.as_bytes());
        let printed = printed.and_then(|()| self.to.flush());
        self.passed(printed)
    }

    fn passed(&mut self, printed: io::Result<()>) -> Result<(), OutputError> {
        match printed {
            Err(error) if error.kind() == ErrorKind::BrokenPipe => {
                self.open = false;
                Ok(())
            }
            other => other.map_err(OutputError),
        }
    }

    /// A text with the words that matter most in colour, where this is a terminal.
    pub(crate) fn accented(&self, text: &str) -> String {
        let red = AnsiColor::Red.on_default().bold();
        let bold = Style::new().bold();
        let accents = [
            ("  violated:", red),
            ("  stopped:", red),
            ("  again:", bold),
        ];
        let accent = |line: &str| {
            let found = accents.iter().find(|(word, _)| line.starts_with(word));
            match found {
                Some((word, style)) if self.styled => {
                    format!("{style}{word}{style:#}{}", &line[word.len()..])
                }
                _ => line.to_owned(),
            }
        };
        text.lines().map(accent).collect::<Vec<_>>().join("\n")
    }
}
