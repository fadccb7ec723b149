//! Builds cores of Xen guests (`xl dump-core`), from Xen's docs/misc/dump-core-format.txt and public
//! headers: ELF files without program headers, whose sections are pages and the frame number of each.

use crate::elf::{Class, Endian, Record, ident, machine};
use crate::notes::Note;
use crate::x86_cpu::X86Cpu;

/// The frame number of a page that is none.
pub const INVALID: u64 = u64::MAX;

const PAGE: usize = 4096;

/// `xch_magic` of guests with their own page tables (PV) and of all others.
const MAGIC: u64 = 0xf00f_ebed;
const MAGIC_HVM: u64 = 0xf00f_ebee;

/// `struct cpu_user_regs` (arch-x86/xen-x86_64.h), where each selector has 8 bytes.
const USER_REGS: [&str; 25] = [
    "r15", "r14", "r13", "r12", "rbp", "rbx", "r11", "r10", "r9", "r8", "rax", "rcx", "rdx", "rsi",
    "rdi", "", "rip", "cs", "eflags", "rsp", "ss", "es", "ds", "fs", "gs",
];

/// A core under construction.
#[derive(Debug, Clone)]
pub struct XenCore {
    pub cpus: Vec<X86Cpu>,
    /// The frame number of each page, in the order of the file. Xen's are ascending, and the invalid ones
    /// are the last.
    pub pfns: Vec<u64>,
    /// Whether the guest is PV: its frame numbers are those of `.xen_p2m`.
    pub is_pv: bool,
}

impl XenCore {
    #[must_use]
    pub fn new(pfns: Vec<u64>, cpus: Vec<X86Cpu>) -> Self {
        XenCore { cpus, pfns, is_pv: false }
    }

    /// The file, with a page that `read` fills for each frame number.
    pub fn build(&self, mut read: impl FnMut(u64, &mut [u8])) -> Vec<u8> {
        let (class, endian) = (Class::Elf64, Endian::Little);
        let mut pages = vec![0; self.pfns.len() * PAGE];
        for (&pfn, page) in self.pfns.iter().zip(pages.chunks_exact_mut(PAGE)) {
            if pfn != INVALID {
                read(pfn, page);
            }
        }
        let (numbers, number_bytes) = if self.is_pv { (".xen_p2m", 16) } else { (".xen_pfn", 8) };
        // Name, sh_type, alignment, size of an entry, contents.
        let sections: [(&str, u64, usize, u64, Vec<u8>); 6] = [
            (".note.Xen", 7, 0, 0, self.notes()),
            (".xen_prstatus", 1, 8, 5168, self.cpus.iter().flat_map(context).collect()),
            (".xen_shared_info", 1, 8, 4096, vec![0x5a; PAGE]),
            (".xen_pages", 1, PAGE, 4096, pages),
            (numbers, 1, 8, number_bytes, self.numbers()),
            (".shstrtab", 3, 0, 0, Vec::new()),
        ];
        let header_bytes = Record::Ehdr.size(class);
        let count = sections.len() as u64 + 1;
        let mut names = vec![0];
        let mut headers = vec![Record::Shdr.encode(class, endian, &[])];
        let mut data = Vec::new();
        let data_start = header_bytes + count * Record::Shdr.size(class);
        for (name, sh_type, align, entry_bytes, mut contents) in sections {
            let sh_name = names.len() as u64;
            names.extend(name.bytes().chain([0]));
            if name == ".shstrtab" {
                contents.clone_from(&names);
            }
            if align == PAGE {
                let end = (data_start as usize + data.len()).next_multiple_of(PAGE);
                data.resize(end - data_start as usize, 0);
            }
            let fields = [
                ("sh_name", sh_name),
                ("sh_type", sh_type),
                ("sh_offset", data_start + data.len() as u64),
                ("sh_size", contents.len() as u64),
                ("sh_addralign", align as u64),
                ("sh_entsize", entry_bytes),
            ];
            headers.push(Record::Shdr.encode(class, endian, &fields));
            data.extend(contents);
        }
        // Xen's own first section is that of names, whose contents are the last.
        let last = headers.remove(headers.len() - 1);
        headers.insert(1, last);
        let fields = [
            ("e_type", 4),
            ("e_machine", machine::X86_64.into()),
            ("e_version", 1),
            ("e_shoff", header_bytes),
            ("e_ehsize", header_bytes),
            ("e_phentsize", Record::Phdr.size(class)),
            ("e_shentsize", Record::Shdr.size(class)),
            ("e_shnum", count),
            ("e_shstrndx", 1),
        ];
        let mut file = Record::Ehdr.encode(class, endian, &fields);
        file[..16].copy_from_slice(&ident(class, endian));
        // EI_ABIVERSION.
        file[8] = 1;
        file.extend(headers.concat());
        file.extend(data);
        file
    }

    /// The notes none, header, `xen_version` (of which only the version is told) and `format_version`.
    fn notes(&self) -> Vec<u8> {
        let words = |words: &[u64]| words.iter().flat_map(|word| word.to_le_bytes()).collect();
        let magic = if self.is_pv { MAGIC } else { MAGIC_HVM };
        let header: Vec<u8> =
            words(&[magic, self.cpus.len() as u64, self.pfns.len() as u64, PAGE as u64]);
        let mut version: Vec<u8> = words(&[4, 17]);
        version.resize(1280 - 8, 0);
        version.extend((PAGE as u64).to_le_bytes());
        let format: Vec<u8> = words(&[1]);
        let notes = [Vec::new(), header, version, format];
        let note = |(kind, desc)| Note::new("Xen", kind, desc).encode(Endian::Little);
        (0x200_0000..).zip(notes).flat_map(note).collect()
    }

    /// The frame numbers; of a PV guest with the machine's own, which are others.
    fn numbers(&self) -> Vec<u8> {
        let of_machine = |pfn: u64| if pfn == INVALID { INVALID } else { pfn ^ 0x8_0000 };
        let number = |&pfn: &u64| match self.is_pv {
            true => [pfn, of_machine(pfn)].map(u64::to_le_bytes).concat(),
            false => pfn.to_le_bytes().to_vec(),
        };
        self.pfns.iter().flat_map(number).collect()
    }
}

/// `struct vcpu_guest_context` (arch-x86/xen.h).
fn context(cpu: &X86Cpu) -> Vec<u8> {
    // The one in use is the kernel's or the user's, by the ring.
    let bases = match cpu.get("cs") & 3 {
        0 => ["fs_base", "gs_base", "kernel_gs_base"],
        _ => ["fs_base", "kernel_gs_base", "gs_base"],
    };
    let zeros = |bytes: usize| vec![0; bytes];
    let parts = [
        // fpu_ctxt; flags: i387_valid, online.
        vec![0xf7; 512],
        0x21_u64.to_le_bytes().to_vec(),
        cpu.words(&USER_REGS),
        // trap_ctxt; ldt_base, ldt_ents; gdt_frames, gdt_ents; kernel_ss, kernel_sp.
        zeros(256 * 16 + 2 * 8 + 17 * 8 + 2 * 8),
        cpu.words(&["cr0", "", "cr2", "cr3", "cr4", "", "", ""]),
        // debugreg; three callbacks; vm_assist.
        zeros(8 * 8 + 3 * 8 + 8),
        cpu.words(&bases),
    ];
    parts.concat()
}
