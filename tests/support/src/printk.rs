//! The kernel's log as the kernel writes it, in its three forms: written record by record, pushing
//! out the oldest, with what must be read back.
//!
//! From kernel/printk/printk_ringbuffer.c (5.10), kernel/printk/printk.c (5.4), kernel/printk.c (3.4).

use std::collections::VecDeque;
use std::ops::Range;

use crate::elf::Endian;
use crate::machine::int;

/// Word size and byte order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Words {
    pub long: usize,
    pub endian: Endian,
}

impl Words {
    fn put(self, bytes: &mut [u8], at: usize, size: usize, value: u64) {
        bytes[at..at + size].copy_from_slice(&int(self.endian, size, value));
    }
}

/// What was logged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Logged {
    pub ts_nsec: u64,
    pub caller_id: u32,
    pub level: u8,
    pub facility: u8,
    pub text: Vec<u8>,
}

/// Bytes at addresses, and the VMCOREINFO lines that lead to them.
#[derive(Debug, Clone, Default)]
pub struct LogImage {
    pub vmcoreinfo: String,
    /// Virtual address and bytes.
    pub parts: Vec<(u64, Vec<u8>)>,
}

/// State of a ring's descriptor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    Reserved = 0,
    Committed = 1,
    Finalized = 2,
    Reusable = 3,
}

#[derive(Debug, Clone)]
struct Slot {
    id: u64,
    state: State,
    begin: u64,
    next: u64,
    logged: Logged,
    text_len: u16,
}

/// How a kernel keeps the place of the last clear of a ring.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClearSeq {
    /// VMCOREINFO does not say where it is.
    Unknown,
    /// A number (5.10 to 5.12).
    Plain,
    /// Two numbers, of which the counter says which one counts (since 5.13).
    Latched { counter: u32 },
}

/// The lockless ring of 5.10 on.
#[derive(Debug, Clone)]
pub struct Ring {
    words: Words,
    pub clear_form: ClearSeq,
    pub clear_seq: u64,
    count_bits: u32,
    size_bits: u32,
    slots: Vec<Option<Slot>>,
    data: Vec<u8>,
    head_id: u64,
    tail_id: u64,
    head_lpos: u64,
    tail_lpos: u64,
}

/// Bytes of the head, a descriptor, an info: longs and their places in struct order.
impl Ring {
    /// An empty ring; ids and positions begin just below 0, as the kernel's do, so that both wrap.
    pub fn new(words: Words, count_bits: u32, size_bits: u32) -> Self {
        let first = 0u64.wrapping_sub(1 << count_bits).wrapping_sub(1) & id_mask(words);
        let lpos = 0u64.wrapping_sub(1 << size_bits) & long_mask(words);
        let mut slots = vec![None; 1 << count_bits];
        // The descriptor that head and tail are at before the first record.
        let logged = Logged { ts_nsec: 0, caller_id: 0, level: 0, facility: 0, text: Vec::new() };
        let (state, begin, next) = (State::Reusable, 1, 1);
        slots[(1 << count_bits) - 1] =
            Some(Slot { id: first, state, begin, next, logged, text_len: 0 });
        Ring {
            words,
            clear_form: ClearSeq::Latched { counter: 2 },
            clear_seq: 0,
            count_bits,
            size_bits,
            slots,
            data: vec![0xee; 1 << size_bits],
            head_id: first,
            tail_id: first,
            head_lpos: lpos,
            tail_lpos: lpos,
        }
    }

    fn slot(&mut self, id: u64) -> &mut Option<Slot> {
        let index = (id % (1 << self.count_bits)) as usize;
        &mut self.slots[index]
    }

    fn drop_oldest(&mut self) {
        let id = self.tail_id;
        if let Some(slot) = self.slot(id).as_mut().filter(|slot| slot.id == id) {
            slot.state = State::Reusable;
            let next = slot.next;
            if next & 1 == 0 {
                self.tail_lpos = next;
            }
        }
        self.tail_id = (id + 1) & id_mask(self.words);
    }

    /// Logs; an empty text takes no block, and neither does one larger than a quarter of the ring.
    pub fn push(&mut self, logged: Logged, state: State) {
        let mask = id_mask(self.words);
        let id = (self.head_id + 1) & mask;
        let oldest = id.wrapping_sub(1 << self.count_bits) & mask;
        if self.tail_id == oldest {
            self.drop_oldest();
        }
        let size = (self.words.long + logged.text.len()).next_multiple_of(self.words.long) as u64;
        let (begin, next) = if logged.text.is_empty() {
            (3, 3)
        } else if size > 1 << self.size_bits >> 2 {
            (1, 1)
        } else {
            self.allocate(size, id)
        };
        if begin & 1 == 0 {
            let wraps = begin >> self.size_bits != next >> self.size_bits;
            let at = if wraps { 0 } else { begin % (1 << self.size_bits) } as usize;
            let long = self.words.long;
            self.data[at..at + long].copy_from_slice(&int(self.words.endian, long, id));
            self.data[at + long..at + long + logged.text.len()].copy_from_slice(&logged.text);
        }
        let text_len = logged.text.len() as u16;
        self.head_id = id;
        *self.slot(id) = Some(Slot { id, state, begin, next, logged, text_len });
    }

    fn allocate(&mut self, size: u64, id: u64) -> (u64, u64) {
        let begin = self.head_lpos;
        let end = begin.wrapping_add(size) & long_mask(self.words);
        // A block that would end in the next round begins there.
        let next = if begin >> self.size_bits == end >> self.size_bits {
            end
        } else {
            (end >> self.size_bits << self.size_bits).wrapping_add(size)
        };
        while next.wrapping_sub(self.tail_lpos) & long_mask(self.words) > 1 << self.size_bits
            && self.tail_id != id
        {
            self.drop_oldest();
        }
        self.head_lpos = next;
        (begin, next)
    }

    /// Clears the log (SYSLOG_ACTION_CLEAR).
    pub fn clear(&mut self) {
        self.clear_seq = self.seq(self.head_id + 1);
    }

    /// The number of the record with this id since boot (the bits of it that an id has).
    fn seq(&self, id: u64) -> u64 {
        id.wrapping_add(1 << self.count_bits) & id_mask(self.words)
    }

    /// The symbol's lines in VMCOREINFO, and the bytes there.
    fn clear_parts(&self, at: u64) -> (String, Vec<u8>) {
        let number = |value: u64| int(self.words.endian, 8, value);
        let symbol = format!("SYMBOL(clear_seq)={at:x}\n");
        match self.clear_form {
            ClearSeq::Unknown => (String::new(), number(self.clear_seq)),
            ClearSeq::Plain => (symbol, number(self.clear_seq)),
            ClearSeq::Latched { counter } => {
                let mut bytes = int(self.words.endian, 4, counter.into());
                bytes.resize(8, 0);
                let other = self.clear_seq + 1;
                let [even, odd] = if counter % 2 == 0 {
                    [self.clear_seq, other]
                } else {
                    [other, self.clear_seq]
                };
                bytes.extend([number(even), number(odd)].concat());
                (format!("{symbol}SIZE(latched_seq)=24\nOFFSET(latched_seq.val)=8\n"), bytes)
            }
        }
    }

    /// Makes the newest record's text_len lie.
    pub fn claim_text_len(&mut self, text_len: u16) {
        let id = self.head_id;
        if let Some(slot) = self.slot(id) {
            slot.text_len = text_len;
        }
    }

    /// What a reader must find, oldest first.
    pub fn expected(&self) -> Vec<Logged> {
        let mask = id_mask(self.words);
        let count = (self.head_id.wrapping_sub(self.tail_id) & mask) + 1;
        let ids = (0..count).map(|nth| (self.tail_id + nth) & mask);
        ids.filter_map(|id| {
            let slot = self.slots[(id % (1 << self.count_bits)) as usize].as_ref()?;
            let there = slot.id == id && matches!(slot.state, State::Committed | State::Finalized);
            (there && slot.begin != 1).then(|| slot.logged.clone())
        })
        .collect()
    }

    /// The ring in memory from `base` on: pointer, head, descriptors, infos, texts.
    pub fn image(&self, base: u64) -> LogImage {
        let Words { long, .. } = self.words;
        let (count, desc_bytes, info_bytes) = (1 << self.count_bits, 3 * long, 88);
        let prb = base + 64;
        let descs = prb + 4096;
        let infos = descs + (count * desc_bytes) as u64 + 128;
        let data = infos + (count * info_bytes) as u64 + 128;
        let word = |value| int(self.words.endian, long, value);
        let bits = |value: u32| {
            let mut bytes = int(self.words.endian, 4, value.into());
            bytes.resize(long, 0);
            bytes
        };
        let desc_ring = [
            bits(self.count_bits),
            word(descs),
            word(infos),
            word(self.head_id),
            word(self.tail_id),
            word(0),
        ];
        let text_ring =
            [bits(self.size_bits), word(data), word(self.head_lpos), word(self.tail_lpos)];
        let head = [desc_ring.concat(), text_ring.concat(), word(0)].concat();
        let mut desc_table = vec![0; count * desc_bytes];
        let mut info_table = vec![0; count * info_bytes];
        for (nth, slot) in self.slots.iter().enumerate() {
            let Some(slot) = slot else { continue };
            let state = (slot.state as u64) << (8 * long - 2) | slot.id;
            for (member, value) in [state, slot.begin, slot.next].into_iter().enumerate() {
                self.words.put(&mut desc_table, nth * desc_bytes + member * long, long, value);
            }
            let info = &mut info_table[nth * info_bytes..][..info_bytes];
            self.words.put(info, 0, 8, self.seq(slot.id));
            self.words.put(info, 8, 8, slot.logged.ts_nsec);
            self.words.put(info, 16, 2, slot.text_len.into());
            info[18] = slot.logged.facility;
            info[19] = level_and_flags(self.words.endian, slot.logged.level);
            self.words.put(info, 20, 4, slot.logged.caller_id.into());
        }
        let (clear_lines, clear_bytes) = self.clear_parts(base + 24);
        LogImage {
            vmcoreinfo: format!(
                "SYMBOL(prb)={base:x}\n{clear_lines}\
                 OFFSET(printk_ringbuffer.desc_ring)=0\n\
                 OFFSET(printk_ringbuffer.text_data_ring)={}\n\
                 OFFSET(prb_desc_ring.count_bits)=0\n\
                 OFFSET(prb_desc_ring.descs)={}\n\
                 OFFSET(prb_desc_ring.infos)={}\n\
                 OFFSET(prb_desc_ring.head_id)={}\n\
                 OFFSET(prb_desc_ring.tail_id)={}\n\
                 SIZE(prb_desc)={desc_bytes}\n\
                 OFFSET(prb_desc.state_var)=0\n\
                 OFFSET(prb_desc.text_blk_lpos)={long}\n\
                 OFFSET(prb_data_blk_lpos.begin)=0\n\
                 OFFSET(prb_data_blk_lpos.next)={long}\n\
                 SIZE(printk_info)={info_bytes}\n\
                 OFFSET(printk_info.seq)=0\n\
                 OFFSET(printk_info.ts_nsec)=8\n\
                 OFFSET(printk_info.text_len)=16\n\
                 OFFSET(printk_info.caller_id)=20\n\
                 OFFSET(prb_data_ring.size_bits)=0\n\
                 OFFSET(prb_data_ring.data)={long}\n\
                 OFFSET(atomic_long_t.counter)=0\n",
                6 * long,
                long,
                2 * long,
                3 * long,
                4 * long
            ),
            parts: vec![
                (base, word(prb)),
                (prb, head),
                (descs, desc_table),
                (infos, info_table),
                (data, self.data.clone()),
                (base + 24, clear_bytes),
            ],
        }
    }
}

fn id_mask(words: Words) -> u64 {
    long_mask(words) >> 2
}

fn long_mask(words: Words) -> u64 {
    if words.long == 8 { u64::MAX } else { 0xffff_ffff }
}

/// `u8 flags:5; u8 level:3;` with the flag of a newline (2).
fn level_and_flags(endian: Endian, level: u8) -> u8 {
    match endian {
        Endian::Little => level << 5 | 2,
        Endian::Big => 2 << 3 | level,
    }
}

/// log_buf of 3.5 to 5.9.
#[derive(Debug, Clone)]
pub struct Records {
    words: Words,
    /// Name of the struct, and whether it has a caller_id.
    pub name: &'static str,
    pub has_caller: bool,
    buffer: Vec<u8>,
    kept: VecDeque<(usize, usize, Logged)>,
    next: usize,
    /// Where the first record after the last clear begins, if VMCOREINFO is to say so.
    pub clear_idx: Option<usize>,
}

impl Records {
    pub fn new(words: Words, bytes: usize, name: &'static str, has_caller: bool) -> Self {
        let buffer = vec![0; bytes];
        let kept = VecDeque::new();
        Records { words, name, has_caller, buffer, kept, next: 0, clear_idx: Some(0) }
    }

    fn header_bytes(&self) -> usize {
        if self.has_caller { 20 } else { 16 }
    }

    /// Logs with a dictionary behind the text.
    pub fn push(&mut self, logged: Logged, dict: &[u8]) {
        let header = self.header_bytes();
        let size = (header + logged.text.len() + dict.len()).next_multiple_of(4);
        if self.next + size + header > self.buffer.len() {
            // What is kept behind goes; a header of length 0 says that the rest is at the start.
            let end = self.next;
            self.kept.retain(|(at, _, _)| *at < end);
            self.buffer[end..].fill(0);
            self.next = 0;
        }
        let range = self.next..self.next + size;
        // With room for one header more: a full buffer would look like an empty one.
        let cleared = range.end + header;
        self.kept.retain(|(at, size, _)| *at >= cleared || at + size <= range.start);
        let record = &mut self.buffer[range.clone()];
        record.fill(0);
        self.words.put(record, 0, 8, logged.ts_nsec);
        self.words.put(record, 8, 2, size as u64);
        self.words.put(record, 10, 2, logged.text.len() as u64);
        self.words.put(record, 12, 2, dict.len() as u64);
        record[14] = logged.facility;
        record[15] = level_and_flags(self.words.endian, logged.level);
        if self.has_caller {
            self.words.put(record, 16, 4, logged.caller_id.into());
        }
        record[header..header + logged.text.len()].copy_from_slice(&logged.text);
        self.kept.push_back((range.start, size, logged));
        self.next = range.end;
    }

    /// Clears the log (SYSLOG_ACTION_CLEAR).
    pub fn clear(&mut self) {
        self.clear_idx = Some(self.next);
    }

    /// Where the records that must be read begin and end in the buffer, oldest first.
    pub fn places(&self) -> Vec<Range<usize>> {
        self.kept.iter().map(|(at, size, _)| *at..at + size).collect()
    }

    pub fn expected(&self) -> Vec<Logged> {
        self.kept.iter().map(|(_, _, logged)| logged.clone()).collect()
    }

    /// log_buf, its length, its indices and the buffer from `base` on.
    pub fn image(&self, base: u64) -> LogImage {
        let name = self.name;
        let first = self.kept.front().map_or(self.next, |(at, _, _)| *at) as u64;
        let buffer = base + 4096;
        let int32 = |value: u64| int(self.words.endian, 4, value);
        let caller =
            if self.has_caller { format!("OFFSET({name}.caller_id)=16\n") } else { String::new() };
        let clear = match self.clear_idx {
            Some(_) => format!("SYMBOL(clear_idx)={:x}\n", base + 20),
            None => String::new(),
        };
        LogImage {
            vmcoreinfo: format!(
                "{clear}SYMBOL(log_buf)={base:x}\nSYMBOL(log_buf_len)={:x}\nSYMBOL(log_first_idx)={:x}\n\
                 SYMBOL(log_next_idx)={:x}\nSIZE({name})={}\nOFFSET({name}.ts_nsec)=0\n\
                 OFFSET({name}.len)=8\nOFFSET({name}.text_len)=10\nOFFSET({name}.dict_len)=12\n\
                 {caller}",
                base + 8,
                base + 12,
                base + 16,
                self.header_bytes(),
            ),
            parts: vec![
                (base, int(self.words.endian, self.words.long, buffer)),
                (base + 8, int32(self.buffer.len() as u64)),
                (base + 12, int32(first)),
                (base + 16, int32(self.next as u64)),
                (buffer, self.buffer.clone()),
                (base + 20, int32(self.clear_idx.unwrap_or(0) as u64)),
            ],
        }
    }
}

/// log_buf before 3.5: `text` was all that was ever logged.
pub fn chars_image(words: Words, bytes: usize, text: &[u8], base: u64) -> LogImage {
    let buffer = base + 4096;
    let mut ring = vec![0; bytes];
    for (nth, &byte) in text.iter().enumerate() {
        ring[nth % bytes] = byte;
    }
    LogImage {
        vmcoreinfo: format!(
            "SYMBOL(log_buf)={base:x}\nSYMBOL(log_buf_len)={:x}\nSYMBOL(log_end)={:x}\n",
            base + 8,
            base + 12
        ),
        parts: vec![
            (base, int(words.endian, words.long, buffer)),
            (base + 8, int(words.endian, 4, bytes as u64)),
            (base + 12, int(words.endian, 4, text.len() as u64)),
            (buffer, ring),
        ],
    }
}
