//! How much of each part of memory an incomplete dump has.

use kdumpconv::DumpLevel;
use kdumpconv::summary::{Coverage, Part, Share};
use serde::Serialize;

use super::info::RemarkJson;
use super::number::Count;

/// How much of each part of memory a dump has.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "generate", derive(schemars::JsonSchema), schemars(rename = "Coverage"))]
pub(crate) struct CoverageJson {
    /// The lowest dump level that the dump is complete for; null if pages of the kernel are missing, or
    /// pages of which it is unknown what they hold.
    complete_level: Option<u32>,
    /// The parts.
    parts: PartsJson,
    /// Why pages cannot be told apart, if any cannot.
    unknown: Vec<String>,
    /// What debuggers fail at, because of missing pages.
    effects: Vec<RemarkJson>,
}

/// The parts of memory. A page counts once.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
#[cfg_attr(feature = "generate", derive(schemars::JsonSchema), schemars(rename = "Parts"))]
struct PartsJson {
    /// Page tables of the kernel, and those that a CPU used.
    page_tables: ShareJson,
    /// Pages that the kernel reserved at boot.
    reserved: ShareJson,
    /// Variables of the kernel's image, the log.
    data: ShareJson,
    /// Constants of the kernel's image.
    rodata: ShareJson,
    /// Tasks with their stacks, as far as they were found.
    tasks: ShareJson,
    /// Code of the kernel's image.
    text: ShareJson,
    /// Slabs.
    slab: ShareJson,
    /// Other pages of the kernel.
    other_kernel: ShareJson,
    /// Struct pages.
    struct_pages: ShareJson,
    /// Memory of processes.
    user: ShareJson,
    /// Page cache with private data.
    private_cache: ShareJson,
    /// Page cache without private data.
    cache: ShareJson,
    /// Free pages.
    free: ShareJson,
    /// Poisoned or offline pages, which every dump level excludes.
    never_kept: ShareJson,
    /// Pages whose struct page is missing.
    unknown: ShareJson,
    /// Memory without struct pages, such as firmware.
    unmanaged: ShareJson,
}

/// The pages of a part.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "generate", derive(schemars::JsonSchema), schemars(rename = "Share"))]
struct ShareJson {
    /// Pages that the machine had.
    pages: Count,
    /// Those of them that the file has.
    in_file: Count,
}

impl From<&Coverage> for CoverageJson {
    fn from(coverage: &Coverage) -> Self {
        let effects = coverage.effects().into_iter();
        CoverageJson {
            complete_level: coverage.complete_level().map(DumpLevel::bits),
            parts: PartsJson::from(coverage),
            unknown: coverage.unknown.clone(),
            effects: effects.map(RemarkJson::from).collect(),
        }
    }
}

impl From<&Coverage> for PartsJson {
    fn from(coverage: &Coverage) -> Self {
        let of = |part| ShareJson::from(coverage.share(part));
        PartsJson {
            page_tables: of(Part::PageTables),
            reserved: of(Part::Reserved),
            data: of(Part::Data),
            rodata: of(Part::Rodata),
            tasks: of(Part::Tasks),
            text: of(Part::Text),
            slab: of(Part::Slab),
            other_kernel: of(Part::OtherKernel),
            struct_pages: of(Part::StructPages),
            user: of(Part::User),
            private_cache: of(Part::PrivateCache),
            cache: of(Part::Cache),
            free: of(Part::Free),
            never_kept: of(Part::NeverKept),
            unknown: of(Part::Unknown),
            unmanaged: of(Part::Unmanaged),
        }
    }
}

impl From<Share> for ShareJson {
    fn from(share: Share) -> Self {
        ShareJson { pages: share.pages.into(), in_file: share.in_file.into() }
    }
}
