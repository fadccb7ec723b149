//! Where a ring's arrays are, how large, and where in their structs the members are.

use crate::format::wire::StructLayout;
use crate::kernel::error::Error;
use crate::kernel::log::plausible;
use crate::kernel::translate::Translator;
use crate::kernel::vmcoreinfo::Vmcoreinfo;
use crate::pages::{Position, VirtAddr, VirtRange};

/// The largest ring that a kernel creates: log_buf_len= is at most 2 GiB (LOG_BUF_LEN_MAX), with one
/// descriptor for each 32 bytes (PRB_AVGBITS).
const MAX_COUNT_BITS: u32 = 26;
const MAX_SIZE_BITS: u32 = 31;

/// Sizes of the structs, and offsets of their members.
pub(super) struct RingOffsets {
    desc_bytes: u64,
    pub(super) state: u64,
    pub(super) begin: u64,
    pub(super) next: u64,
    info_bytes: u64,
    pub(super) seq: Option<u64>,
    pub(super) ts_nsec: u64,
    pub(super) text_len: u64,
    pub(super) caller_id: Option<u64>,
}

impl RingOffsets {
    fn of(info: &Vmcoreinfo) -> Result<Self, Error> {
        let blk = info.require_offset("prb_desc.text_blk_lpos")?;
        Ok(RingOffsets {
            desc_bytes: info.require_size("prb_desc")?,
            state: add(info.require_offset("prb_desc.state_var")?, counter(info)),
            begin: add(blk, info.require_offset("prb_data_blk_lpos.begin")?),
            next: add(blk, info.require_offset("prb_data_blk_lpos.next")?),
            info_bytes: info.require_size("printk_info")?,
            seq: info.offset("printk_info.seq"),
            ts_nsec: info.require_offset("printk_info.ts_nsec")?,
            text_len: info.require_offset("printk_info.text_len")?,
            caller_id: info.offset("printk_info.caller_id"),
        })
    }

    /// The offset of facility and level, which VMCOREINFO does not have: they are between the length
    /// and the caller, if exactly two bytes are there.
    pub(super) fn facility(&self) -> Option<u64> {
        (self.caller_id? == add(self.text_len, 4)).then(|| add(self.text_len, 2))
    }
}

/// Adds offsets from VMCOREINFO, wrapping around as pointers do: they may be any numbers.
fn add(a: u64, b: u64) -> u64 {
    a.wrapping_add(b)
}

/// The offset of the value in an atomic_long_t: as its only member, 0 unless VMCOREINFO says
/// otherwise.
fn counter(info: &Vmcoreinfo) -> u64 {
    info.offset("atomic_long_t.counter").unwrap_or(0)
}

/// struct printk_ringbuffer and what it contains; the sizes are no larger than the dump's memory.
pub(super) struct Ring {
    pub(super) offsets: RingOffsets,
    pub(super) layout: StructLayout,
    descs: VirtAddr,
    infos: VirtAddr,
    pub(super) desc_mask: u64,
    pub(super) id_mask: u64,
    pub(super) tail: u64,
    pub(super) head: u64,
    data: VirtAddr,
    pub(super) data_mask: u64,
}

impl Ring {
    pub(super) fn open(
        info: &Vmcoreinfo,
        translator: &Translator<'_>,
        symbol: VirtAddr,
    ) -> Result<Ring, Error> {
        let offsets = RingOffsets::of(info)?;
        let prb = translator.read_long(symbol).map_err(Error::unreadable("SYMBOL(prb)"))?;
        let prb = VirtAddr::new(prb);
        let part = |name: &str| Ok(prb.wrapping_add(info.require_offset(name)?));
        let desc_ring = part("printk_ringbuffer.desc_ring")?;
        let text_ring = part("printk_ringbuffer.text_data_ring")?;
        let long = |ring: VirtAddr, name: &'static str, offset: u64| {
            let at = ring.wrapping_add(info.require_offset(name)?).wrapping_add(offset);
            translator.read_long(at).map_err(Error::unreadable(name))
        };
        let power_of_two = |ring: VirtAddr, name: &'static str, max_bits: u32| {
            let at = ring.wrapping_add(info.require_offset(name)?);
            let bits = translator.read_u32(at).map_err(Error::unreadable(name))?;
            let too_large =
                || Error::implausible(name, format!("2^{bits} is more than any memory"));
            (bits <= max_bits).then(|| 1u64 << bits).ok_or_else(too_large)
        };
        let readable = translator.memory().readable_bytes();
        let count = power_of_two(desc_ring, "prb_desc_ring.count_bits", MAX_COUNT_BITS)?;
        let per_record = offsets.desc_bytes.max(offsets.info_bytes).max(1);
        plausible("prb_desc_ring.count_bits", count.saturating_mul(per_record), readable)?;
        let data_bytes = power_of_two(text_ring, "prb_data_ring.size_bits", MAX_SIZE_BITS)?;
        let data_bytes = plausible("prb_data_ring.size_bits", data_bytes, readable)?;
        let layout = translator.layout();
        let id_mask = if layout.long_bytes() == 8 { u64::MAX >> 2 } else { 0x3fff_ffff };
        let value = counter(info);
        Ok(Ring {
            layout,
            descs: VirtAddr::new(long(desc_ring, "prb_desc_ring.descs", 0)?),
            infos: VirtAddr::new(long(desc_ring, "prb_desc_ring.infos", 0)?),
            desc_mask: count - 1,
            id_mask,
            tail: long(desc_ring, "prb_desc_ring.tail_id", value)? & id_mask,
            head: long(desc_ring, "prb_desc_ring.head_id", value)? & id_mask,
            data: VirtAddr::new(long(text_ring, "prb_data_ring.data", 0)?),
            data_mask: data_bytes - 1,
            offsets,
        })
    }

    /// The virtual addresses of the texts, the descriptors and the infos.
    pub(super) fn memory(&self) -> Vec<VirtRange> {
        let array =
            |start: VirtAddr, bytes: u64| VirtRange::new(start, start.saturating_add(bytes));
        let of_each = |bytes: u64| bytes.saturating_mul(self.desc_mask + 1);
        vec![
            array(self.data, self.data_mask + 1),
            array(self.descs, of_each(self.offsets.desc_bytes)),
            array(self.infos, of_each(self.offsets.info_bytes)),
        ]
    }

    /// Descriptors in the ring.
    pub(super) fn count(&self) -> u64 {
        self.desc_mask + 1
    }

    /// The lower bits of the sequence number of record `id`. Record 0 has the id 2^32 -
    /// [`count`](Self::count) (DESC0_ID is computed in 32 bits); an id of a 32-bit kernel has 30 bits.
    pub(super) fn seq_of(&self, id: u64) -> u64 {
        self.lower_seq(id.wrapping_add(self.count()))
    }

    /// The bits of a sequence number that an id has as well.
    pub(super) fn lower_seq(&self, seq: u64) -> u64 {
        seq & self.seq_mask()
    }

    /// The largest [`lower_seq`](Self::lower_seq).
    pub(super) fn seq_mask(&self) -> u64 {
        self.id_mask & u64::from(u32::MAX)
    }

    /// The address of the descriptor of record `id`.
    pub(super) fn desc(&self, id: u64) -> VirtAddr {
        let nth = id & self.desc_mask;
        self.descs.wrapping_add(nth.wrapping_mul(self.offsets.desc_bytes))
    }

    /// The address of the info of record `id`.
    pub(super) fn info(&self, id: u64) -> VirtAddr {
        let nth = id & self.desc_mask;
        self.infos.wrapping_add(nth.wrapping_mul(self.offsets.info_bytes))
    }

    /// The address of the block from `begin` to `next`, which begins with the id of its record, and
    /// its bytes. `None` for a block that no writer creates.
    ///
    /// `begin` and `next` are logical positions, which only grow; their lower bits are the offset in
    /// the ring. A block that would cross the end of the ring is at the start of the ring instead.
    pub(super) fn block(&self, begin: u64, next: u64) -> Option<(VirtAddr, u64)> {
        let long = self.layout.long_bytes() as u64;
        let (mut first, mut end) = (begin & self.data_mask, next & self.data_mask);
        let rounds = (next & !self.data_mask).wrapping_sub(begin & !self.data_mask);
        let is_wrapped = rounds & self.long_mask() == self.data_mask + 1;
        if is_wrapped && end == 0 {
            // The block ends where the ring ends.
            end = self.data_mask + 1;
        } else if is_wrapped {
            first = 0;
        } else if rounds != 0 {
            return None;
        }
        let bytes = end.checked_sub(first).filter(|&bytes| bytes > long)?;
        let is_aligned = begin % long == 0 && next % long == 0;
        is_aligned.then(|| (self.data.wrapping_add(first), bytes))
    }

    fn long_mask(&self) -> u64 {
        if self.layout.long_bytes() == 8 { u64::MAX } else { u32::MAX.into() }
    }
}
