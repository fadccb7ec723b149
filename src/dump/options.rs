//! How to open a dump that does not say everything about itself.

use crate::dump::image::Machine;
use crate::dump::image::raw::RawMemory;
use crate::pages::PageSize;

/// Facts that some dumps lack, or have wrong.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct OpenOptions {
    /// The page size, for an ELF core whose VMCOREINFO lacks it: what VMCOREINFO says takes precedence.
    /// Default: `None`, the size that is usual on the architecture.
    pub page_size: Option<PageSize>,
    /// The text of a VMCOREINFO, for a dump that has none, or that of another kernel: it takes
    /// precedence over the dump's own. Default: `None`.
    pub vmcoreinfo: Option<Vec<u8>>,
    /// The machine, for a memory image that does not tell it. Default: `None`, the VMCOREINFO in its
    /// memory tells it.
    pub machine: Option<Machine>,
    /// Where in memory the inputs belong, if they are raw memory: no header is looked for. Default:
    /// `None`, they are not.
    pub raw: Option<RawMemory>,
    /// Whether to open an ELF core of encrypted memory, whose conversion loses what decrypts it.
    /// Default: `false`, it is [`Error::Unsupported`](crate::Error::Unsupported).
    pub encrypted: bool,
}

impl OpenOptions {
    /// Sets the page size, for an ELF core whose VMCOREINFO lacks it.
    #[must_use]
    pub fn page_size(self, page_size: impl Into<Option<PageSize>>) -> Self {
        OpenOptions { page_size: page_size.into(), ..self }
    }

    /// Sets the text of a VMCOREINFO, in place of the dump's own.
    #[must_use]
    pub fn vmcoreinfo(self, text: impl Into<Option<Vec<u8>>>) -> Self {
        OpenOptions { vmcoreinfo: text.into(), ..self }
    }

    /// Sets the machine, for a memory image that does not tell it.
    #[must_use]
    pub fn machine(self, machine: impl Into<Option<Machine>>) -> Self {
        OpenOptions { machine: machine.into(), ..self }
    }

    /// Sets where in memory the inputs belong, which are raw memory.
    #[must_use]
    pub fn raw(self, memory: impl Into<Option<RawMemory>>) -> Self {
        OpenOptions { raw: memory.into(), ..self }
    }

    /// Sets whether to open an ELF core of encrypted memory.
    #[must_use]
    pub fn encrypted(self, encrypted: bool) -> Self {
        OpenOptions { encrypted, ..self }
    }
}
