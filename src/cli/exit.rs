//! Exit codes, which are all that a hook script learns of the result.

use std::io::ErrorKind;
use std::process::ExitCode;

use kdumpconv::Error;

/// The exit codes that a command can have, or the program if it is named, and what they mean: as
/// help and the manual pages list them.
pub(crate) fn meanings(command: &str) -> Vec<(&'static str, &'static str)> {
    let lacks: &[&str] = match command {
        "kdumpconv" | "verify" => &[],
        "info" => &["4", "5"],
        "completions" | "man" | "schema" => &["3", "4", "5"],
        _ => &["5"],
    };
    MEANINGS.into_iter().filter(|(code, _)| !lacks.contains(code)).collect()
}

const MEANINGS: [(&str, &str); 7] = [
    ("0", "success"),
    ("1", "failure: nothing usable was kept"),
    ("2", "wrong arguments"),
    ("3", "INPUT is not recognised, or damaged beyond use"),
    ("4", "a usable part was kept (verify: INPUT is marked as incomplete)"),
    ("5", "verify found damage"),
    ("128+N", "ended by signal N"),
];

/// How the program ends, from the best to the worst: the worst of several inputs counts.
///
/// - A signal ended the command before all inputs were read: no other code may hide that.
/// - Damage that was found is certain; about an input that could not be read nothing is.
/// - Of such inputs, one that is no usable dump is worse than one that could not be opened, which
///   may succeed the next time, or with other arguments.
/// - An incomplete dump is known to be usable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Exit {
    /// 0: a complete dump was written.
    Done,
    /// 4: a usable dump was kept, but incomplete or under another name.
    Incomplete,
    /// 2: the arguments are wrong.
    Usage,
    /// 1: nothing usable was kept.
    Failed,
    /// 3: the input is not recognised or damaged beyond use.
    Input,
    /// 5: `verify` found damage.
    FoundDamage,
    /// 128 + n: ended by signal n.
    Signal(u8),
}

/// A usage error that clap cannot find: arguments that contradict each other.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Usage(pub(crate) &'static str);

impl Exit {
    /// The exit code for an error.
    pub(crate) fn of(error: &anyhow::Error) -> Self {
        if error.downcast_ref::<Usage>().is_some() {
            return Exit::Usage;
        }
        error.downcast_ref().map_or(Exit::Failed, Exit::of_library)
    }

    /// The exit code for an error of the library.
    fn of_library(error: &Error) -> Self {
        match error {
            Error::CannotSeek(_) => Exit::Usage,
            Error::NotRecognised(_)
            | Error::Unsupported(_)
            | Error::Damaged { .. }
            | Error::UnsupportedPageSize { .. }
            | Error::UnknownPageSize { .. }
            | Error::UnknownMachine { .. }
            | Error::MemoryElsewhere { .. }
            | Error::UnknownPlace { .. }
            | Error::RawMemory { .. }
            | Error::PageSizesDiffer { .. }
            | Error::DifferentCrash { .. }
            | Error::OtherVmcoreinfo { .. }
            | Error::NotProven(_) => Exit::Input,
            Error::CutFlattened { source, .. } => Exit::of_library(source),
            // A .gz or .zst that is damaged before the end of the dump's headers.
            Error::Read { source, .. }
                if matches!(source.kind(), ErrorKind::InvalidData | ErrorKind::UnexpectedEof) =>
            {
                Exit::Input
            }
            _ => Exit::Failed,
        }
    }

    /// Its number.
    pub(crate) fn code(self) -> u8 {
        match self {
            Exit::Done => 0,
            Exit::Failed => 1,
            Exit::Usage => 2,
            Exit::Input => 3,
            Exit::Incomplete => 4,
            Exit::FoundDamage => 5,
            Exit::Signal(signal) => 128u8.saturating_add(signal),
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        ExitCode::from(exit.code())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_of_several_inputs_counts() {
        use Exit::{Done, Failed, FoundDamage, Incomplete, Input, Signal, Usage};
        for (exits, worst) in [
            (&[Done, Done][..], Done),
            (&[Done, Incomplete, Done], Incomplete),
            (&[Failed, Incomplete], Failed),
            (&[Incomplete, Usage], Usage),
            (&[Usage, Failed], Failed),
            (&[Failed, Input], Input),
            (&[FoundDamage, Input], FoundDamage),
            (&[FoundDamage, Done, Failed, Incomplete], FoundDamage),
            (&[Input, Signal(2), FoundDamage], Signal(2)),
        ] {
            assert_eq!(exits.iter().max(), Some(&worst), "{exits:?}");
        }
    }
}
