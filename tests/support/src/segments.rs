//! What a program header of a built vmcore stands for: memory, notes or something else.

use std::fmt;

use super::elf::Endian;
use super::notes::Note;

/// `p_paddr` of memory whose physical address is not known: all ones in the file's word size.
pub const NO_PADDR: u64 = u64::MAX;

/// Where a load's bytes lie in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// Behind the previous data, aligned as the builder says.
    Auto,
    /// Behind the previous data, at a multiple of this many bytes.
    Align(u64),
    /// At this file offset, which must not lie before the end of the previous data.
    At(u64),
}

/// The bytes that the file has of a load; their number is `p_filesz`.
#[derive(Clone, PartialEq, Eq)]
pub enum Data {
    Bytes(Vec<u8>),
    /// Zeros but for the parts (offset in the load, bytes).
    Sparse {
        filesz: u64,
        parts: Vec<(u64, Vec<u8>)>,
    },
    /// The same place of the file as `filesz` bytes from `offset` on of the n-th load.
    Shared {
        load: usize,
        offset: u64,
        filesz: u64,
    },
}

impl Data {
    /// `p_filesz`.
    #[must_use]
    pub fn filesz(&self) -> u64 {
        match self {
            Data::Bytes(bytes) => bytes.len() as u64,
            Data::Sparse { filesz, .. } | Data::Shared { filesz, .. } => *filesz,
        }
    }

    /// The pieces to write (offset in the load, bytes); what lies between them is zero.
    #[must_use]
    pub fn pieces(&self) -> Vec<(u64, &[u8])> {
        match self {
            Data::Bytes(bytes) => vec![(0, bytes.as_slice())],
            Data::Sparse { parts, .. } => {
                parts.iter().map(|part| (part.0, part.1.as_slice())).collect()
            }
            Data::Shared { .. } => Vec::new(),
        }
    }
}

impl From<Vec<u8>> for Data {
    fn from(bytes: Vec<u8>) -> Self {
        Data::Bytes(bytes)
    }
}

/// A `PT_LOAD` program header and its data.
#[derive(Clone, PartialEq, Eq)]
pub struct Load {
    pub paddr: u64,
    pub vaddr: u64,
    pub data: Data,
    pub memsz: u64,
    pub place: Place,
}

impl Load {
    /// Memory at `paddr` that the file has wholly.
    #[must_use]
    pub fn new(paddr: u64, data: impl Into<Data>) -> Self {
        let data = data.into();
        let memsz = data.filesz();
        Load { paddr, vaddr: 0, data, memsz, place: Place::Auto }
    }

    /// Memory of which the file has `filesz` bytes: zeros but for `parts` (offset, bytes).
    #[must_use]
    pub fn sparse(paddr: u64, filesz: u64, parts: Vec<(u64, Vec<u8>)>) -> Self {
        assert!(
            parts.iter().all(|part| part.0 + part.1.len() as u64 <= filesz),
            "a part lies outside its load"
        );
        Load::new(paddr, Data::Sparse { filesz, parts })
    }

    /// Memory whose data is a stretch of the n-th load's data in the file.
    #[must_use]
    pub fn shared(paddr: u64, load: usize, offset: u64, filesz: u64) -> Self {
        Load::new(paddr, Data::Shared { load, offset, filesz })
    }

    /// Memory without any data in the file.
    #[must_use]
    pub fn no_data(paddr: u64, memsz: u64) -> Self {
        Load::new(paddr, Vec::new()).memsz(memsz)
    }

    /// Sets `p_memsz`, written as it is even when smaller than `p_filesz`.
    #[must_use]
    pub fn memsz(mut self, memsz: u64) -> Self {
        self.memsz = memsz;
        self
    }

    /// Sets `p_vaddr`.
    #[must_use]
    pub fn vaddr(mut self, vaddr: u64) -> Self {
        self.vaddr = vaddr;
        self
    }

    /// Sets where the data lies in the file.
    #[must_use]
    pub fn place(mut self, place: Place) -> Self {
        self.place = place;
        self
    }
}

/// A program header and what it points to.
#[derive(Clone, PartialEq, Eq)]
pub enum Segment {
    Load(Load),
    Notes(Vec<Note>),
    /// A `PT_NOTE` whose bytes may be anything.
    RawNotes(Vec<u8>),
    /// A program header that no dump tool needs, with a physical address that must be ignored.
    Other {
        p_type: u32,
        paddr: u64,
        data: Vec<u8>,
    },
}

impl Segment {
    /// The load, if it is one.
    #[must_use]
    pub fn as_load(&self) -> Option<&Load> {
        match self {
            Segment::Load(load) => Some(load),
            _ => None,
        }
    }

    /// The bytes of a `PT_NOTE`, if it is one.
    #[must_use]
    pub fn note_bytes(&self, endian: Endian) -> Option<Vec<u8>> {
        match self {
            Segment::Notes(notes) => {
                Some(notes.iter().flat_map(|note| note.encode(endian)).collect())
            }
            Segment::RawNotes(bytes) => Some(bytes.clone()),
            _ => None,
        }
    }
}

impl fmt::Debug for Load {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.paddr == NO_PADDR {
            write!(f, "LOAD -1")?;
        } else {
            write!(f, "LOAD {:#x}", self.paddr)?;
        }
        write!(f, "+{:#x}", self.data.filesz())?;
        if self.memsz != self.data.filesz() {
            write!(f, " of {:#x}", self.memsz)?;
        }
        if self.vaddr != 0 {
            write!(f, " v{:x}", self.vaddr)?;
        }
        if self.place != Place::Auto {
            write!(f, " {:?}", self.place)?;
        }
        write!(f, " {:?}", self.data)
    }
}

impl fmt::Debug for Data {
    /// Bytes are shown as runs of KiB: `00*4` (4 KiB of zeros), `ab*1`, `?*3` (anything else).
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Data::Bytes(bytes) => {
                let kinds: Vec<Option<u8>> = bytes.chunks(1024).map(constant_byte).collect();
                let runs: Vec<String> = kinds
                    .chunk_by(|a, b| a == b)
                    .map(|run| match run[0] {
                        Some(byte) => format!("{byte:02x}*{}", run.len()),
                        None => format!("?*{}", run.len()),
                    })
                    .collect();
                write!(f, "[{}]", runs.join(" "))
            }
            Data::Sparse { parts, .. } => {
                let parts: Vec<String> =
                    parts.iter().map(|part| format!("{:#x}+{:#x}", part.0, part.1.len())).collect();
                write!(f, "sparse[{}]", parts.join(" "))
            }
            Data::Shared { load, offset, .. } => write!(f, "=load {load}+{offset:#x}"),
        }
    }
}

impl fmt::Debug for Segment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Segment::Load(load) => write!(f, "{load:?}"),
            Segment::Notes(notes) => {
                let notes: Vec<String> =
                    notes.iter().map(|note| format!("{}:{}", note.name, note.desc.len())).collect();
                write!(f, "NOTE [{}]", notes.join(" "))
            }
            Segment::RawNotes(bytes) => write!(f, "NOTE raw {} bytes", bytes.len()),
            Segment::Other { p_type, paddr, data } => {
                write!(f, "OTHER {p_type:#x} {paddr:#x}+{:#x}", data.len())
            }
        }
    }
}

fn constant_byte(bytes: &[u8]) -> Option<u8> {
    let first = *bytes.first()?;
    bytes.iter().all(|byte| *byte == first).then_some(first)
}
