//! The header of a record, and whether a kernel can have written it.

use crate::format::wire::ByteOrder;
use crate::kernel::error::{AddressError, Error};
use crate::kernel::log::{Caller, level};
use crate::kernel::vmcoreinfo::{Item, Vmcoreinfo};
use crate::pages::at_most;

/// Names of the struct: printk_log since 3.11 (62e32ac3505a), log before.
const STRUCTS: [&str; 2] = ["printk_log", "log"];

/// More than any kernel's header has: 24 bytes with a caller_id.
pub(super) const MAX_HEADER_BYTES: usize = 64;

/// Records begin at multiples of this in log_buf: the smallest LOG_ALIGN, __alignof__ of the struct.
pub(super) const ALIGN: u64 = 4;

/// Records are padded to LOG_ALIGN, which is 8 at most.
pub(super) const MAX_PADDING: usize = 7;

/// The size of the struct, and offsets of its members, each within it.
pub(super) struct HeaderLayout {
    order: ByteOrder,
    pub(super) bytes: usize,
    ts_nsec: usize,
    len: usize,
    text_len: usize,
    dict_len: Option<usize>,
    caller_id: Option<usize>,
    /// Of the facility; flags and level are in the next byte.
    facility: Option<usize>,
}

impl HeaderLayout {
    pub(super) fn of(info: &Vmcoreinfo, order: ByteOrder) -> Result<Self, Error> {
        let found = STRUCTS.into_iter().find_map(|name| Some((name, info.size(name)?)));
        let (name, size) = found.ok_or_else(|| Error::missing(Item::size("printk_log")))?;
        let bytes = usize::try_from(size).ok().filter(|&bytes| bytes <= MAX_HEADER_BYTES);
        let bytes = bytes.ok_or_else(|| {
            Error::implausible(Item::size(name).to_string(), format!("{size} bytes are no header"))
        })?;
        let within = |member: &str, offset: u64, width: u64| {
            let is_within = offset.checked_add(width).is_some_and(|end| end <= size);
            usize::try_from(offset).ok().filter(|_| is_within).ok_or_else(|| {
                let item = Item::offset(format!("{name}.{member}"));
                Error::implausible(item.to_string(), format!("beyond the header's {size} bytes"))
            })
        };
        let needed = |member: &str, width| {
            within(member, info.require_offset(&format!("{name}.{member}"))?, width)
        };
        let optional = |member: &str, width| {
            let offset = info.offset(&format!("{name}.{member}"));
            offset.map(|offset| within(member, offset, width)).transpose()
        };
        let dict_len = optional("dict_len", 2)?;
        // VMCOREINFO does not name them: they are the two bytes after dict_len. In struct log these
        // were a level of 16 bits at first.
        let facility = dict_len.map(|dict_len| dict_len + 2);
        Ok(HeaderLayout {
            order,
            bytes,
            ts_nsec: needed("ts_nsec", 8)?,
            len: needed("len", 2)?,
            text_len: needed("text_len", 2)?,
            dict_len,
            caller_id: optional("caller_id", 4)?,
            facility: facility.filter(|&at| name == "printk_log" && at + 2 <= bytes),
        })
    }

    /// Decodes a header of [`bytes`](Self::bytes).
    #[expect(clippy::indexing_slicing, reason = "the members are within the header")]
    pub(super) fn decode(&self, header: &[u8]) -> Header {
        let number = |at: usize, width: usize| self.order.read_uint(&header[at..at + width]);
        let short = |at: usize| number(at, 2);
        let byte = |at: usize| header[at];
        let text_len = short(self.text_len);
        let dict_len = self.dict_len.map(short);
        let caller_id = self.caller_id.map(|at| {
            let [a, b, c, d] = [0, 1, 2, 3].map(|nth| header[at + nth]);
            self.order.read_u32([a, b, c, d])
        });
        Header {
            ts_nsec: number(self.ts_nsec, 8),
            length: short(self.len),
            text_len,
            content: self.bytes as u64 + text_len + dict_len.unwrap_or(0),
            is_content_known: dict_len.is_some(),
            is_blank: header.iter().all(|&byte| byte == 0),
            caller: caller_id.map(Caller::of_id),
            facility: self.facility.map(byte),
            level: self.facility.map(|at| level(self.order, byte(at + 1))),
        }
    }
}

/// What a header says.
pub(super) struct Header {
    pub(super) ts_nsec: u64,
    /// Bytes of the whole record.
    pub(super) length: u64,
    pub(super) text_len: u64,
    /// Bytes of header, text and dictionary. Up to `length` follow zeros.
    pub(super) content: u64,
    /// Whether the dictionary is counted in `content`.
    is_content_known: bool,
    /// Whether all bytes are zero.
    is_blank: bool,
    pub(super) caller: Option<Caller>,
    pub(super) facility: Option<u8>,
    pub(super) level: Option<u8>,
}

impl Header {
    /// Checks the lengths of a record that has room for `room` bytes.
    pub(super) fn check(&self, room: u64) -> Result<(), Flaw> {
        let Header { length, content, .. } = *self;
        if self.is_blank {
            return Err(Flaw::Blank);
        }
        if length > room {
            return Err(Flaw::NoRoom { length, room });
        }
        let is_padded = !self.is_content_known || length <= content + MAX_PADDING as u64;
        if length < content || length % ALIGN != 0 || !is_padded {
            return Err(Flaw::Lengths { length, content });
        }
        Ok(())
    }

    /// Bytes at the end of the record, after its content, that a kernel sets to zero.
    pub(super) fn padding(&self) -> usize {
        let padding = self.length.saturating_sub(self.content);
        if self.is_content_known { at_most(padding, MAX_PADDING) } else { 0 }
    }
}

/// Why no kernel wrote this as a record.
#[derive(Debug, thiserror::Error)]
pub(super) enum Flaw {
    #[error(transparent)]
    Unreadable(#[from] AddressError),
    #[error("its header is empty")]
    Blank,
    #[error("it has {length} bytes, in room for {room}")]
    NoRoom { length: u64, room: u64 },
    #[error("it has {length} bytes, its header, text and dictionary {content}")]
    Lengths { length: u64, content: u64 },
    #[error("the bytes after its text and dictionary are not zero")]
    Padding,
}
