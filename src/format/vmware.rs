//! VMware's state of a guest (.vmss of a suspended one, .vmsn of a snapshot).
//!
//! ```text
//! header | group descriptor | .. | tags of a group | end | tags of the next group | end | ..
//! ```
//!
//! All integers are little-endian. The header has 12 bytes:
//!
//! | offset | field |
//! |---|---|
//! | 0 | the magic number: 0xbed2bed2, 0xbed3bed3 (partial), 0xbad1bad1 (restored), 0xbad2bad2 (not to be restored); 0xbed0bed0 and 0xbed2bed0 in files of old products, whose blocks have 32-bit sizes |
//! | 4 | the version |
//! | 8 | the number of groups |
//!
//! A group descriptor has 80 bytes: a name of 64 bytes that ends with a NUL, the position of its tags
//! in the file and their size, 64 bits each.
//!
//! A tag begins with two bytes, flags and the length of its name, both 0 at the end of a group:
//!
//! | bits of the flags | meaning |
//! |---|---|
//! | 0 to 5 | bytes of the value; 63: a block; 62: a compressed block |
//! | 6, 7 | the number of indices |
//!
//! Name, indices (32 bits each) and value follow. A block has, before its bytes: their number in the
//! file and in memory (64 bits each, or 32), and 16 bits with the number of bytes of padding, which
//! come first.
//!
//! | group | tag | value |
//! |---|---|---|
//! | memory | `regionsCount` | ranges of memory, if it has holes |
//! | memory | `regionPPN[i]`, `regionPageNum[i]`, `regionSize[i]` | of range i: the first page in the machine, the first page in the memory as it is stored, the number of pages |
//! | memory | `Memory[..]` | a block, all memory; without it, memory is in a file of its own (.vmem) |
//! | cpu | `cpu:numVCPUs` | virtual CPUs |
//! | cpu | `rax[cpu]`, .., `rip[cpu]`, `eflags[cpu]` or `EFLAGS[cpu]` | registers |
//! | cpu | `gpregs[cpu]` | a block in their place: rax, rcx, rdx, rbx, rbp, rsp, rsi, rdi, r8 to r15 |
//! | cpu | `CR64[cpu][n]`, or a block `CR64[cpu]` | control register n |
//! | cpu | `S[cpu][n]`, `S.base64[cpu][n]` | selector and base of a segment: es, cs, ss, ds, fs, gs, ldtr, tr |
//! | cpu | `IDTR[cpu][n]`, or a block `IDTR[cpu]` | a limit of 16 bits (n = 0), the base (n = 1 its lower, n = 2 its upper half) |
//!
//! Sources: crash's `vmware_vmss.h` and `vmware_vmss.c`, volatility3's
//! `framework/layers/vmware.py`. VMware does not document the format.

/// The bytes of the header.
pub(crate) const HEADER_BYTES: usize = 12;

/// The bytes of a group descriptor.
pub(crate) const GROUP_BYTES: usize = 80;

/// Maximum bytes of a tag, without the bytes of a block: flags and length, a name, three indices, a
/// value.
pub(crate) const TAG_BYTES: usize = 2 + 255 + 3 * 4 + 61;

/// The bytes of a page, by which memory is counted.
pub(crate) const PAGE_BYTES: u64 = 4096;

/// The lowest byte of the magic numbers of files whose blocks have 32-bit sizes.
const OLD: u8 = 0xd0;

/// The flags of blocks.
const BLOCK: u8 = 63;
const COMPRESSED_BLOCK: u8 = 62;

/// What the header says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct StateHeader {
    /// Bytes of the sizes of blocks.
    size_bytes: usize,
    /// The number of groups.
    pub groups: u32,
}

/// A group descriptor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Group {
    /// The name.
    pub name: Vec<u8>,
    /// Where its tags are in the file.
    pub position: u64,
}

/// A tag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Tag<'b> {
    /// The name.
    pub name: &'b [u8],
    /// The indices.
    pub indices: Vec<u32>,
    /// The value.
    pub value: Value,
    /// Bytes up to the next tag, or to the bytes of a block.
    pub bytes: usize,
}

/// The value of a tag.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Value {
    /// A number: the first 64 bits, if it has more.
    Number(u64),
    /// Bytes that follow the tag.
    Block {
        /// Bytes of padding, which come first.
        padding: u16,
        /// Bytes in the file.
        stored_bytes: u64,
        /// Whether they are compressed.
        is_compressed: bool,
    },
}

/// Takes bytes from the front.
struct Bytes<'b>(&'b [u8]);

impl<'b> Bytes<'b> {
    fn take(&mut self, bytes: usize) -> Option<&'b [u8]> {
        let (taken, rest) = self.0.split_at_checked(bytes)?;
        self.0 = rest;
        Some(taken)
    }

    /// An integer of any width: its first 64 bits.
    fn number(&mut self, bytes: usize) -> Option<u64> {
        let taken = self.take(bytes)?;
        let number =
            taken.iter().take(8).rev().fold(0, |number, byte| number << 8 | u64::from(*byte));
        Some(number)
    }

    fn int(&mut self) -> Option<u32> {
        Some(u32::from_le_bytes(*self.take(4)?.first_chunk()?))
    }
}

impl StateHeader {
    /// Decodes the header; `None` if it is cut off. [`image_kind`](super::image_kind) knows the magic
    /// numbers.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let size_bytes = if bytes.starts_with(&[OLD]) { 4 } else { 8 };
        let mut bytes = Bytes(bytes);
        bytes.take(8)?;
        Some(StateHeader { size_bytes, groups: bytes.int()? })
    }

    /// Decodes the tag at the start of `bytes`: `Some(None)` at the end of a group, `None` if the
    /// bytes end within it.
    pub(crate) fn tag<'b>(&self, bytes: &'b [u8]) -> Option<Option<Tag<'b>>> {
        let all = bytes.len();
        let mut bytes = Bytes(bytes);
        let [flags, name_bytes] = *bytes.take(2)?.first_chunk()?;
        if [flags, name_bytes] == [0, 0] {
            return Some(None);
        }
        let name = bytes.take(name_bytes.into())?;
        let indices = (0..flags >> 6).map(|_| bytes.int()).collect::<Option<_>>()?;
        let value = match flags & 63 {
            kind @ (BLOCK | COMPRESSED_BLOCK) => {
                let stored_bytes = bytes.number(self.size_bytes)?;
                // The size in memory is that in the file, unless the block is compressed.
                bytes.take(self.size_bytes)?;
                let padding = u16::from_le_bytes(*bytes.take(2)?.first_chunk()?);
                Value::Block { padding, stored_bytes, is_compressed: kind == COMPRESSED_BLOCK }
            }
            width => Value::Number(bytes.number(width.into())?),
        };
        Some(Some(Tag { name, indices, value, bytes: all - bytes.0.len() }))
    }
}

impl Group {
    /// Decodes a group descriptor.
    pub(crate) fn decode(bytes: &[u8; GROUP_BYTES]) -> Self {
        let (name, rest) = bytes.split_at(64);
        let name = name.split(|byte| *byte == 0).next().unwrap_or_default().to_vec();
        Group { name, position: Bytes(rest).number(8).unwrap_or_default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NEW: &[u8; 12] = b"\xd2\xbe\xd2\xbe\x08\0\0\0\x03\0\0\0";

    #[test]
    fn the_magic_number_tells_how_wide_the_sizes_of_blocks_are() {
        assert_eq!(StateHeader::decode(NEW), Some(StateHeader { size_bytes: 8, groups: 3 }));
        let mut old = *NEW;
        old[..4].copy_from_slice(&0xbed0_bed0_u32.to_le_bytes());
        assert_eq!(StateHeader::decode(&old), Some(StateHeader { size_bytes: 4, groups: 3 }));
        assert_eq!(StateHeader::decode(&old[..11]), None);
    }

    #[test]
    fn a_group_has_a_name_and_a_position() {
        let mut bytes = [0; GROUP_BYTES];
        bytes[..9].copy_from_slice(b"memory\0xy");
        bytes[64..72].copy_from_slice(&[0, 1, 0, 0, 0, 0, 0, 0x80]);
        let group = Group { name: b"memory".to_vec(), position: 0x8000_0000_0000_0100 };
        assert_eq!(Group::decode(&bytes), group);
    }

    #[test]
    fn every_form_of_tag_is_decoded_and_none_that_is_cut() {
        let new = StateHeader { size_bytes: 8, groups: 0 };
        let old = StateHeader { size_bytes: 4, groups: 0 };
        let block = |padding, stored_bytes, is_compressed| Value::Block {
            padding,
            stored_bytes,
            is_compressed,
        };
        for (header, bytes, name, indices, value) in [
            (new, &b"\x04\x02ab\x01\x02\x03\x04"[..], "ab", &[][..], Value::Number(0x0403_0201)),
            (new, b"\x41\x01a\x05\0\0\0\xff", "a", &[5], Value::Number(0xff)),
            (new, b"\xc0\x01a\x05\0\0\0\x06\0\0\0\x07\0\0\0", "a", &[5, 6, 7], Value::Number(0)),
            (new, b"\x09\x01a\x01\0\0\0\0\0\0\0\x09", "a", &[], Value::Number(1)),
            (
                new,
                b"\xbf\x01M\0\0\0\0\x01\0\0\0\0\x10\0\0\0\0\0\0\0\x10\0\0\0\0\0\0\x06\x01",
                "M",
                &[0, 1],
                block(262, 0x1000, false),
            ),
            (old, b"\x3e\x01M\0\x10\0\0\0\x20\0\0\x02\0", "M", &[], block(2, 0x1000, true)),
        ] {
            let name = name.as_bytes();
            let tag = Tag { name, indices: indices.to_vec(), value, bytes: bytes.len() };
            let more = [bytes, b"more"].concat();
            assert_eq!(header.tag(&more), Some(Some(tag)), "{bytes:?}");
            for len in 0..bytes.len() {
                assert_eq!(header.tag(&bytes[..len]), None, "{len} of {bytes:?}");
            }
        }
        assert_eq!(new.tag(b"\0\0rest"), Some(None));
    }
}
