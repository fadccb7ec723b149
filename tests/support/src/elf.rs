//! ELF's records as lists of named fields, and the one place that knows class and byte order.

/// Machine numbers (`e_machine`) of the architectures that crash reads.
pub mod machine {
    pub const SPARC32: u16 = 2;
    pub const I386: u16 = 3;
    pub const MIPS: u16 = 8;
    pub const PPC: u16 = 20;
    pub const PPC64: u16 = 21;
    pub const S390X: u16 = 22;
    pub const ARM: u16 = 40;
    pub const SPARCV9: u16 = 43;
    pub const X86_64: u16 = 62;
    pub const AARCH64: u16 = 183;
    pub const RISCV: u16 = 243;
    pub const LOONGARCH: u16 = 258;
}

/// `p_type` of memory.
pub const PT_LOAD: u32 = 1;
/// `p_type` of notes.
pub const PT_NOTE: u32 = 4;
/// `e_phnum` when the real count is in section header 0's `sh_info`.
pub const PN_XNUM: u16 = 0xffff;

/// ELF's word size (`EI_CLASS`), which is not always the kernel's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    Elf32,
    Elf64,
}

/// Byte order of the dumped machine (`EI_DATA`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Endian {
    Little,
    Big,
}

impl Endian {
    /// The `size` (1 to 8) bytes of `value`; panics when it does not fit, as a test's own mistake.
    #[must_use]
    pub fn bytes(self, value: u64, size: usize) -> Vec<u8> {
        assert!(
            size == 8 || value >> (size * 8) == 0,
            "value {value:#x} does not fit a field of {size} bytes"
        );
        let mut bytes: Vec<u8> = (0..size).map(|i| (value >> (8 * i)) as u8).collect();
        if self == Endian::Big {
            bytes.reverse();
        }
        bytes
    }

    /// The unsigned number in up to 8 bytes.
    #[must_use]
    pub fn number(self, bytes: &[u8]) -> u64 {
        let fold = |sum: u64, byte: &u8| (sum << 8) | u64::from(*byte);
        match self {
            Endian::Little => bytes.iter().rev().fold(0, fold),
            Endian::Big => bytes.iter().fold(0, fold),
        }
    }
}

/// The records of ELF that a vmcore has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Record {
    Ehdr,
    Phdr,
    Shdr,
}

/// A field of a record: C name, offset in the record, size in bytes.
pub type Field = (&'static str, usize, usize);

impl Record {
    /// The record's fields in the order of the file, without padding (ELF has none).
    #[must_use]
    pub fn fields(self, class: Class) -> Vec<Field> {
        let list: &[(&str, usize)] = match (self, class) {
            (Record::Ehdr, Class::Elf64) => &[
                ("e_ident", 16),
                ("e_type", 2),
                ("e_machine", 2),
                ("e_version", 4),
                ("e_entry", 8),
                ("e_phoff", 8),
                ("e_shoff", 8),
                ("e_flags", 4),
                ("e_ehsize", 2),
                ("e_phentsize", 2),
                ("e_phnum", 2),
                ("e_shentsize", 2),
                ("e_shnum", 2),
                ("e_shstrndx", 2),
            ],
            (Record::Ehdr, Class::Elf32) => &[
                ("e_ident", 16),
                ("e_type", 2),
                ("e_machine", 2),
                ("e_version", 4),
                ("e_entry", 4),
                ("e_phoff", 4),
                ("e_shoff", 4),
                ("e_flags", 4),
                ("e_ehsize", 2),
                ("e_phentsize", 2),
                ("e_phnum", 2),
                ("e_shentsize", 2),
                ("e_shnum", 2),
                ("e_shstrndx", 2),
            ],
            (Record::Phdr, Class::Elf64) => &[
                ("p_type", 4),
                ("p_flags", 4),
                ("p_offset", 8),
                ("p_vaddr", 8),
                ("p_paddr", 8),
                ("p_filesz", 8),
                ("p_memsz", 8),
                ("p_align", 8),
            ],
            (Record::Phdr, Class::Elf32) => &[
                ("p_type", 4),
                ("p_offset", 4),
                ("p_vaddr", 4),
                ("p_paddr", 4),
                ("p_filesz", 4),
                ("p_memsz", 4),
                ("p_flags", 4),
                ("p_align", 4),
            ],
            (Record::Shdr, Class::Elf64) => &[
                ("sh_name", 4),
                ("sh_type", 4),
                ("sh_flags", 8),
                ("sh_addr", 8),
                ("sh_offset", 8),
                ("sh_size", 8),
                ("sh_link", 4),
                ("sh_info", 4),
                ("sh_addralign", 8),
                ("sh_entsize", 8),
            ],
            (Record::Shdr, Class::Elf32) => &[
                ("sh_name", 4),
                ("sh_type", 4),
                ("sh_flags", 4),
                ("sh_addr", 4),
                ("sh_offset", 4),
                ("sh_size", 4),
                ("sh_link", 4),
                ("sh_info", 4),
                ("sh_addralign", 4),
                ("sh_entsize", 4),
            ],
        };
        let mut offset = 0;
        list.iter()
            .map(|&(name, size)| {
                let field = (name, offset, size);
                offset += size;
                field
            })
            .collect()
    }

    /// The record's size in bytes.
    #[must_use]
    pub fn size(self, class: Class) -> u64 {
        self.fields(class).iter().map(|field| field.2 as u64).sum()
    }

    /// The record's bytes; fields that `values` does not name are 0.
    #[must_use]
    pub fn encode(self, class: Class, endian: Endian, values: &[(&str, u64)]) -> Vec<u8> {
        let fields = self.fields(class);
        for (name, _) in values {
            assert!(fields.iter().any(|field| field.0 == *name), "no field {name} in {self:?}");
        }
        let mut bytes = Vec::new();
        for (name, _, size) in fields {
            let value = values.iter().find(|given| given.0 == name).map_or(0, |given| given.1);
            if size > 8 {
                bytes.extend(vec![0; size]);
            } else {
                bytes.extend(endian.bytes(value, size));
            }
        }
        bytes
    }

    /// One field of the record that begins at `bytes[0]`.
    #[must_use]
    pub fn get(self, class: Class, endian: Endian, bytes: &[u8], name: &str) -> u64 {
        let (_, offset, size) = self.field(class, name);
        endian.number(&bytes[offset..offset + size])
    }

    /// The field called `name`; panics when the record has none.
    #[must_use]
    pub fn field(self, class: Class, name: &str) -> Field {
        self.fields(class)
            .into_iter()
            .find(|field| field.0 == name)
            .unwrap_or_else(|| panic!("no field {name} in {self:?}"))
    }
}

/// `e_ident` of a core file.
#[must_use]
pub fn ident(class: Class, endian: Endian) -> [u8; 16] {
    let mut ident = [0; 16];
    ident[..4].copy_from_slice(b"\x7fELF");
    ident[4] = if class == Class::Elf32 { 1 } else { 2 };
    ident[5] = if endian == Endian::Little { 1 } else { 2 };
    ident[6] = 1;
    ident
}
