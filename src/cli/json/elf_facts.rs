//! What the headers of an ELF vmcore say.

use kdumpconv::summary::ElfFacts;
use serde::Serialize;

use super::kdump::FlattenedJson;
use super::number::Count;

/// What the headers of an ELF vmcore say.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "generate", derive(schemars::JsonSchema), schemars(rename = "ElfFacts"))]
pub(super) struct ElfFactsJson {
    /// 64 for ELF64, 32 for ELF32.
    #[cfg_attr(feature = "generate", schemars(extend("enum" = [32, 64])))]
    class: u32,
    /// `e_machine`: the architecture by its number in ELF, such as 62 for x86_64.
    e_machine: u16,
    /// The number of program headers.
    program_headers: Count,
    /// The flattened stream that the file is; null if it is plain.
    flattened: Option<FlattenedJson>,
}

impl From<&ElfFacts> for ElfFactsJson {
    fn from(elf: &ElfFacts) -> Self {
        ElfFactsJson {
            class: if elf.is_64bit { 64 } else { 32 },
            e_machine: elf.machine,
            program_headers: elf.program_headers.into(),
            flattened: elf.flattened.as_ref().map(FlattenedJson::from),
        }
    }
}
