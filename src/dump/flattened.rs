//! Opens a flattened file in place: what is in it decides how it is read.

use crate::dump::Dump;
use crate::dump::early_end::EarlyEnd;
use crate::dump::kdump::{self, FileBytes};
use crate::dump::open::{Opener, magic};
use crate::error::{Error, Result};
use crate::format::flattened::is_flattened;
use crate::format::kdump::KDUMP_SIGNATURE;
use crate::input::{FlattenedInput, FlattenedStats, RandomInput};

/// Opens what is in a flattened file.
///
/// # Errors
/// As [`Dump::open`], and [`Error::CutFlattened`] if its headers did not arrive.
pub(super) fn open(input: RandomInput, opener: &mut Opener<'_>) -> Result<Dump> {
    let flat = FlattenedInput::open(input)?;
    // A kdump file is also one whose first bytes are sent last, and did not arrive.
    let is_kdump =
        magic(&flat).map_or(true, |first| first.is_empty() || first.starts_with(KDUMP_SIGNATURE));
    if is_kdump {
        return kdump::open(vec![FileBytes::Flattened(flat)], opener.options);
    }
    let early_end = EarlyEnd::of_flattened(&flat);
    let input = RandomInput::unflattened(flat);
    // Nothing is flattened twice, and hostile nesting would have no end.
    let opened = match magic(&*input) {
        Ok(first) if is_flattened(&first) => {
            Err(Error::NotRecognised("another flattened file".to_owned()))
        }
        _ => opener.open(vec![input.into()]),
    };
    opened.map_err(|error| {
        early_end.explain(match error {
            Error::NotRecognised(why) => {
                Error::NotRecognised(format!("in a flattened file: {why}"))
            }
            error => error,
        })
    })
}

impl Dump {
    /// Facts about the flattened stream that an ELF core is in, if it is in one. (Each file of a split
    /// set has its own.)
    pub(crate) fn flattened(&self) -> Option<&FlattenedStats> {
        self.elf()?.input.flattened()
    }

    /// The dump, known to be incomplete if it is in a flattened stream that was cut off.
    pub(super) fn blaming_stream(mut self) -> Self {
        if let Some(cut_off) = self.flattened().and_then(|flat| flat.cut_off.clone()) {
            self.is_incomplete = true;
            self.warnings.insert(0, cut_off);
        }
        self
    }
}
