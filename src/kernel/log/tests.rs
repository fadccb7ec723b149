//! A ring of one record, written out by hand.

use std::ops::ControlFlow;

use super::*;
use crate::format::wire::{ByteOrder, StructLayout};
use crate::kernel::arch::Architecture;
use crate::kernel::physical::{MissingReason, PhysicalMemory, Unreadable};
use crate::kernel::vmcoreinfo::Vmcoreinfo;
use crate::pages::PhysAddr;

struct Bytes(Vec<u8>);

impl PhysicalMemory for Bytes {
    fn read_physical(&self, paddr: PhysAddr, buf: &mut [u8]) -> Result<(), Unreadable> {
        let unreadable = Unreadable { paddr, why: MissingReason::Hole };
        let start = usize::try_from(paddr.get()).map_err(|_| unreadable.clone())?;
        let end = start.checked_add(buf.len()).ok_or_else(|| unreadable.clone())?;
        buf.copy_from_slice(self.0.get(start..end).ok_or(unreadable)?);
        Ok(())
    }

    fn readable_bytes(&self) -> u64 {
        self.0.len() as u64
    }
}

/// The offsets are those of a 64-bit 6.1; ppc64's linear map needs no tables.
const INFO: &[u8] = b"SYMBOL(prb)=c000000000000000
OFFSET(printk_ringbuffer.desc_ring)=0\nOFFSET(printk_ringbuffer.text_data_ring)=48
OFFSET(prb_desc_ring.count_bits)=0\nOFFSET(prb_desc_ring.descs)=8\nOFFSET(prb_desc_ring.infos)=16
OFFSET(prb_desc_ring.head_id)=24\nOFFSET(prb_desc_ring.tail_id)=32
SIZE(prb_desc)=24\nOFFSET(prb_desc.state_var)=0\nOFFSET(prb_desc.text_blk_lpos)=8
OFFSET(prb_data_blk_lpos.begin)=0\nOFFSET(prb_data_blk_lpos.next)=8
SIZE(printk_info)=88\nOFFSET(printk_info.ts_nsec)=8\nOFFSET(printk_info.text_len)=16
OFFSET(printk_info.caller_id)=20\nOFFSET(prb_data_ring.size_bits)=0\nOFFSET(prb_data_ring.data)=8
OFFSET(atomic_long_t.counter)=0\nSYMBOL(swapper_pg_dir)=c000000000100000\n";

fn memory() -> Vec<u8> {
    let mut bytes = vec![0; 8192];
    let mut put = |at: usize, part: &[u8]| bytes[at..at + part.len()].copy_from_slice(part);
    // prb, and what it points to: one descriptor, ids from and to 5, texts of 64 bytes.
    put(0x00, b"\x10\0\0\0\0\0\0\xc0");
    put(0x10, b"\0\0\0\0\0\0\0\0\0\x01\0\0\0\0\0\xc0\0\x02\0\0\0\0\0\xc0");
    put(0x28, b"\x05\0\0\0\0\0\0\0\x05\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0");
    put(0x40, b"\x06\0\0\0\0\0\0\0\0\x03\0\0\0\0\0\xc0");
    // State 2 (finalized), id 5, text from 8 to 24.
    put(0x100, b"\x05\0\0\0\0\0\0\x80\x08\0\0\0\0\0\0\0\x18\0\0\0\0\0\0\0");
    // Sequence number 9, 1.5 s, 5 bytes, facility 3, level 4 above flags 2, processor 7.
    put(0x200, b"\x09\0\0\0\0\0\0\0\0\x2f\x68\x59\0\0\0\0\x05\0\x03\x82\x07\0\0\x80");
    put(0x308, b"\x05\0\0\0\0\0\0\0hello...");
    bytes
}

fn with_kernel<T>(bytes: Vec<u8>, info: &[u8], then: impl FnOnce(&Kernel<'_>) -> T) -> T {
    then(&Kernel {
        arch: Architecture::Ppc64,
        layout: StructLayout::Bits64(ByteOrder::Little),
        page_size: 65536,
        pages_before: 0,
        info: &Vmcoreinfo::parse(info),
        phys_base: 0,
        segments: &[],
        memory: &Bytes(bytes),
    })
}

fn first(bytes: Vec<u8>) -> Result<Option<(String, String)>, Error> {
    with_kernel(bytes, INFO, first_of)
}

fn first_of(kernel: &Kernel<'_>) -> Result<Option<(String, String)>, Error> {
    let mut found = None;
    read(kernel, Start::Oldest, &mut |record| {
        let text = String::from_utf8_lossy(record.text).into_owned();
        found = Some((format!("{:?}", Record { text: b"", ..*record }), text));
        ControlFlow::Continue(())
    })?;
    Ok(found)
}

#[test]
fn a_record_is_found_byte_by_byte() {
    let (record, text) = first(memory()).unwrap().unwrap();
    assert_eq!(text, "hello");
    assert_eq!(
        record,
        "Record { ts_nsec: Some(1500000000), caller: Some(Cpu(7)), level: Some(4), \
         facility: Some(3), text: [] }"
    );
}

#[test]
fn a_memory_cut_anywhere_ends_in_an_error_or_without_the_record() {
    let whole = memory();
    for length in (0..0x400).rev() {
        match first(whole[..length].to_vec()) {
            // Descriptor, info and text reach to here.
            Ok(Some(_)) => assert!(length >= 0x315, "{length:#x}"),
            Ok(None) => assert!((0x50..0x318).contains(&length), "{length:#x}"),
            Err(why) => assert!(length < 0x50 + 64, "{length:#x}: {why}"),
        }
    }
}

/// A range that begins `offset` bytes into the linear map.
fn range(offset: u64, bytes: u64) -> VirtRange {
    VirtRange::of(VirtAddr::new(0xc000_0000_0000_0000 + offset), bytes)
}

#[test]
fn the_ring_is_its_texts_its_descriptors_and_its_infos() {
    let found = with_kernel(memory(), INFO, super::memory).unwrap();
    // 64 bytes of text, one descriptor of 24 bytes, one info of 88.
    assert_eq!(found, [range(0x300, 0x40), range(0x100, 0x18), range(0x200, 0x58)]);
}

#[test]
fn the_older_logs_are_a_buffer() {
    let mut bytes = vec![0; 8192];
    bytes[0x10..0x18].copy_from_slice(b"\0\x10\0\0\0\0\0\xc0");
    bytes[0x18..0x1c].copy_from_slice(b"\0\x02\0\0");
    for last in ["log_first_idx", "log_end"] {
        let info = format!(
            "SYMBOL(log_buf)=c000000000000010\nSYMBOL(log_buf_len)=c000000000000018
SYMBOL({last})=c00000000000001c\nSYMBOL(swapper_pg_dir)=c000000000100000\n"
        );
        let found = with_kernel(bytes.clone(), info.as_bytes(), super::memory);
        assert_eq!(found.unwrap(), [range(0x1000, 0x200)], "{last}");
    }
    bytes[0x1b] = 0x80;
    let info = b"SYMBOL(log_buf)=c000000000000010\nSYMBOL(log_buf_len)=c000000000000018
SYMBOL(log_end)=c00000000000001c\nSYMBOL(swapper_pg_dir)=c000000000100000\n";
    let why = with_kernel(bytes, info, super::memory).unwrap_err().to_string();
    assert_eq!(
        why,
        "log_buf_len: 2147484160 bytes are more than the 8192 of all memory in the dump"
    );
    let why = with_kernel(Vec::new(), b"SYMBOL(log_buf)=10\n", super::memory).unwrap_err();
    assert_eq!(why.to_string(), "VMCOREINFO has neither SYMBOL(log_first_idx) nor SYMBOL(log_end)");
}

#[test]
fn a_ring_that_no_memory_holds_is_nowhere() {
    let mut bytes = memory();
    // 2^26 descriptors.
    bytes[0x10] = 26;
    let why = with_kernel(bytes, INFO, super::memory).unwrap_err().to_string();
    assert!(why.starts_with("prb_desc_ring.count_bits: "), "{why}");
}
