pub const fn max_compressed_len(n: usize) -> usize {
    n + n / 16 + 67
}
const BITS: u32 = 12;
pub struct Lzo1x {
    table: [u16; 1 << BITS],
}
impl Default for Lzo1x {
    fn default() -> Self {
        Self { table: [0; 1 << BITS] }
    }
}
fn load<const N: usize>(d: &[u8], at: u32) -> Option<&[u8; N]> {
    let at = at as usize;
    d.get(at..at + N)?.first_chunk()
}
struct Out<'a> {
    b: &'a mut [u8],
    n: u32,
}
impl Out<'_> {
    #[inline(always)]
    fn put<const N: usize>(&mut self, w: [u8; N], keep: u32) -> Option<()> {
        let at = self.n as usize;
        *self.b.get_mut(at..at + N)?.first_chunk_mut::<N>()? = w;
        self.n = self.n.wrapping_add(keep);
        Some(())
    }
    #[cold]
    #[inline(never)]
    fn ext(&mut self, mut v: u32) -> Option<()> {
        while v > 255 {
            self.put([0], 1)?;
            v -= 255;
        }
        self.put([v as u8], 1)
    }
    #[inline(always)]
    fn literals(&mut self, d: &[u8], from: u32, n: u32) -> Option<()> {
        if n <= 3 {
            if n == 0 {
                return Some(());
            }
            if self.n == 0 {
                self.put([n as u8 + 17], 1)?;
            } else {
                *self.b.get_mut(self.n.wrapping_sub(2) as usize)? |= n as u8;
            }
        } else if self.n == 0 && n <= 238 {
            self.put([n as u8 + 17], 1)?;
        } else if n <= 18 {
            self.put([n as u8 - 3], 1)?;
        } else {
            self.put([0], 1)?;
            self.ext(n - 18)?;
        }
        if n <= 16 {
            if let Some(w) = load::<16>(d, from) {
                return self.put(*w, n);
            }
        }
        let (a, l) = (self.n as usize, n as usize);
        self.b.get_mut(a..a + l)?.copy_from_slice(d.get(from as usize..from as usize + l)?);
        self.n += n;
        Some(())
    }
    #[inline(always)]
    fn matched(&mut self, dist: u32, len: u32) -> Option<()> {
        let d = dist - 1;
        if dist <= 2048 && len <= 8 {
            let t = ((len - 1) << 5) | ((d & 7) << 2) | ((d >> 3) << 8);
            self.put((t as u16).to_le_bytes(), 2)
        } else if dist <= 16384 {
            if len <= 33 {
                let t = 32 | (len - 2) | d << 10;
                self.put(t.to_le_bytes(), 3)
            } else {
                self.put([32], 1)?;
                self.ext(len - 33)?;
                self.put((d as u16 * 4).to_le_bytes(), 2)
            }
        } else {
            let d = dist - 16384;
            let t = 16 | (d >> 14) << 3;
            if len <= 9 {
                self.put([(t | (len - 2)) as u8], 1)?;
            } else {
                self.put([t as u8], 1)?;
                self.ext(len - 9)?;
            }
            self.put((((d & 16383) << 2) as u16).to_le_bytes(), 2)
        }
    }
}
impl Lzo1x {
    pub fn new() -> Self {
        Self::default()
    }
    pub fn compress(&mut self, input: &[u8], output: &mut [u8]) -> Option<usize> {
        let mut o = Out { b: output, n: 0 };
        let mut anchor = 0u32;
        for start in (0..input.len()).step_by(32768) {
            let end = input.len().min(start + 32768);
            anchor = self.seg(&input[..end], start as u32, anchor, &mut o)?;
        }
        let n = input.len() as u32 - anchor;
        o.literals(input, anchor, n)?;
        o.put([0x11, 0, 0], 3)?;
        Some(o.n as usize)
    }
    fn seg(&mut self, d: &[u8], start: u32, mut anchor: u32, o: &mut Out) -> Option<u32> {
        self.table.fill(0);
        let base = start;
        let mut pos = start + 1;
        'all: loop {
            let cand = loop {
                let Some(w) = load::<8>(d, pos) else { break 'all };
                let w = u64::from_le_bytes(*w) as u32;
                let h = w.wrapping_mul(0x9E37_79B1) >> (32 - BITS);
                let cand = base + u32::from(self.table[h as usize]);
                self.table[h as usize] = (pos - base) as u16;
                if u32::from_le_bytes(*load::<4>(d, cand)?) == w {
                    break cand;
                }
                pos += 1 + ((pos - anchor) >> 5);
            };
            let mut len = 4;
            loop {
                let Some(a) = load::<8>(d, pos + len) else {
                    while d
                        .get((pos + len) as usize)
                        .is_some_and(|x| *x == d[(cand + len) as usize])
                    {
                        len += 1
                    }
                    break;
                };
                let x = u64::from_le_bytes(*a) ^ u64::from_le_bytes(*load::<8>(d, cand + len)?);
                if x != 0 {
                    len += x.trailing_zeros() / 8;
                    break;
                }
                len += 8;
            }
            o.literals(d, anchor, pos - anchor)?;
            o.matched(pos - cand, len)?;
            pos += len;
            anchor = pos;
        }
        Some(anchor)
    }
}
