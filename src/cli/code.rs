//! Exit codes: what a script learns of a command.

use crate::explore::Trouble;
use crate::sim::RunError;
use std::process::ExitCode;

/// An exit code.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub(crate) enum Code {
    /// Nothing was violated.
    #[default]
    Fine = 0,
    /// A property was violated, or the scenario panicked.
    Violated = 1,
    /// Wrong arguments or input; a scenario that cannot be run, or only over its bounds.
    Input = 2,
    /// Two runs of one seed differed, or a run depended on what is outside of it.
    Differed = 4,
    /// A sweep has reached a `sometimes` property in none of its seeds.
    Unreached = 5,
    /// A fault of netsplit itself.
    Fault = 70,
}

impl Code {
    /// The code of two things that happened: the lowest that is not 0.
    pub(crate) fn and(self, other: Code) -> Code {
        match (self, other) {
            (Code::Fine, code) | (code, Code::Fine) => code,
            (one, other) => one.min(other),
        }
    }

    /// Of an error of a run.
    pub(crate) fn of_run(error: &RunError) -> Code {
        match error {
            RunError::Bound(_) => Code::Input,
            RunError::OutsideWake { .. } | RunError::UnknownWait { .. } => Code::Differed,
            RunError::Books(_) => Code::Fault,
        }
    }

    /// Of what ended a sweep.
    pub(crate) fn of(trouble: &Trouble) -> Code {
        match trouble {
            Trouble::Run { error, .. } => Code::of_run(error),
            Trouble::Diverged(_) => Code::Differed,
            Trouble::Fault { .. } => Code::Fault,
        }
    }
}

impl From<Code> for ExitCode {
    fn from(code: Code) -> ExitCode {
        ExitCode::from(code as u8)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lowest_code_that_is_not_zero_wins() {
        let all = [
            Code::Fine,
            Code::Fault,
            Code::Unreached,
            Code::Differed,
            Code::Input,
            Code::Violated,
        ];
        assert_eq!(all.into_iter().fold(Code::Fine, Code::and), Code::Violated);
        assert_eq!(
            all[..4].iter().fold(Code::Fine, |a, b| a.and(*b)),
            Code::Differed
        );
        assert_eq!(Code::Fine.and(Code::Fine), Code::Fine);
    }
}
