//! Logs in memory: small ones of each form, mapped by the kernel's image or its tables.

use super::dmesg::{BIG_ENDIAN, S390X, X86_64, encode};

const IMAGE: u64 = 0xffff_ffff_8000_0000;
const DIRECT: u64 = 0xffff_8880_0000_0000;
const PHYS_BASE: u64 = 0x10_0000;

const RING: &str = "OFFSET(printk_ringbuffer.desc_ring)=0\n\
    OFFSET(printk_ringbuffer.text_data_ring)=40\nSIZE(prb_desc_ring)=40\n\
    OFFSET(prb_desc_ring.count_bits)=0\nOFFSET(prb_desc_ring.descs)=8\n\
    OFFSET(prb_desc_ring.infos)=16\nOFFSET(prb_desc_ring.head_id)=24\n\
    OFFSET(prb_desc_ring.tail_id)=32\nSIZE(prb_desc)=24\nOFFSET(prb_desc.state_var)=0\n\
    OFFSET(prb_desc.text_blk_lpos)=8\nOFFSET(prb_data_blk_lpos.begin)=0\n\
    OFFSET(prb_data_blk_lpos.next)=8\nSIZE(printk_info)=88\nOFFSET(printk_info.seq)=0\n\
    OFFSET(printk_info.ts_nsec)=8\n\
    OFFSET(printk_info.text_len)=16\nOFFSET(printk_info.caller_id)=20\n\
    OFFSET(prb_data_ring.size_bits)=0\nOFFSET(prb_data_ring.data)=8\n\
    OFFSET(atomic_long_t.counter)=0\nSIZE(latched_seq)=24\nOFFSET(latched_seq.val)=8\n";

/// The pointer to the ring, and the place of the last clear.
fn ring_symbols(prb: u64) -> String {
    format!("SYMBOL(prb)={prb:x}\nSYMBOL(clear_seq)={:x}\n{RING}", prb + 0x80)
}

const LINES: [&str; 3] = [
    "Linux version 6.1.0",
    "sysrq: Trigger a crash\nagain",
    "Kernel panic - not syncing: \x1b[31m",
];

/// Integers in one byte order.
#[derive(Clone, Copy)]
struct Order(bool);

impl Order {
    fn int(self, value: u64, size: usize) -> Vec<u8> {
        let big = value.to_be_bytes();
        if self.0 { big[8 - size..].to_vec() } else { value.to_le_bytes()[..size].to_vec() }
    }

    fn longs(self, values: &[u64]) -> Vec<u8> {
        values.iter().flat_map(|value| self.int(*value, 8)).collect()
    }
}

/// A lockless ring at physical address `at`, and at virtual address `base` + `at`.
fn ring(order: Order, base: u64, at: u64) -> Vec<(u64, Vec<u8>)> {
    let virt = |paddr: u64| base + (paddr - PHYS_BASE);
    let (head, descs, infos, data) = (at + 0x10, at + 0x100, at + 0x200, at + 0x400);
    let mut ring = order.int(2, 4);
    ring.resize(8, 0);
    ring.extend(order.longs(&[virt(descs), virt(infos), LINES.len() as u64 - 1, 0]));
    ring.extend(order.int(8, 4));
    ring.resize(48, 0);
    ring.extend(order.longs(&[virt(data)]));
    let (mut desc_bytes, mut info_bytes, mut text) = (Vec::new(), Vec::new(), Vec::new());
    for (id, line) in (0..).zip(LINES) {
        let begin = text.len() as u64;
        text.extend(order.longs(&[id]));
        text.extend(line.as_bytes());
        text.resize(text.len().next_multiple_of(8), 0);
        desc_bytes.extend(order.longs(&[2 << 62 | id, begin, text.len() as u64]));
        info_bytes.extend(order.longs(&[id + 4, 1_234_567_890 * (id + 1)]));
        info_bytes.extend(order.int(line.len() as u64, 2));
        info_bytes.extend([0, 0xc1]);
        info_bytes.extend(order.int(0x8000_0000 | id, 4));
        info_bytes.resize(88 * (id as usize + 1), 0);
    }
    let mut pointer = order.longs(&[virt(head)]);
    pointer.resize(16, 0);
    // The second record is the first since the last clear.
    let clear = order.longs(&[0, 5, 5]);
    vec![
        (at, pointer),
        (head, ring),
        (descs, desc_bytes),
        (infos, info_bytes),
        (data, text),
        (at + 0x80, clear),
    ]
}

pub fn logs() -> Vec<Vec<u8>> {
    let (little, big) = (Order(false), Order(true));
    let info = |more: &str| format!("SYMBOL(swapper_pg_dir)={:x}\n{more}", IMAGE + 0x4000);
    let mut seeds = Vec::new();

    let prb = info(&ring_symbols(IMAGE));
    seeds.push(encode(X86_64, 0, PHYS_BASE, &prb, &ring(little, IMAGE, PHYS_BASE)));

    // By the tables: 512 GiB per table, 1 GiB mapped to memory.
    let index = |shift: u32| (DIRECT >> shift & 511) * 8;
    let mut memory = ring(little, DIRECT + PHYS_BASE, PHYS_BASE);
    memory.push((PHYS_BASE + 0x4000 + index(39), little.longs(&[(PHYS_BASE + 0x5000) | 0x63])));
    memory.push((PHYS_BASE + 0x5000 + index(30), little.longs(&[0xe3])));
    let prb = info(&ring_symbols(DIRECT + PHYS_BASE));
    seeds.push(encode(X86_64, 0, PHYS_BASE, &prb, &memory));

    let prb = format!("SYMBOL(swapper_pg_dir)=5000\n{}", ring_symbols(PHYS_BASE));
    seeds.push(encode(S390X, BIG_ENDIAN, 0, &prb, &ring(big, PHYS_BASE, PHYS_BASE)));

    // Records as of 3.5 to 5.9, in a buffer that has wrapped once.
    let mut records = Vec::new();
    for line in LINES {
        let length = (16 + line.len()).next_multiple_of(8);
        let end = records.len() + length;
        records.extend(little.longs(&[1_000_000_007]));
        records.extend(little.int(length as u64, 2));
        records.extend(little.int(line.len() as u64, 2));
        records.extend([0, 0, 0, 0xc6]);
        records.extend(line.as_bytes());
        records.resize(end, 0);
    }
    let first = 16 + LINES[0].len().next_multiple_of(8) as u64;
    let ints = [little.longs(&[IMAGE + 0x100]), little.int(256, 4), little.int(first, 4)].concat();
    let ints = [ints, little.int(records.len() as u64, 4), little.int(700, 4)].concat();
    let symbols = format!(
        "SYMBOL(log_buf)={:x}\nSYMBOL(log_buf_len)={:x}\nSYMBOL(log_first_idx)={:x}\n\
         SYMBOL(log_next_idx)={:x}\nSIZE(printk_log)=16\nOFFSET(printk_log.ts_nsec)=0\n\
         OFFSET(printk_log.len)=8\nOFFSET(printk_log.text_len)=10\n\
         OFFSET(printk_log.dict_len)=12\nSYMBOL(clear_idx)={:x}\n",
        IMAGE,
        IMAGE + 8,
        IMAGE + 12,
        IMAGE + 16,
        IMAGE + 12
    );
    let memory = [(PHYS_BASE, ints.clone()), (PHYS_BASE + 0x100, records)];
    seeds.push(encode(X86_64, 0, PHYS_BASE, &info(&symbols), &memory));

    // Plain characters, as before 3.5.
    let symbols = format!(
        "SYMBOL(log_buf)={:x}\nSYMBOL(log_buf_len)={:x}\nSYMBOL(log_end)={:x}\n\
         SYMBOL(logged_chars)={:x}\n",
        IMAGE,
        IMAGE + 8,
        IMAGE + 20,
        IMAGE + 12
    );
    let chars: Vec<u8> =
        b"<6>Linux version 2.6.32\n<0>Kernel panic\n".iter().copied().cycle().take(256).collect();
    let memory = [(PHYS_BASE, ints), (PHYS_BASE + 0x100, chars)];
    seeds.push(encode(X86_64, 0, PHYS_BASE, &info(&symbols), &memory));
    seeds
}

/// Logs in which every record claims nearly the same text, as large as possible.
pub fn overlapping_logs() -> Vec<Vec<u8>> {
    let order = Order(false);
    let info = |more: &str| format!("SYMBOL(swapper_pg_dir)={:x}\n{more}", IMAGE + 0x4000);
    let mut memory = ring(order, IMAGE, PHYS_BASE);
    // 512 descriptors, 64 KiB of text.
    let (descs, infos, data) = (0x1_0000, 0x2_0000, 0x3_0000);
    let mut head = order.int(9, 4);
    head.resize(8, 0);
    head.extend(order.longs(&[IMAGE + descs, IMAGE + infos, 511, 0]));
    head.extend(order.int(16, 4));
    head.resize(48, 0);
    head.extend(order.longs(&[IMAGE + data]));
    memory[1].1 = head;
    let desc = |id: u64| order.longs(&[2 << 62 | id, id * 8, 0xfff8]);
    memory.push((PHYS_BASE + descs, (0..512).flat_map(desc).collect()));
    let info_of = |id: u64| {
        let mut info = order.longs(&[id + 512, id]);
        info.extend(order.int(0xfff8 - 8 - id * 8, 2));
        info.resize(88, 0);
        info
    };
    memory.push((PHYS_BASE + infos, (0..512).flat_map(info_of).collect()));
    let mut texts = order.longs(&(0..512).collect::<Vec<u64>>());
    texts.resize(0xffff, 1);
    memory.push((PHYS_BASE + data, texts));
    let prb = info(&ring_symbols(IMAGE));
    let ring = encode(X86_64, 0, PHYS_BASE, &prb, &memory);

    // Records of 16 bytes, each with a text of 64 KiB.
    let ints = [order.longs(&[IMAGE + 0x8000]), order.int(0x1_0000, 4), order.int(0, 4)].concat();
    let ints = [ints, order.int(0xfff0, 4)].concat();
    let record = [vec![0; 8], order.int(16, 2), order.int(0xffff, 2), vec![0; 4]].concat();
    let records: Vec<u8> = record.into_iter().cycle().take(0xffff).collect();
    let symbols = format!(
        "SYMBOL(log_buf)={:x}\nSYMBOL(log_buf_len)={:x}\nSYMBOL(log_first_idx)={:x}\n\
         SYMBOL(log_next_idx)={:x}\nSIZE(printk_log)=16\nOFFSET(printk_log.ts_nsec)=0\n\
         OFFSET(printk_log.len)=8\nOFFSET(printk_log.text_len)=10\n",
        IMAGE,
        IMAGE + 8,
        IMAGE + 12,
        IMAGE + 16
    );
    let memory =
        [(PHYS_BASE, ints), (PHYS_BASE + 0x8000, records), (PHYS_BASE + 0x1_8000, vec![1; 0xffff])];
    vec![ring, encode(X86_64, 0, PHYS_BASE, &info(&symbols), &memory)]
}
