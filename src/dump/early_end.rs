//! Why a file ends early, as the reason of what is wrong with it.

use crate::error::Error;
use crate::input::{FlattenedInput, InputFailure, RandomInput};

/// Why a file ends early, if it does.
pub(crate) struct EarlyEnd {
    failure: Option<InputFailure>,
    /// Where a flattened stream was cut off, in words.
    cut_off: Option<String>,
}

impl EarlyEnd {
    /// Of a file that is not flattened.
    pub(crate) fn of_plain(input: &RandomInput) -> Self {
        EarlyEnd { failure: input.failure.clone(), cut_off: None }
    }

    /// Of a flattened file.
    pub(crate) fn of_flattened(flat: &FlattenedInput) -> Self {
        EarlyEnd { failure: flat.failure(), cut_off: flat.damage() }
    }

    /// Turns an error about the file into one that names the early end as its reason.
    pub(crate) fn explain(self, error: Error) -> Error {
        match (error, self) {
            (error @ (Error::Unsupported(_) | Error::CutFlattened { .. }), _) => error,
            (error, EarlyEnd { failure: None, cut_off: Some(cut_off) }) => {
                Error::CutFlattened { cut_off, source: Box::new(error) }
            }
            (error, EarlyEnd { failure, .. }) => error.or_failure(failure.map(|f| f.to_io())),
        }
    }
}
