//! Small vmcores, built in memory: fixtures for the tests of whatever reads crash dumps.
//!
//! A vmcore of 2 MiB, of which it has one, becomes a kdump file in a `Vec<u8>`, and is read back by page:
//!
//! ```
//! use kdumpconv::build::{Load, VmcoreBuilder, VmcoreinfoText};
//! use kdumpconv::kernel::arch::Architecture;
//! use kdumpconv::sink::seek::SeekSink;
//! use kdumpconv::source::{dump::Dump, reader::PageReader};
//!
//! # fn main() -> kdumpconv::Result<()> {
//! let vmcore = VmcoreBuilder::new(Architecture::X86_64)
//!     .vmcoreinfo(VmcoreinfoText::new("6.12.0-fixture", 4096).crash_time(1_700_000_000))
//!     .cpu(1, &[0x15, 0x14])
//!     .load(Load::new(0..1 << 20))
//!     .load(Load::new(1 << 20..2 << 20).left_out())
//!     .page(3, b"hello")
//!     .to_vec()?;
//! let mut sink = SeekSink::in_memory();
//! kdumpconv::convert(&Dump::of_bytes(vmcore)?, &mut sink, &Default::default(), &mut |_| ())?;
//! let kdump: Vec<u8> = sink.into_vec();
//!
//! let dump = Dump::of_bytes(kdump)?;
//! assert_eq!(PageReader::new(&dump)?.page(3)?[..6], *b"hello\0");
//! # Ok(())
//! # }
//! ```
//!
//! Memory by its physical address, across pages, is read by
//! [`DumpMemory`](crate::source::physical::DumpMemory); from an ELF core as from a kdump file.
//!
//! The same calls give the same bytes, each time, on every machine; no thread is started unless
//! [`Options::threads`](crate::Options::threads) asks for more than one. What compressed pages look
//! like depends on the codecs' versions: zlib at its default level and LZO are this crate's own code,
//! snappy and zstd are what `Cargo.lock` pins. A hash of a whole file is good for as long as both stay.
//!
//! Which kdump file comes of a vmcore:
//!
//! | to have | do |
//! |---|---|
//! | a 32-bit or big-endian header | take the architecture: [`Architecture::I386`] (packed), [`Arm`](Architecture::Arm), [`Ppc`](Architecture::Ppc) (big-endian, padded), [`S390x`](Architecture::S390x), ...; or set the [byte order](VmcoreBuilder::byte_order) |
//! | pages that were excluded | [`Load::left_out`] |
//! | the incomplete flag | [`VmcoreBuilder::incomplete`], or cut the vmcore's bytes short |
//! | registers of several CPUs | [`VmcoreBuilder::cpu`] once for each |
//! | a hole | leave it between two loads |
//! | another codec, raw pages, no shared page of zeros | [`Options`](crate::Options) `codec`, `dump_level` |
//! | a flattened file | [`FlatSink`](crate::sink::flat::FlatSink) in place of [`SeekSink`](crate::sink::seek::SeekSink) |
//! | the kernel's name in the header (`uname -v`, the host) | its bytes in memory, below |
//! | an ELF core of a kdump file | [`fn@crate::to_elf`] |
//!
//! Without anything else the header's `uname` has the release of VMCOREINFO, the architecture's
//! machine, and "unknown" for the version. The kernel's own is taken from memory, where VMCOREINFO
//! says it is:
//!
//! ```
//! use kdumpconv::build::{Load, VmcoreBuilder, VmcoreinfoText};
//! use kdumpconv::format::kdump::NewUtsname;
//! use kdumpconv::kernel::arch::Architecture;
//!
//! # fn main() -> kdumpconv::Result<()> {
//! let name = NewUtsname {
//!     sysname: "Linux".into(),
//!     nodename: "fixture".into(),
//!     release: "6.12.0".into(),
//!     version: "#1 SMP".into(),
//!     machine: "x86_64".into(),
//!     domainname: "(none)".into(),
//! };
//! let text = 0xffff_ffff_8000_0000;
//! let vmcore = VmcoreBuilder::new(Architecture::X86_64)
//!     .vmcoreinfo(
//!         VmcoreinfoText::new("6.12.0", 4096)
//!             .symbol("init_uts_ns", text + 0x5000)
//!             .offset("uts_namespace.name", 4)
//!             .number("phys_base", 0x10_0000),
//!     )
//!     .load(Load::new(0x10_0000..0x20_0000).vaddr(text))
//!     .bytes(0x10_5004, &name.encode())
//!     .to_vec()?;
//! # use kdumpconv::{sink::seek::SeekSink, source::dump::Dump};
//! # let mut sink = SeekSink::in_memory();
//! # kdumpconv::convert(&Dump::of_bytes(vmcore)?, &mut sink, &Default::default(), &mut |_| ())?;
//! # let dump = Dump::of_bytes(sink.into_vec())?;
//! # assert_eq!(dump.header().map(|header| &header.utsname), Some(&name));
//! # Ok(())
//! # }
//! ```
//!
//! Split sets, several files of one dump, are not written by this crate (it reads them).

mod error;
mod load;
mod machine;
mod memory;
mod plan;
mod vmcoreinfo;

use std::io::Write;

use crate::error::{Error, Result};
use crate::format::elf::{NT_PRSTATUS, Prstatus, encode_note};
use crate::format::wire::ByteOrder;
use crate::kernel::arch::Architecture;

pub use error::BuildError;
pub use load::Load;
pub use vmcoreinfo::VmcoreinfoText;

/// Describes a vmcore, and writes it: an ELF core as kexec or QEMU would have left.
///
/// Nothing is checked before it is written, so calls may come in any order; segments and notes
/// come out in the order of theirs. Without notes there is no `PT_NOTE`.
#[derive(Debug, Clone)]
pub struct VmcoreBuilder {
    arch: Architecture,
    byte_order: ByteOrder,
    page_bytes: u64,
    elf64: bool,
    incomplete: bool,
    loads: Vec<Load>,
    contents: Vec<(Place, Vec<u8>)>,
    notes: Vec<Note>,
}

/// Where bytes go.
#[derive(Debug, Clone, Copy)]
enum Place {
    Page(u64),
    Address(u64),
}

/// What a note says.
#[derive(Debug, Clone)]
enum Note {
    Cpu { pid: u32, registers: Vec<u64> },
    Vmcoreinfo(Vec<u8>),
    Other { name: String, kind: u32, desc: Vec<u8> },
}

impl VmcoreBuilder {
    /// A vmcore of this architecture, in its usual byte order and with its usual pages: 4096 bytes,
    /// but 8192 (sparc64, alpha), 16384 (loongarch64, mips64, ia64) and 65536 (ppc64).
    #[must_use]
    pub fn new(arch: Architecture) -> Self {
        VmcoreBuilder {
            arch,
            byte_order: machine::byte_orders(arch).first().copied().unwrap_or(ByteOrder::Little),
            page_bytes: arch.default_page_size().map_or(4096, |(bytes, _)| bytes),
            elf64: false,
            incomplete: false,
            loads: Vec::new(),
            contents: Vec::new(),
            notes: Vec::new(),
        }
    }

    /// Sets `EI_DATA`: aarch64, arm, mips, mips64, ppc, ppc64 and unknown architectures have both.
    #[must_use]
    pub fn byte_order(self, byte_order: ByteOrder) -> Self {
        VmcoreBuilder { byte_order, ..self }
    }

    /// Sets the bytes of a page, a power of two from 4096 to 262144: by it [`page`](Self::page)
    /// counts, and data is aligned in the file. Readers take the size from VMCOREINFO's PAGESIZE.
    #[must_use]
    pub fn page_size(self, bytes: u64) -> Self {
        VmcoreBuilder { page_bytes: bytes, ..self }
    }

    /// Has a 32-bit machine's vmcore be ELF64, as QEMU's and kexec's are where memory passes 4 GiB:
    /// i386, arm, ppc. The kdump header of such a one is of 32 bits all the same.
    #[must_use]
    pub fn elf64(self) -> Self {
        VmcoreBuilder { elf64: true, ..self }
    }

    /// Has the vmcore say that it lacks memory (makedumpfile's `DUMP_ELF_INCOMPLETE` in `e_flags`):
    /// x86_64, i386, aarch64, s390x. The kdump file made of it says so, too.
    #[must_use]
    pub fn incomplete(self) -> Self {
        VmcoreBuilder { incomplete: true, ..self }
    }

    /// Adds a segment.
    #[must_use]
    pub fn load(mut self, load: Load) -> Self {
        self.loads.push(load);
        self
    }

    /// Puts `bytes` at the start of page `pfn`, at most as many as a page has.
    ///
    /// Counted from physical address 0. (Of 32-bit arm, a kdump file counts from the lowest segment.)
    #[must_use]
    pub fn page(self, pfn: u64, bytes: &[u8]) -> Self {
        self.at(Place::Page(pfn), bytes)
    }

    /// Puts `bytes` at a physical address; what was put there before is overwritten.
    #[must_use]
    pub fn bytes(self, paddr: u64, bytes: &[u8]) -> Self {
        self.at(Place::Address(paddr), bytes)
    }

    fn at(mut self, place: Place, bytes: &[u8]) -> Self {
        self.contents.push((place, bytes.to_vec()));
        self
    }

    /// Adds the `NT_PRSTATUS` note of one more CPU, which ran process `pid`.
    ///
    /// Registers are in the order of the kernel's `elf_gregset_t`; those that are not given are 0:
    ///
    /// | architecture | registers |
    /// |---|---|
    /// | x86_64 | 27: r15 r14 r13 r12 bp bx r11 r10 r9 r8 ax cx dx si di orig_ax ip cs flags sp ss fs_base gs_base ds es fs gs |
    /// | i386 | 17: bx cx dx si di bp ax ds es fs gs orig_ax ip cs flags sp ss |
    /// | aarch64 | 34: x0..x30 sp pc pstate |
    /// | arm | 18: r0..r15 cpsr orig_r0 |
    /// | ppc64, ppc | 48: r0..r31 nip msr orig_r3 ctr lr xer ccr softe (ppc: mq) trap dar dsisr result, 4 unused |
    /// | s390x | 35: psw mask and address, r0..r15, a0..a15 of 32 bits, orig_gpr2 |
    /// | riscv64, riscv32 | 32: pc x1..x31 |
    /// | loongarch64 | 45: r0..r31 orig_a0 era badv, 10 unused |
    /// | mips64, mips | 45: 6 unused (mips alone), r0..r31, lo hi epc badvaddr status cause, unused |
    #[must_use]
    pub fn cpu(mut self, pid: u32, registers: &[u64]) -> Self {
        self.notes.push(Note::Cpu { pid, registers: registers.to_vec() });
        self
    }

    /// Adds the VMCOREINFO note: a [`VmcoreinfoText`], or any text.
    ///
    /// drgn opens no dump without, nor libkdumpfile one of some 32-bit layouts. Of x86_64, drgn 0.3.0
    /// wants `SYMBOL(swapper_pg_dir)` to open it, and `NUMBER(pgtable_l5_enabled)` to read memory.
    #[must_use]
    pub fn vmcoreinfo(mut self, text: impl AsRef<[u8]>) -> Self {
        self.notes.push(Note::Vmcoreinfo(text.as_ref().to_vec()));
        self
    }

    /// Adds any other note, such as QEMU's registers ("QEMU", 0) or a device's dump ("LINUX", 0x700).
    ///
    /// crash takes any note of type 1 to be a CPU's, whatever its name.
    #[must_use]
    pub fn note(mut self, name: &str, kind: u32, desc: &[u8]) -> Self {
        self.notes.push(Note::Other { name: name.to_owned(), kind, desc: desc.to_vec() });
        self
    }

    /// The vmcore's bytes.
    ///
    /// # Errors
    /// [`Error::Build`] for what no vmcore can be, [`Error::FieldOverflow`] for a value that does not
    /// fit its field.
    pub fn to_vec(&self) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.write_to(&mut bytes)?;
        Ok(bytes)
    }

    /// Writes the vmcore from its first byte to its last. Stretches of zeros take no memory here,
    /// whatever `out` makes of them.
    ///
    /// # Errors
    /// As [`to_vec`](Self::to_vec), before anything is written; then [`Error::Write`].
    pub fn write_to(&self, out: &mut dyn Write) -> Result<()> {
        plan::Plan::new(self)?.write(out).map_err(Error::write("the vmcore"))
    }

    fn encode_notes(&self) -> Result<Vec<u8>> {
        let mut area = Vec::new();
        for note in &self.notes {
            area.extend(self.encode_note(note)?);
        }
        Ok(area)
    }

    fn encode_note(&self, note: &Note) -> Result<Vec<u8>> {
        let order = self.byte_order;
        let (name, kind, desc) = match note {
            Note::Vmcoreinfo(text) => ("VMCOREINFO", 0, text),
            Note::Other { name, kind, desc } => (name.as_str(), *kind, desc),
            Note::Cpu { pid, registers } => {
                let groups = machine::registers(self.arch)
                    .ok_or(Error::Build(BuildError::NoRegisters { arch: self.arch }))?;
                let known = groups.iter().map(|group| group.count()).sum();
                if registers.len() > known {
                    let given = registers.len();
                    return Err(Error::Build(BuildError::TooManyRegisters {
                        arch: self.arch,
                        given,
                        known,
                    }));
                }
                let prstatus = Prstatus { pid: *pid, registers, groups };
                let desc = prstatus.encode(self.arch.layout(order))?;
                return Ok(encode_note("CORE", NT_PRSTATUS, &desc, order));
            }
        };
        if name.contains('\0') {
            return Err(Error::Build(BuildError::NoteName { name: name.to_owned() }));
        }
        if u32::try_from(desc.len()).is_err() {
            return Err(Error::Build(BuildError::NoteTooLong {
                name: name.to_owned(),
                bytes: desc.len(),
            }));
        }
        Ok(encode_note(name, kind, desc, order))
    }
}

#[cfg(test)]
mod tests;
