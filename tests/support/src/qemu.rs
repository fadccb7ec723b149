//! QEMU's migration stream, byte by byte: written from `docs/devel/migration` and the files that it
//! describes (savevm.c, ram.c, qemu-file.c), where all integers are big-endian.

/// A stream that is being written.
#[derive(Clone, Debug, Default)]
pub struct Stream {
    bytes: Vec<u8>,
    no_footers: bool,
}

/// A byte with the length, and the characters.
fn string(text: &str) -> Vec<u8> {
    let mut bytes = vec![u8::try_from(text.len()).expect("a short name")];
    bytes.extend_from_slice(text.as_bytes());
    bytes
}

impl Stream {
    /// The magic number and the version.
    #[must_use]
    pub fn new() -> Self {
        Stream { bytes: b"QEVM\0\0\0\x03".to_vec(), no_footers: false }
    }

    /// As before QEMU 2.3.
    #[must_use]
    pub fn without_footers(self) -> Self {
        Stream { no_footers: true, ..self }
    }

    /// Any bytes.
    #[must_use]
    pub fn raw(mut self, bytes: &[u8]) -> Self {
        self.bytes.extend_from_slice(bytes);
        self
    }

    /// The configuration section, with the content of its subsections.
    #[must_use]
    pub fn configuration(self, machine: &str, subsections: &[(&str, Vec<u8>)]) -> Self {
        let len = u32::try_from(machine.len()).expect("a short name");
        let mut stream = self.raw(&[7]).raw(&len.to_be_bytes()).raw(machine.as_bytes());
        for (name, content) in subsections {
            stream = stream.raw(&[5]).raw(&string(name)).raw(&1u32.to_be_bytes()).raw(content);
        }
        stream
    }

    fn content(self, id: u32, content: &[u8]) -> Self {
        let stream = self.raw(content);
        if stream.no_footers {
            return stream;
        }
        stream.raw(&[0x7e]).raw(&id.to_be_bytes())
    }

    fn first(self, kind: u8, id: u32, name: &str, instance: u32, version: u32) -> Self {
        let head = self.raw(&[kind]).raw(&id.to_be_bytes()).raw(&string(name));
        head.raw(&instance.to_be_bytes()).raw(&version.to_be_bytes())
    }

    /// A section that goes on later.
    #[must_use]
    pub fn start(self, id: u32, name: &str, version: u32, content: &[u8]) -> Self {
        self.first(1, id, name, 0, version).content(id, content)
    }

    /// A further part of one.
    #[must_use]
    pub fn part(self, id: u32, content: &[u8]) -> Self {
        self.raw(&[2]).raw(&id.to_be_bytes()).content(id, content)
    }

    /// The last part of one.
    #[must_use]
    pub fn end(self, id: u32, content: &[u8]) -> Self {
        self.raw(&[3]).raw(&id.to_be_bytes()).content(id, content)
    }

    /// The state of a device.
    #[must_use]
    pub fn full(self, id: u32, name: &str, instance: u32, version: u32, content: &[u8]) -> Self {
        self.first(4, id, name, instance, version).content(id, content)
    }

    /// A command to the destination.
    #[must_use]
    pub fn command(self, number: u16, arguments: &[u8]) -> Self {
        let len = u16::try_from(arguments.len()).expect("few arguments");
        self.raw(&[8]).raw(&number.to_be_bytes()).raw(&len.to_be_bytes()).raw(arguments)
    }

    /// The last section, and the description of the devices, if there is one.
    #[must_use]
    pub fn eof(self, description: Option<&str>) -> Self {
        let stream = self.raw(&[0]);
        let Some(text) = description else { return stream };
        let len = u32::try_from(text.len()).expect("a short text");
        stream.raw(&[6]).raw(&len.to_be_bytes()).raw(text.as_bytes())
    }

    /// The bytes so far.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The list of blocks of a stream with mapped memory, each with its pages: those that are `None`
    /// have no bit in the bitmap. Pages begin at a multiple of `alignment` of the file, 1 MiB in
    /// QEMU's.
    #[must_use]
    pub fn mapped_blocks(
        mut self,
        page_bytes: u64,
        alignment: u64,
        blocks: &[(&str, Vec<Option<Vec<u8>>>)],
    ) -> Self {
        let bytes = |pages: &[Option<Vec<u8>>]| pages.len() as u64 * page_bytes;
        let total: u64 = blocks.iter().map(|(_, pages)| bytes(pages)).sum();
        self = self.raw(&(total | 4).to_be_bytes());
        for (name, pages) in blocks {
            let block_bytes = bytes(pages);
            self = self.raw(&string(name)).raw(&block_bytes.to_be_bytes());
            let bitmap_offset = self.bytes.len() as u64 + 28;
            let mut bitmap = vec![0u8; pages.len().div_ceil(64) * 8];
            for (page, _) in pages.iter().enumerate().filter(|(_, page)| page.is_some()) {
                bitmap[page / 8] |= 1 << (page % 8);
            }
            let end = bitmap_offset + bitmap.len() as u64;
            let pages_offset = end.next_multiple_of(alignment);
            self = self.raw(&1u32.to_be_bytes()).raw(&page_bytes.to_be_bytes());
            self = self.raw(&bitmap_offset.to_be_bytes()).raw(&pages_offset.to_be_bytes());
            self = self.raw(&bitmap);
            // What is between, and where no page is, is a hole.
            self.bytes.resize(usize::try_from(pages_offset).expect("a small file"), 0);
            for page in pages {
                // Old bytes of a page that became zeros.
                let stale = vec![0xdd; usize::try_from(page_bytes).expect("a small page")];
                self = self.raw(page.as_ref().unwrap_or(&stale));
            }
        }
        self
    }
}

/// Records of the section `ram`.
#[derive(Clone, Debug, Default)]
pub struct Records(pub Vec<u8>);

impl Records {
    /// No record.
    #[must_use]
    pub fn new() -> Self {
        Records::default()
    }

    /// Any bytes.
    #[must_use]
    pub fn raw(mut self, bytes: &[u8]) -> Self {
        self.0.extend_from_slice(bytes);
        self
    }

    /// The head of a record, and the name of the block unless it is that of the record before.
    fn head(self, block: Option<&str>, address: u64, flag: u64) -> Self {
        match block {
            Some(name) => self.raw(&(address | flag).to_be_bytes()).raw(&string(name)),
            None => self.raw(&(address | flag | 0x20).to_be_bytes()),
        }
    }

    /// The list of blocks.
    #[must_use]
    pub fn blocks(self, blocks: &[(&str, u64)]) -> Self {
        let total: u64 = blocks.iter().map(|(_, bytes)| bytes).sum();
        let list = self.raw(&(total | 4).to_be_bytes());
        let add = |list: Records, (name, bytes): &(&str, u64)| {
            list.raw(&string(name)).raw(&bytes.to_be_bytes())
        };
        blocks.iter().fold(list, add)
    }

    /// A page.
    #[must_use]
    pub fn page(self, block: Option<&str>, address: u64, bytes: &[u8]) -> Self {
        self.head(block, address, 8).raw(bytes)
    }

    /// A page of one byte.
    #[must_use]
    pub fn fill(self, block: Option<&str>, address: u64, byte: u8) -> Self {
        self.head(block, address, 2).raw(&[byte])
    }

    /// A record of any flag.
    #[must_use]
    pub fn flag(self, block: Option<&str>, address: u64, flag: u64) -> Self {
        self.head(block, address, flag)
    }

    /// The end of this part; the bytes.
    #[must_use]
    pub fn eos(self) -> Vec<u8> {
        self.raw(&0x10u64.to_be_bytes()).0
    }
}

/// libvirt's header in front of a stream (qemu_saveimage.h), and the description of the guest.
#[must_use]
pub fn libvirt_header(
    is_big: bool,
    is_complete: bool,
    version: u32,
    format: u32,
    description: &str,
) -> Vec<u8> {
    let magic = if is_complete { b"LibvirtQemudSave" } else { b"LibvirtQemudPart" };
    let word = |value: u32| if is_big { value.to_be_bytes() } else { value.to_le_bytes() };
    let len = u32::try_from(description.len()).expect("a short text");
    let mut header = magic.to_vec();
    for value in [version, len, 1, format, 9] {
        header.extend(word(value));
    }
    header.resize(92, 0);
    header.extend_from_slice(description.as_bytes());
    header
}
