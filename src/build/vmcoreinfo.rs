//! The text of a VMCOREINFO, written line by line.

use std::fmt::{Display, Write};

/// The text by which a kernel describes itself to dump tools, each line in the notation that the
/// kernel prints it in (its include/linux/vmcore_info.h). [`Vmcoreinfo`] reads it.
///
/// ```
/// let text = kdumpconv::build::VmcoreinfoText::new("6.12.0-fixture", 4096)
///     .symbol("init_uts_ns", 0xffff_ffff_8280_0000)
///     .offset("uts_namespace.name", 4)
///     .number("phys_base", -0x100_0000)
///     .crash_time(1_700_000_000);
/// assert_eq!(
///     text.as_str(),
///     "OSRELEASE=6.12.0-fixture\nPAGESIZE=4096\nSYMBOL(init_uts_ns)=ffffffff82800000\n\
///      OFFSET(uts_namespace.name)=4\nNUMBER(phys_base)=-16777216\nCRASHTIME=1700000000\n"
/// );
/// ```
///
/// [`Vmcoreinfo`]: crate::kernel::vmcoreinfo::Vmcoreinfo
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VmcoreinfoText(String);

impl VmcoreinfoText {
    /// The text of a kernel with this release (as `uname -r` has it) and pages of so many bytes:
    /// the two lines that no reader does without.
    #[must_use]
    pub fn new(release: &str, page_bytes: u64) -> Self {
        VmcoreinfoText(String::new()).line("OSRELEASE", release).line("PAGESIZE", page_bytes)
    }

    /// Adds `KEY=value`, whatever they are. Of two lines with one key, readers take the first.
    #[must_use]
    pub fn line(mut self, key: &str, value: impl Display) -> Self {
        // Writing to a String cannot fail.
        let _ = writeln!(self.0, "{key}={value}");
        self
    }

    /// `SYMBOL(name)`: a kernel virtual address.
    #[must_use]
    pub fn symbol(self, name: &str, vaddr: u64) -> Self {
        self.line(&format!("SYMBOL({name})"), format_args!("{vaddr:x}"))
    }

    /// `OFFSET(member)`: of a member such as `uts_namespace.name`, in bytes.
    #[must_use]
    pub fn offset(self, member: &str, bytes: u64) -> Self {
        self.line(&format!("OFFSET({member})"), bytes)
    }

    /// `SIZE(name)`: of a struct, in bytes.
    #[must_use]
    pub fn size(self, name: &str, bytes: u64) -> Self {
        self.line(&format!("SIZE({name})"), bytes)
    }

    /// `LENGTH(name)`: elements of an array.
    #[must_use]
    pub fn length(self, name: &str, elements: u64) -> Self {
        self.line(&format!("LENGTH({name})"), elements)
    }

    /// `NUMBER(name)`, in decimal. Some of arm64 and riscv64 the kernel prints as 0x...: give
    /// those to [`line`](Self::line).
    #[must_use]
    pub fn number(self, name: &str, value: i64) -> Self {
        self.line(&format!("NUMBER({name})"), value)
    }

    /// `CONFIG_option=y`.
    #[must_use]
    pub fn config(self, option: &str) -> Self {
        self.line(&format!("CONFIG_{option}"), "y")
    }

    /// `CRASHTIME`, in seconds since the epoch: the timestamp of the kdump header.
    #[must_use]
    pub fn crash_time(self, seconds: u64) -> Self {
        self.line("CRASHTIME", seconds)
    }

    /// The text so far.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl AsRef<[u8]> for VmcoreinfoText {
    fn as_ref(&self) -> &[u8] {
        self.0.as_bytes()
    }
}
