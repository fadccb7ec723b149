//! The dump levels of `-d`: the one that is asked for, and others that will do.

use std::fmt;

use kdumpconv::DumpLevel;

/// What levels may be.
const EXPECTED: &str = "expected a number from 0 to 31 (31 excludes most), or several, as in 1,31";

/// The dump levels of `-d`, as in `1,31`.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Levels {
    /// The level that is asked for.
    pub(crate) asked: DumpLevel,
    /// Levels that will do if not all of that one can be written.
    others: Vec<DumpLevel>,
}

impl From<DumpLevel> for Levels {
    fn from(asked: DumpLevel) -> Self {
        Levels { asked, others: Vec::new() }
    }
}

impl Levels {
    /// Whether other levels than the one that is asked for will do.
    pub(crate) fn are_several(&self) -> bool {
        !self.others.is_empty()
    }

    /// These levels, each of which excludes the classes of `other` too.
    pub(crate) fn with(self, other: DumpLevel) -> Self {
        let others = self.others.into_iter().map(|level| level.union(other)).collect();
        Levels { asked: self.asked.union(other), others }
    }

    /// The last one.
    pub(crate) fn last(&self) -> DumpLevel {
        self.others.last().copied().unwrap_or(self.asked)
    }

    /// Whether a dump of `level` will do: one of the others excludes all classes that it excludes, apart
    /// from those that its input excludes already. Pages of zeros do not count: they lose nothing.
    pub(crate) fn accept(&self, level: DumpLevel, of_input: Option<DumpLevel>) -> bool {
        let excused = DumpLevel::ZERO | of_input.map_or(0, DumpLevel::bits);
        self.others.iter().any(|other| level.bits() & !(other.bits() | excused) == 0)
    }
}

impl fmt::Display for Levels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.asked.bits())?;
        self.others.iter().try_for_each(|other| write!(f, ",{}", other.bits()))
    }
}

/// Parses one level, or several with commas between them.
pub(crate) fn parse_levels(text: &str) -> Result<Levels, String> {
    let level = |text: &str| text.parse().ok().and_then(DumpLevel::new);
    let levels: Option<Vec<DumpLevel>> = text.split(',').map(level).collect();
    match levels.as_deref() {
        Some([asked, others @ ..]) => Ok(Levels { asked: *asked, others: others.to_vec() }),
        _ => Err(EXPECTED.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn level(bits: u32) -> DumpLevel {
        DumpLevel::new(bits).unwrap()
    }

    #[test]
    fn the_first_level_is_asked_for() {
        for (text, asked, last) in
            [("1", 1, 1), ("0,31", 0, 31), ("0,1,31", 0, 31), ("31,1", 31, 1)]
        {
            let levels = parse_levels(text).unwrap();
            assert_eq!((levels.asked, levels.last()), (level(asked), level(last)));
            assert_eq!((levels.to_string().as_str(), levels.are_several()), (text, text.len() > 1));
        }
        for wrong in ["", ",", "1,", ",31", "32", "1,32", "-1", "1;31", "1, 31", "all"] {
            assert_eq!(parse_levels(wrong), Err(EXPECTED.to_owned()), "{wrong:?}");
        }
    }

    #[test]
    fn a_level_will_do_that_excludes_no_more_than_one_of_the_others() {
        for (levels, good, bad) in [
            ("1", &[][..], &[1, 17, 31][..]),
            ("1,31", &[17, 19, 23, 31], &[]),
            ("0,1,31", &[16, 22, 31], &[]),
            ("1,17", &[17], &[19, 23, 31]),
            ("1,19,9", &[17, 19], &[23, 27, 31]),
            ("0,30", &[30, 31], &[]),
        ] {
            let levels = parse_levels(levels).unwrap();
            for bits in good {
                assert!(levels.accept(level(*bits), None), "{levels}: {bits}");
            }
            for bits in bad {
                assert!(!levels.accept(level(*bits), None), "{levels}: {bits}");
            }
        }
        let levels = parse_levels("1,23").unwrap();
        assert!(!levels.accept(level(31), Some(level(1))));
        assert!(levels.accept(level(31), Some(level(8))));
    }
}
