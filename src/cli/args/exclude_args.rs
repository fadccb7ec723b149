//! Which pages a new dump excludes.

use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use kdumpconv::DumpLevel;

use super::help::heading;
use super::levels::{Levels, parse_levels};
use crate::cli::exit::Usage;
use crate::cli::ui::classes::level_classes;

/// Which pages to exclude.
#[derive(Debug, Default, PartialEq, clap::Args)]
#[command(next_help_heading = heading::EXCLUDE)]
pub(crate) struct ExcludeArgs {
    /// 1 zero + 2 cache + 4 private-cache + 8 user + 16 free
    ///
    /// The sum of the classes to exclude, 0 to 31, with makedumpfile's numbers. The default is 1; the
    /// command elf excludes nothing by default.
    ///
    /// 1 is pages of zeros, which share one stored page (in an ELF file they are holes at every
    /// level); 2 is page cache without private data; 4 is page cache with or without; 8 is memory of
    /// processes; 16 is free pages.
    ///
    /// Pages that the kernel has marked as poisoned or offline are excluded at every level. The
    /// kernel's struct pages identify the classes. If they do not prove that a page belongs to a
    /// class, it is kept; if a whole class cannot be identified, there is a warning.
    ///
    /// The command convert takes several levels, as in 1,31: the first is asked for. If not all of
    /// its pages can be written, a dump of one of the others will do, with exit code 0.
    #[arg(short = 'd', long, value_name = "N", overrides_with = "exclude")]
    #[arg(value_parser = levels_parser, allow_negative_numbers = true)]
    dump_level: Option<Levels>,

    /// By name, as in zero,free [default: zero; elf: none]
    ///
    /// The names are zero, cache, private-cache, user and free, separated by commas.
    #[arg(
        long,
        value_name = "CLASS",
        hide_possible_values = true,
        value_delimiter = ',',
        value_parser = class_parser(),
        overrides_with = "dump_level"
    )]
    exclude: Vec<u32>,

    /// Fail if a class to exclude cannot be identified
    ///
    /// Without --strict the pages of such a class are kept, with a warning. With it the exit code is
    /// 3, and nothing is written.
    #[arg(long)]
    pub(crate) strict: bool,
}

/// Parses levels.
fn levels_parser(text: &str) -> Result<Levels, String> {
    parse_levels(text).map_err(|why| format!("{why}; --exclude takes names"))
}

/// Parses the name of a class to its bit of the dump level.
fn class_parser() -> impl TypedValueParser<Value = u32> {
    let classes = level_classes();
    let values = classes.iter().map(|(name, _)| match help_of(name) {
        Some(help) => PossibleValue::new(name).help(help),
        None => PossibleValue::new(name),
    });
    PossibleValuesParser::new(values.collect::<Vec<_>>()).try_map(move |given| {
        let class = classes.iter().find(|(name, _)| *name == given);
        class.map(|(_, bit)| *bit).ok_or("no class has this name")
    })
}

fn help_of(class: &str) -> Option<&'static str> {
    match class {
        "zero" => Some("Pages of zeros, which share one stored page"),
        "cache" => Some("Page cache without private data"),
        "private-cache" => Some("Page cache, with private data or without"),
        "user" => Some("Memory of processes"),
        "free" => Some("Free pages"),
        _ => None,
    }
}

impl ExcludeArgs {
    /// `--dump-level`.
    pub(crate) fn of_levels(levels: Levels) -> Self {
        ExcludeArgs { dump_level: Some(levels), ..Self::default() }
    }

    /// The levels that were given, by numbers or by names; `None` if none were.
    pub(crate) fn levels(&self) -> Option<Levels> {
        let classes = self.exclude.iter().fold(0, |bits, bit| bits | bit);
        let by_name = || DumpLevel::new(classes).filter(|_| !self.exclude.is_empty());
        self.dump_level.clone().or_else(|| by_name().map(Levels::from))
    }

    /// The level that was asked for; `None` if none was.
    ///
    /// # Errors
    /// [`Usage`] if there are several.
    pub(crate) fn only_level(&self) -> Result<Option<DumpLevel>, Usage> {
        let levels = self.levels();
        if levels.as_ref().is_some_and(Levels::are_several) {
            return Err(Usage("-d: expected one level; only convert takes several"));
        }
        Ok(levels.map(|levels| levels.asked))
    }
}
