//! Which pages a new dump excludes.

use clap::ValueEnum;
use kdumpconv::DumpLevel;

/// Which pages to exclude.
#[derive(Debug, Default, clap::Args)]
pub(crate) struct ExcludeArgs {
    /// Pages to exclude, 0 to 31: 1 zero + 2 cache + 4 private-cache + 8 user + 16 free [default: 1, of elf: none]
    ///
    /// The numbers are those of makedumpfile. 1: pages of zeros share one stored page (in an ELF
    /// file they are holes at every level). 2: page cache without private data. 4: page cache with
    /// or without. 8: memory of processes. 16: free pages. Pages that the kernel has marked as
    /// poisoned or offline are excluded at every level. The kernel's struct pages say which pages
    /// these are; pages about which they prove nothing are kept, with a warning.
    #[arg(short = 'd', long, value_name = "N", value_parser = clap::value_parser!(u32).range(0..=31))]
    dump_level: Option<u32>,

    /// Pages to exclude by name, separated by commas
    #[arg(long, value_name = "CLASS", value_delimiter = ',', conflicts_with = "dump_level")]
    exclude: Vec<Class>,

    /// Fail (exit code 3) and write nothing if a class to exclude cannot be identified, rather than keep it
    #[arg(long)]
    pub(crate) strict: bool,
}

/// A class of pages, whose number is its bit of the dump level.
#[derive(Debug, Clone, Copy, ValueEnum)]
#[repr(u32)]
enum Class {
    /// Pages of zeros, which share one stored page
    Zero = DumpLevel::ZERO,
    /// Page cache without private data
    Cache = DumpLevel::CACHE,
    /// Page cache, with private data or without
    PrivateCache = DumpLevel::PRIVATE_CACHE,
    /// Memory of processes
    User = DumpLevel::USER,
    /// Free pages
    Free = DumpLevel::FREE,
}

impl ExcludeArgs {
    /// The level that was asked for, by number or by names; `None` if none was.
    pub(crate) fn level(&self) -> Option<DumpLevel> {
        let classes = self.exclude.iter().fold(0, |bits, class| bits | *class as u32);
        let asked = self.dump_level.or((!self.exclude.is_empty()).then_some(classes));
        asked.and_then(DumpLevel::new)
    }
}
