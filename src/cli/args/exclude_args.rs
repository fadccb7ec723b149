//! Which pages a new dump excludes.

use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use kdumpconv::{Class, ClassSet, DumpLevel, KeepSet};

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
    #[arg(short = 'd', long, value_name = "N", overrides_with = "dump_level")]
    #[arg(value_parser = levels_parser, allow_negative_numbers = true)]
    dump_level: Option<Levels>,

    /// Also by name: zero, free, vmemmap, zfs, zsmalloc, ...
    ///
    /// The names are zero, cache, private-cache, user and free, which are those of --dump-level, and
    /// vmemmap, zfs and zsmalloc, separated by commas. They add to --dump-level, if that is given;
    /// without it, a name of its classes replaces the default.
    ///
    /// vmemmap is the memory of the kernel's struct pages, as far as they describe pages that are not
    /// in OUTPUT. On large machines that is most of a -d 31 dump. The header says that they are
    /// missing, as for makedumpfile -e.
    ///
    /// zfs is what OpenZFS keeps in memory, of files and of its own, most of it the ARC. zsmalloc is the
    /// compressed memory of zram and zswap; it is known since kernel 6.11, if the kernel has BTF.
    #[arg(
        long,
        value_name = "CLASS",
        hide_possible_values = true,
        value_delimiter = ',',
        value_parser = class_parser()
    )]
    exclude: Vec<Named>,

    /// Keep these nevertheless: user-stacks, elf-headers
    ///
    /// user-stacks are up to 128 pages of the stack of each thread of a process, from its stack pointer
    /// upward, so that a debugger can unwind programs though -d 31 excludes their memory. They are found
    /// by the kernel's types (BTF), on x86_64 only. If they are not found, there is a warning, and the
    /// dump is made without them, also with --strict.
    ///
    /// elf-headers are the first pages of all ELF files in the page cache, most of which are mapped: they
    /// have the build IDs of programs and libraries. They are found by the kernel's types as well.
    #[arg(long, value_name = "WHAT", value_delimiter = ',', hide_possible_values = true)]
    keep: Vec<Keep>,

    /// Fail if a class to exclude cannot be identified
    ///
    /// Without --strict the pages of such a class are kept, with a warning. With it the exit code is
    /// 3, and nothing is written.
    #[arg(long)]
    pub(crate) strict: bool,
}

/// What to keep though its class is excluded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Keep {
    /// The stacks of processes
    UserStacks,
    /// The first pages of ELF files
    ElfHeaders,
}

/// A class that was named.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Named {
    /// By its bit of the dump level.
    OfLevel(u32),
    /// A class that no dump level excludes.
    OnRequest(Class),
}

/// Parses levels.
fn levels_parser(text: &str) -> Result<Levels, String> {
    parse_levels(text).map_err(|why| format!("{why}; --exclude takes names"))
}

/// Parses the name of a class.
fn class_parser() -> impl TypedValueParser<Value = Named> {
    let of_levels = level_classes().into_iter().map(|(name, bit)| (name, Named::OfLevel(bit)));
    let on_request = Class::ALL.into_iter().filter(|class| class.is_on_request());
    let on_request = on_request.map(|class| (class.name(), Named::OnRequest(class)));
    let classes: Vec<(&str, Named)> = of_levels.chain(on_request).collect();
    let values = classes.iter().map(|(name, _)| match help_of(name) {
        Some(help) => PossibleValue::new(name).help(help),
        None => PossibleValue::new(name),
    });
    PossibleValuesParser::new(values.collect::<Vec<_>>()).try_map(move |given| {
        let class = classes.iter().find(|(name, _)| *name == given);
        class.map(|(_, class)| *class).ok_or("no class has this name")
    })
}

fn help_of(class: &str) -> Option<&'static str> {
    match class {
        "zero" => Some("Pages of zeros, which share one stored page"),
        "cache" => Some("Page cache without private data"),
        "private-cache" => Some("Page cache, with private data or without"),
        "user" => Some("Memory of processes"),
        "free" => Some("Free pages"),
        "zfs" => Some("Data that OpenZFS keeps in memory"),
        "zsmalloc" => Some("Compressed memory of zram and zswap"),
        "vmemmap" => Some("Struct pages of pages that are not in the dump"),
        _ => None,
    }
}

impl ExcludeArgs {
    /// `--dump-level`, and the names of other classes.
    pub(crate) fn of_levels(levels: Levels, classes: ClassSet) -> Self {
        let exclude = classes.iter().map(Named::OnRequest).collect();
        ExcludeArgs { dump_level: Some(levels), exclude, ..Self::default() }
    }

    /// The levels that were given, by numbers or by names; `None` if none were.
    pub(crate) fn levels(&self) -> Option<Levels> {
        let named = self.exclude.iter().filter_map(|named| match named {
            Named::OfLevel(bit) => DumpLevel::new(*bit),
            Named::OnRequest(_) => None,
        });
        let named = named.reduce(DumpLevel::union);
        match (&self.dump_level, named) {
            (Some(levels), Some(named)) => Some(levels.clone().with(named)),
            (Some(levels), None) => Some(levels.clone()),
            (None, named) => named.map(Levels::from),
        }
    }

    /// The classes to exclude that no dump level excludes.
    pub(crate) fn classes(&self) -> ClassSet {
        let on_request = self.exclude.iter().filter_map(|named| match named {
            Named::OnRequest(class) => Some(*class),
            Named::OfLevel(_) => None,
        });
        on_request.collect()
    }

    /// What to keep though its class is excluded.
    pub(crate) fn keep(&self) -> KeepSet {
        KeepSet::default()
            .user_stacks(self.keep.contains(&Keep::UserStacks))
            .elf_headers(self.keep.contains(&Keep::ElfHeaders))
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
