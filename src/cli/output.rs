//! What is printed: results to standard output, all else to standard error. A reader that has gone away
//! is no error.

use super::again::variable;
use anstyle::{AnsiColor, Style};
use std::fmt::Display;
use std::io::{self, ErrorKind, IsTerminal, Write};

/// Standard output. It is not kept locked: scenarios may print too, from the threads that run them.
pub(crate) struct Output {
    styled: bool,
    open: bool,
}

/// Standard output could not be written, and not because its reader has gone away.
#[derive(Debug, thiserror::Error)]
#[error("standard output cannot be written: {0}")]
pub(crate) struct OutputError(#[from] io::Error);

impl Output {
    pub(crate) fn new() -> Output {
        let styled = io::stdout().is_terminal() && variable("NO_COLOR").is_none();
        Output { styled, open: true }
    }

    /// Whether anybody still reads.
    pub(crate) fn is_open(&self) -> bool {
        self.open
    }

    /// Prints a line, or several with newlines between them.
    pub(crate) fn line(&mut self, line: impl Display) -> Result<(), OutputError> {
        if !self.open {
            return Ok(());
        }
        let mut to = io::stdout().lock();
        match writeln!(to, "{line}").and_then(|()| to.flush()) {
            Err(error) if error.kind() == ErrorKind::BrokenPipe => {
                self.open = false;
                Ok(())
            }
            printed => printed.map_err(OutputError),
        }
    }

    /// A text with the words that matter most in colour, where this is a terminal.
    pub(crate) fn accented(&self, text: &str) -> String {
        let red = AnsiColor::Red.on_default().bold();
        let bold = Style::new().bold();
        let accents = [
            ("  violated:", red),
            ("  never reached:", red),
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
