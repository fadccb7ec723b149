//! `VmcoreBuilder`: any ELF vmcore, with the oddities of those that write them, byte by byte.
//!
//! Program headers come in the order of the calls. Data lies in the file in this order unless said
//! otherwise: what is not memory (notes, others) in header order, then the loads in header order.
//! Every byte between the parts is `0xee` in [`VmcoreBuilder::build`], so that a reader that strays
//! is caught.

use std::fmt;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use super::elf::{Class, Endian};
use super::notes::Note;
use super::segments::{Data, Load, Segment};
use super::vmcore_layout::{Layout, Plan};

/// Where the program headers lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PhdrPlace {
    /// Right behind the ELF header.
    AfterEhdr,
    /// At this file offset; data begins behind them.
    At(u64),
    /// Behind all data.
    AtEnd,
}

/// Which section headers the file has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sections {
    /// None, but for section 0 when PN_XNUM needs it.
    None,
    /// QEMU >= 7.2: two of them right behind the ELF header, before the program headers.
    Qemu,
}

/// Builds ELF vmcores; see the module's text.
#[derive(Clone, PartialEq, Eq)]
pub struct VmcoreBuilder {
    pub class: Class,
    pub endian: Endian,
    pub machine: u16,
    pub segments: Vec<Segment>,
    /// Alignment of each load's data in the file, in bytes.
    pub data_align: u64,
    /// Bytes that each load's data lies behind an aligned offset.
    pub data_skew: u64,
    /// Loads in the order of their data in the file; header order when empty.
    pub data_order: Vec<usize>,
    /// Whether notes and others lie behind the loads' data.
    pub notes_last: bool,
    pub phdr_place: PhdrPlace,
    /// `e_phentsize`; the record's own size when `None`.
    pub phentsize: Option<u16>,
    pub sections: Sections,
    /// Sections with data of their own: names and bytes, behind all other data.
    pub extra_sections: Vec<(String, Vec<u8>)>,
    /// `e_phnum` is PN_XNUM even though the count would fit.
    pub force_xnum: bool,
    /// `e_ehsize`; the record's own size when `None`.
    pub ehsize: Option<u16>,
}

impl VmcoreBuilder {
    /// An empty vmcore of this kind.
    #[must_use]
    pub fn new(class: Class, endian: Endian, machine: u16) -> Self {
        VmcoreBuilder {
            class,
            endian,
            machine,
            segments: Vec::new(),
            data_align: 4096,
            data_skew: 0,
            data_order: Vec::new(),
            notes_last: false,
            phdr_place: PhdrPlace::AfterEhdr,
            phentsize: None,
            sections: Sections::None,
            extra_sections: Vec::new(),
            force_xnum: false,
            ehsize: None,
        }
    }

    /// Adds memory.
    #[must_use]
    pub fn load(mut self, load: Load) -> Self {
        self.segments.push(Segment::Load(load));
        self
    }

    /// Adds a `PT_NOTE` with these notes.
    #[must_use]
    pub fn notes(mut self, notes: Vec<Note>) -> Self {
        self.segments.push(Segment::Notes(notes));
        self
    }

    /// Adds a `PT_NOTE` with any bytes.
    #[must_use]
    pub fn raw_notes(mut self, bytes: Vec<u8>) -> Self {
        self.segments.push(Segment::RawNotes(bytes));
        self
    }

    /// Adds a note to the last segment if that is a `PT_NOTE`, else to a new one.
    #[must_use]
    pub fn note(mut self, note: Note) -> Self {
        match self.segments.last_mut() {
            Some(Segment::Notes(notes)) => notes.push(note),
            _ => self.segments.push(Segment::Notes(vec![note])),
        }
        self
    }

    /// Adds a VMCOREINFO note (see [`VmcoreBuilder::note`]).
    #[must_use]
    pub fn vmcoreinfo(self, text: &str) -> Self {
        self.note(Note::vmcoreinfo(text))
    }

    /// Adds a CPU's register note of this machine.
    #[must_use]
    pub fn prstatus(self, cpu: u32) -> Self {
        let note = Note::prstatus(self.machine, self.class, self.endian, cpu);
        self.note(note)
    }

    /// Adds QEMU's register note.
    #[must_use]
    pub fn qemu_note(self) -> Self {
        let note = Note::qemu(self.endian);
        self.note(note)
    }

    /// Adds a device dump note.
    #[must_use]
    pub fn vmcoredd(self, bytes: &[u8]) -> Self {
        self.note(Note::vmcoredd(bytes))
    }

    /// Adds a program header of another type, whose address and size must not count as memory.
    #[must_use]
    pub fn other(mut self, p_type: u32, paddr: u64, data: Vec<u8>) -> Self {
        self.segments.push(Segment::Other { p_type, paddr, data });
        self
    }

    /// Places each load's data `skew` bytes behind a multiple of `align`.
    #[must_use]
    pub fn align_data(mut self, align: u64, skew: u64) -> Self {
        (self.data_align, self.data_skew) = (align, skew);
        self
    }

    /// Says in which order the loads' data lies in the file: each load's number once.
    #[must_use]
    pub fn data_order(mut self, order: Vec<usize>) -> Self {
        self.data_order = order;
        self
    }

    /// Places notes behind the loads' data.
    #[must_use]
    pub fn notes_last(mut self) -> Self {
        self.notes_last = true;
        self
    }

    /// Places the program headers.
    #[must_use]
    pub fn phdr_place(mut self, place: PhdrPlace) -> Self {
        self.phdr_place = place;
        self
    }

    /// Sets `e_phentsize`, the stride of the program headers.
    #[must_use]
    pub fn phentsize(mut self, bytes: u16) -> Self {
        self.phentsize = Some(bytes);
        self
    }

    /// QEMU >= 7.2's headers: sections before program headers (e_phoff 192), e_ehsize 8.
    #[must_use]
    pub fn qemu_headers(mut self) -> Self {
        self.sections = Sections::Qemu;
        self.ehsize = Some(8);
        self
    }

    /// Adds a section with data of its own, as QEMU does for protected guests of s390x.
    #[must_use]
    pub fn section(mut self, name: &str, bytes: Vec<u8>) -> Self {
        self.extra_sections.push((name.to_owned(), bytes));
        self
    }

    /// Writes the number of program headers the way more than 65534 need.
    #[must_use]
    pub fn pn_xnum(mut self) -> Self {
        self.force_xnum = true;
        self
    }

    /// The loads in header order.
    #[must_use]
    pub fn loads(&self) -> Vec<&Load> {
        self.segments.iter().filter_map(Segment::as_load).collect()
    }

    /// The whole PT_NOTE area: every `PT_NOTE`'s bytes in header order.
    #[must_use]
    pub fn note_bytes(&self) -> Vec<u8> {
        self.segments
            .iter()
            .filter_map(|segment| segment.note_bytes(self.endian))
            .flatten()
            .collect()
    }

    /// Where everything lies in the file.
    #[must_use]
    pub fn layout(&self) -> Layout {
        Plan::new(self).layout
    }

    /// The file's bytes.
    #[must_use]
    pub fn build(&self) -> Vec<u8> {
        let plan = Plan::new(self);
        let len = usize::try_from(plan.layout.file_len).unwrap();
        assert!(len < 1 << 30, "a file of {len} bytes: use write_sparse");
        let mut file = vec![0xee; len];
        for load in &plan.zeroed {
            file[load.start as usize..load.end as usize].fill(0);
        }
        for (offset, bytes) in &plan.pieces {
            let start = *offset as usize;
            file[start..start + bytes.len()].copy_from_slice(bytes);
        }
        file
    }

    /// The file's length and its bytes by offset; what lies between them is zero.
    #[must_use]
    pub fn sparse(&self) -> (u64, Vec<(u64, Vec<u8>)>) {
        let plan = Plan::new(self);
        let pieces = plan.pieces.iter().map(|(offset, bytes)| (*offset, bytes.to_vec()));
        (plan.layout.file_len, pieces.collect())
    }

    /// Writes the file with holes for every zero that no piece of data needs.
    ///
    /// # Errors
    /// What the file system says.
    pub fn write_sparse(&self, path: &Path) -> io::Result<Layout> {
        let plan = Plan::new(self);
        let file = File::create(path)?;
        file.set_len(plan.layout.file_len)?;
        for (offset, bytes) in &plan.pieces {
            file.write_all_at(bytes, *offset)?;
        }
        Ok(plan.layout)
    }
}

impl fmt::Debug for VmcoreBuilder {
    /// One line a segment at most, and only the settings that are not the usual ones.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} {:?} e_machine {}", self.class, self.endian, self.machine)?;
        let usual = VmcoreBuilder::new(self.class, self.endian, self.machine);
        if (self.data_align, self.data_skew) != (usual.data_align, usual.data_skew) {
            write!(f, ", data at {}n+{}", self.data_align, self.data_skew)?;
        }
        if !self.data_order.is_empty() {
            write!(f, ", data order {:?}", self.data_order)?;
        }
        if self.notes_last {
            write!(f, ", notes last")?;
        }
        if self.phdr_place != usual.phdr_place {
            write!(f, ", phdrs {:?}", self.phdr_place)?;
        }
        if let Some(bytes) = self.phentsize {
            write!(f, ", e_phentsize {bytes}")?;
        }
        if self.sections != usual.sections {
            write!(f, ", {:?} sections", self.sections)?;
        }
        if self.force_xnum {
            write!(f, ", PN_XNUM")?;
        }
        const SHOWN: usize = 16;
        for segment in self.segments.iter().take(SHOWN) {
            write!(f, "\n  {segment:?}")?;
        }
        if self.segments.len() > SHOWN {
            write!(f, "\n  and {} more", self.segments.len() - SHOWN)?;
        }
        Ok(())
    }
}

/// The bytes that a [`Data::Shared`] stands for, as data of its own.
#[must_use]
pub fn resolve(loads: &[&Load], data: &Data) -> Data {
    let Data::Shared { load, offset, filesz } = data else {
        return data.clone();
    };
    let end = offset + filesz;
    match &loads[*load].data {
        Data::Bytes(bytes) => Data::Bytes(bytes[*offset as usize..end as usize].to_vec()),
        Data::Sparse { parts, .. } => {
            let cut = |part: &(u64, Vec<u8>)| {
                let (start, stop) = (part.0.max(*offset), (part.0 + part.1.len() as u64).min(end));
                (start < stop).then(|| {
                    let bytes = &part.1[(start - part.0) as usize..(stop - part.0) as usize];
                    (start - offset, bytes.to_vec())
                })
            };
            Data::Sparse { filesz: *filesz, parts: parts.iter().filter_map(cut).collect() }
        }
        Data::Shared { .. } => panic!("load {load} has no data of its own to share"),
    }
}
