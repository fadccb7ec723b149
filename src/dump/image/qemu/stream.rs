//! Walks the sections of a stream up to the end of its memory.

use crate::dump::image::qemu::cursor::{Cursor, Stop};
use crate::dump::image::qemu::memory::Block;
use crate::dump::image::qemu::ram::RamSection;
use crate::error::{Error, UnsupportedKind};
use crate::format::qemu::{
    CONFIGURATION, FOOTER, MAGIC, PAGE_BITS, RAM_VERSION, SUBSECTION, Section, VERSION, WORD_BYTES,
    command,
};
use crate::format::wire::ByteOrder::Big;
use crate::input::ReadAt;

/// Bytes of a footer.
const FOOTER_BYTES: usize = 1 + WORD_BYTES;

/// Bytes by which a section is recognised: type, id, the length of a name and its first character.
const HEADER_BYTES: usize = 1 + WORD_BYTES + 2;

/// Bytes of unknown content that are searched at a time.
const SEARCH_BYTES: usize = 64 << 10;

/// Far more sections than any guest has.
const MAX_SECTIONS: u64 = 1 << 20;

/// The name of the section that has the memory.
const RAM: &[u8] = b"ram";

/// What a stream has before the state of its devices.
pub(super) struct Stream {
    /// The machine type, as `pc-q35-9.2`; streams of QEMU before 2.4 do not tell it.
    pub(super) machine: Option<String>,
    /// The RAM blocks.
    pub(super) blocks: Vec<Block>,
    /// Where the state of the devices begins, if the memory is complete.
    pub(super) devices_at: Option<u64>,
    /// Whether sections have footers.
    pub(super) has_footers: bool,
    /// Why the memory is not complete.
    pub(super) fault: Option<String>,
}

/// Where a walk is.
struct Walk<'a> {
    cursor: Cursor<'a>,
    machine: Option<String>,
    page_bytes: u64,
    is_mapped: bool,
    has_footers: bool,
    /// The id of the section that has the memory, and what was read of it.
    ram: Option<(u64, RamSection)>,
    may_be_postcopy: bool,
}

/// Walks the stream that begins at offset `start`. Its pages have `page_bytes`, unless it says
/// otherwise.
///
/// # Errors
/// [`Error::Unsupported`] if its memory is in a form that cannot be read; [`Error::Damaged`] or
/// [`Error::Read`] if there is no memory before the damage.
pub(super) fn walk(input: &dyn ReadAt, start: u64, page_bytes: u64) -> Result<Stream, Error> {
    let mut walk = Walk {
        cursor: Cursor::new(input, start),
        machine: None,
        page_bytes,
        is_mapped: false,
        has_footers: false,
        ram: None,
        may_be_postcopy: false,
    };
    let stopped = walk.run();
    let Walk { cursor, machine, has_footers, ram, .. } = walk;
    let at = cursor.offset();
    let ram = ram.map(|(_, ram)| ram);
    let fault = match stopped {
        Ok(()) if ram.as_ref().is_some_and(|ram| !ram.has_pages()) => {
            return Err(Error::Unsupported(UnsupportedKind::QemuMultifd));
        }
        Ok(()) => None,
        Err(Stop::Fault(error @ Error::Unsupported(_))) => return Err(error),
        Err(Stop::Fault(error)) if ram.as_ref().is_none_or(|ram| !ram.has_pages()) => {
            return Err(error);
        }
        Err(Stop::Fault(error)) => Some(format!("{error}: the rest of the stream is not read")),
        Err(Stop::End) => Some(format!("the stream is cut off in the memory at offset {at:#x}")),
    };
    let blocks = ram.map(|ram| ram.finish(input, fault.is_none())).transpose();
    let blocks = blocks.map_err(|stop| match stop {
        Stop::Fault(error) => error,
        Stop::End => Error::read("the bitmaps")(std::io::ErrorKind::UnexpectedEof.into()),
    })?;
    let devices_at = fault.is_none().then_some(at);
    Ok(Stream { machine, blocks: blocks.unwrap_or_default(), devices_at, has_footers, fault })
}

impl Walk<'_> {
    /// Reads everything up to the end of the memory.
    fn run(&mut self) -> Result<(), Stop> {
        let start = self.cursor.offset();
        let magic: [u8; 4] = self.cursor.take()?;
        let version = self.cursor.number::<WORD_BYTES>()?;
        if magic != MAGIC || version != u64::from(VERSION) {
            let why = format!("version is {version}, not {VERSION}");
            let why = if magic == MAGIC { why } else { "it does not begin with QEVM".to_owned() };
            return Err(Stop::damaged("header of the stream", start, why));
        }
        if self.cursor.peek(1)? == [CONFIGURATION] {
            self.cursor.skip(1)?;
            self.read_configuration()?;
        }
        loop {
            let at = self.cursor.offset();
            let damaged = |why: String| Stop::damaged("section", at, why);
            let [byte] = self.cursor.take()?;
            let section = Section::of(byte);
            match section.ok_or_else(|| damaged(format!("type is {byte:#x}")))? {
                Section::Eof => {
                    return Err(damaged("the stream ends before its memory".to_owned()));
                }
                Section::Command => self.read_command()?,
                Section::Start | Section::Full => self.read_first_part(at)?,
                Section::Part => {
                    self.read_part(at)?;
                }
                Section::End => {
                    if self.read_part(at)? {
                        return Ok(());
                    }
                }
            }
        }
    }

    /// Reads the machine's name and the capabilities.
    fn read_configuration(&mut self) -> Result<(), Stop> {
        let at = self.cursor.offset();
        let bytes = self.cursor.number::<WORD_BYTES>()?;
        let short = u8::try_from(bytes).map_err(|_| {
            Stop::damaged("configuration", at, format!("a machine's name of {bytes} bytes"))
        })?;
        let name = self.cursor.bytes(short.into())?;
        self.machine = Some(String::from_utf8_lossy(&name).into_owned());
        while self.cursor.peek(1)? == [SUBSECTION] {
            let at = self.cursor.offset();
            self.cursor.skip(1)?;
            let name = self.cursor.name()?;
            self.cursor.skip(WORD_BYTES as u64)?;
            match &*name {
                b"configuration/target-page-bits" => {
                    let bits = u32::try_from(self.cursor.number::<WORD_BYTES>()?).ok();
                    let bits = bits.filter(|bits| PAGE_BITS.contains(bits));
                    self.page_bytes = 1
                        << bits.ok_or_else(|| {
                            Stop::damaged("configuration", at, "a page size that no guest has")
                        })?;
                }
                b"configuration/capabilities" => self.read_capabilities()?,
                b"configuration/x-uuid" | b"configuration/uuid" => self.cursor.skip(16)?,
                name => {
                    let why = format!("{} is not known", String::from_utf8_lossy(name));
                    return Err(Stop::damaged("configuration", at, why));
                }
            }
        }
        Ok(())
    }

    fn read_capabilities(&mut self) -> Result<(), Stop> {
        for _ in 0..self.cursor.number::<WORD_BYTES>()? {
            match &*self.cursor.name()? {
                b"mapped-ram" => self.is_mapped = true,
                b"x-ignore-shared" => {
                    let kind = UnsupportedKind::QemuIgnoreShared;
                    return Err(Stop::Fault(Error::Unsupported(kind)));
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn read_command(&mut self) -> Result<(), Stop> {
        let number = self.cursor.number::<2>()?;
        let bytes = self.cursor.number::<2>()?;
        match number {
            command::POSTCOPY_ADVISE => self.may_be_postcopy = true,
            command::POSTCOPY_LISTEN
            | command::POSTCOPY_RUN
            | command::POSTCOPY_RAM_DISCARD
            | command::PACKAGED => {
                return Err(Stop::Fault(Error::Unsupported(UnsupportedKind::QemuPostcopy)));
            }
            _ => {}
        }
        self.cursor.skip(bytes)
    }

    /// A section that begins here.
    fn read_first_part(&mut self, at: u64) -> Result<(), Stop> {
        let id = self.cursor.number::<WORD_BYTES>()?;
        let name = self.cursor.name()?;
        let _instance = self.cursor.number::<WORD_BYTES>()?;
        let version = self.cursor.number::<WORD_BYTES>()?;
        if name != RAM {
            return self.skip_content(id, at);
        }
        if version != u64::from(RAM_VERSION) {
            let why = format!("version is {version}, not {RAM_VERSION}");
            return Err(Stop::damaged("section of memory", at, why));
        }
        let ram = RamSection::new(self.page_bytes, self.is_mapped, self.may_be_postcopy);
        let (_, ram) = self.ram.insert((id, ram));
        ram.read(&mut self.cursor)?;
        self.skip_footer(id)
    }

    /// A section that goes on here; whether it is the memory.
    fn read_part(&mut self, at: u64) -> Result<bool, Stop> {
        let id = self.cursor.number::<WORD_BYTES>()?;
        match &mut self.ram {
            Some((of_memory, ram)) if *of_memory == id => {
                ram.read(&mut self.cursor)?;
                self.skip_footer(id)?;
                Ok(true)
            }
            _ => {
                self.skip_content(id, at)?;
                Ok(false)
            }
        }
    }

    fn skip_footer(&mut self, id: u64) -> Result<(), Stop> {
        if self.cursor.peek(1)? == [FOOTER] {
            self.has_footers = true;
            let at = self.cursor.offset();
            self.cursor.skip(1)?;
            let found = self.cursor.number::<WORD_BYTES>()?;
            if found != id {
                let why = format!("it is of section {found}, not {id}");
                return Err(Stop::damaged("footer", at, why));
            }
        }
        Ok(())
    }

    /// Skips the content of the section at offset `at`, whose records are not known, and its footer:
    /// the first one that another section follows. Its bytes may be in the content, too.
    fn skip_content(&mut self, id: u64, at: u64) -> Result<(), Stop> {
        if self.ram.is_some() && !self.has_footers {
            let why = "no footer tells where its unknown content ends".to_owned();
            return Err(Stop::damaged("section", at, why));
        }
        let mut footer = [FOOTER; FOOTER_BYTES];
        let (_, word) = footer.split_at_mut(1);
        Big.write_uint(word, id);
        loop {
            let window = self.cursor.peek(SEARCH_BYTES)?;
            let found = window.windows(FOOTER_BYTES).position(|bytes| bytes == footer);
            let is_last = window.len() < SEARCH_BYTES;
            match found {
                Some(skip) => {
                    self.cursor.skip(skip as u64)?;
                    let next = self.cursor.peek(FOOTER_BYTES + HEADER_BYTES)?;
                    if next.get(FOOTER_BYTES..).is_some_and(is_header) {
                        return self.cursor.skip(FOOTER_BYTES as u64);
                    }
                    self.cursor.skip(1)?;
                }
                None if is_last => return Err(Stop::End),
                None => self.cursor.skip((SEARCH_BYTES - FOOTER_BYTES) as u64)?,
            }
        }
    }
}

/// Whether `bytes` may be the first ones of a section.
fn is_header(bytes: &[u8]) -> bool {
    let [byte, word @ .., length, first] = bytes else { return false };
    match Section::of(*byte) {
        Some(Section::Start | Section::Full) => *length > 0 && first.is_ascii_graphic(),
        Some(Section::Part | Section::End) => Big.read_uint(word) < MAX_SECTIONS,
        Some(Section::Command) => true,
        Some(Section::Eof) | None => false,
    }
}
