//! Which pages a dump is to leave out, as arguments.

use clap::ValueEnum;
use kdumpconv::DumpLevel;

/// Which pages are left out.
#[derive(Debug, Default, clap::Args)]
pub(crate) struct ExcludeArgs {
    /// Pages to leave out, 0 to 31: 1 zero + 2 cache + 4 private-cache + 8 user + 16 free [default: 1, of elf: none]
    ///
    /// The numbers are makedumpfile's. 1: pages of zeros share one stored page (ELF: are holes,
    /// anyway). 2: page cache without private data. 4: page cache with or without. 8: memory of
    /// processes. 16: free pages. What the kernel has marked as poisoned or offline is left out at
    /// every level. The kernel's struct pages tell; what they do not prove is kept, with a warning.
    #[arg(short = 'd', long, value_name = "N", value_parser = clap::value_parser!(u32).range(0..=31))]
    dump_level: Option<u32>,

    /// The same by name, with commas between
    #[arg(long, value_name = "CLASS", value_delimiter = ',', conflicts_with = "dump_level")]
    exclude: Vec<Class>,

    /// Fail (3), and write nothing, where a class to be left out cannot be told, rather than keep it
    #[arg(long)]
    pub(crate) strict: bool,
}

/// A class of pages; its number is its bit of the dump level.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Class {
    /// Pages of zeros share one stored page
    Zero = 1,
    /// Page cache without private data
    Cache = 2,
    /// Page cache, with private data or without
    PrivateCache = 4,
    /// Memory of processes
    User = 8,
    /// Free pages
    Free = 16,
}

impl ExcludeArgs {
    /// The level that was asked for, by number or by names, if any was.
    pub(crate) fn level(&self) -> Option<DumpLevel> {
        let classes = self.exclude.iter().fold(0, |bits, class| bits | *class as u32);
        let asked = self.dump_level.or((!self.exclude.is_empty()).then_some(classes));
        asked.and_then(DumpLevel::new)
    }
}
