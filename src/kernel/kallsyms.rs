//! The kernel's own symbol table: where its symbols are, by name.
//!
//! ```text
//! kallsyms_names:        length, that many tokens; length, tokens; ... num_syms times
//! kallsyms_token_index:  256 times u16: where in kallsyms_token_table a token's text begins
//! kallsyms_token_table:  texts, each with a NUL at its end
//! kallsyms_offsets:      u32 for each symbol: its address, see `Addresses`
//! ```
//!
//! The first character of a symbol's text is its type as nm prints it. VMCOREINFO has the tables
//! since 6.0 (5fd8fea935a1). Source: kernel/kallsyms.c, scripts/kallsyms.c.

use crate::kernel::error::Error;
use crate::kernel::pieces::VirtualReader;
use crate::kernel::translate::{Kernel, Translator};
use crate::pages::{Position, VirtAddr};

/// Tokens: what a byte can tell apart.
const TOKENS: u64 = 256;

/// Symbols at the most: no kernel with its modules built in has a tenth of that.
const MAX_SYMBOLS: u64 = 1 << 24;

/// Characters of a symbol's text: KSYM_NAME_LEN, 512 since 6.1 (b8a94bfb3395), with the type.
const MAX_TEXT_BYTES: usize = 513;

/// The least that a symbol takes: a length, a token, an offset.
const MIN_SYMBOL_BYTES: u64 = 6;

/// What the tables must agree on with VMCOREINFO.
const KNOWN: &str = "_stext";

/// How the entries of kallsyms_offsets become addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Addresses {
    /// Unsigned, from kallsyms_relative_base on (4.6 on).
    FromBase { base: VirtAddr },
    /// Those below 0 from kallsyms_relative_base on, others as they are: x86_64 with SMP until 6.15
    /// (CONFIG_KALLSYMS_ABSOLUTE_PERCPU).
    NegativeFromBase { base: VirtAddr },
    /// Signed, from the entry itself on: without a kallsyms_relative_base.
    FromEntry,
}

impl Addresses {
    fn address(self, entry_at: VirtAddr, entry: u32) -> VirtAddr {
        // The entry as a signed number, in two's complement of 64 bits.
        let signed = u64::from(entry).wrapping_sub(u64::from(entry >> 31) << 32);
        match self {
            Addresses::FromBase { base } => base.wrapping_add(entry.into()),
            Addresses::NegativeFromBase { .. } if signed >> 63 == 0 => VirtAddr::new(signed),
            // base - 1 - signed, and -1 - signed is !signed.
            Addresses::NegativeFromBase { base } => base.wrapping_add(!signed),
            Addresses::FromEntry => entry_at.wrapping_add(signed),
        }
    }
}

/// A kernel's symbol table.
#[derive(Debug)]
pub struct Kallsyms<'t, 'a> {
    kernel: &'t Kernel<'a>,
    translator: &'t Translator<'a>,
    names: VirtAddr,
    offsets: VirtAddr,
    count: u64,
    relative_base: Option<VirtAddr>,
    tokens: Vec<Vec<u8>>,
    /// Their lengths.
    token_bytes: [usize; 256],
}

impl<'t, 'a> Kallsyms<'t, 'a> {
    /// Finds the tables and reads the tokens.
    ///
    /// # Errors
    /// What VMCOREINFO lacks, or what cannot be read or makes no sense.
    pub fn open(kernel: &'t Kernel<'a>, translator: &'t Translator<'a>) -> Result<Self, Error> {
        let symbol = |name: &str| kernel.info.require_symbol(name);
        let names = symbol("kallsyms_names")?;
        let offsets = symbol("kallsyms_offsets")?;
        let count = translator.read_u32(symbol("kallsyms_num_syms")?);
        let count = u64::from(count.map_err(Error::unreadable("kallsyms_num_syms"))?);
        let readable = translator.memory().readable_bytes();
        if count == 0 || count > (readable / MIN_SYMBOL_BYTES).min(MAX_SYMBOLS) {
            return Err(Error::implausible(
                "kallsyms_num_syms",
                format!("{count} symbols do not fit in {readable} bytes of memory"),
            ));
        }
        let relative_base = match kernel.info.symbol("kallsyms_relative_base") {
            Some(at) => Some({
                let base = translator.read_long(at);
                VirtAddr::new(base.map_err(Error::unreadable("kallsyms_relative_base"))?)
            }),
            None => None,
        };
        let index = symbol("kallsyms_token_index")?;
        let table = symbol("kallsyms_token_table")?;
        let tokens = tokens(translator, index, table)?;
        let mut token_bytes = [0; 256];
        token_bytes.iter_mut().zip(&tokens).for_each(|(bytes, token)| *bytes = token.len());
        Ok(Kallsyms {
            kernel,
            translator,
            names,
            offsets,
            count,
            relative_base,
            tokens,
            token_bytes,
        })
    }

    /// The addresses of global symbols, each `None` if there is none of its name.
    ///
    /// # Errors
    /// What cannot be read, or shows that the tables are not what they should be: `_stext` must be
    /// where VMCOREINFO has it.
    pub fn find(&self, names: &[&str]) -> Result<Vec<Option<VirtAddr>>, Error> {
        let wanted: Vec<&str> = names.iter().copied().chain([KNOWN]).collect();
        let mut found = self.indices(&wanted)?;
        let stext = self.kernel.info.require_symbol(KNOWN)?;
        let of_stext = found
            .pop()
            .flatten()
            .ok_or_else(|| Error::implausible("kallsyms_names", "no symbol is named _stext"))?;
        let addresses = self.addresses(of_stext, stext)?;
        let mut all = Vec::new();
        for index in found {
            all.push(match index {
                Some(index) => Some(self.address(addresses, index)?),
                None => None,
            });
        }
        Ok(all)
    }

    /// The way of reading the entries that has the known symbol where it is.
    fn addresses(&self, index: u64, known: VirtAddr) -> Result<Addresses, Error> {
        let ways = match self.relative_base {
            Some(base) => {
                vec![Addresses::FromBase { base }, Addresses::NegativeFromBase { base }]
            }
            None => vec![Addresses::FromEntry],
        };
        let mut elsewhere = None;
        for way in ways {
            let found = self.address(way, index)?;
            if found == known {
                return Ok(way);
            }
            elsewhere.get_or_insert(found);
        }
        let elsewhere = elsewhere.unwrap_or(VirtAddr::ZERO);
        Err(Error::implausible(
            "kallsyms_offsets",
            format!("_stext is at {elsewhere:#x} by it, but at {known:#x} by VMCOREINFO"),
        ))
    }

    fn address(&self, addresses: Addresses, index: u64) -> Result<VirtAddr, Error> {
        let at = self.offsets.wrapping_add(index * 4);
        let entry = self.translator.read_u32(at).map_err(Error::unreadable("kallsyms_offsets"))?;
        let address = addresses.address(at, entry);
        // On 32-bit kernels sums wrap at 32 bits.
        let is_32bit = self.kernel.layout.long_bytes() == 4;
        Ok(if is_32bit { VirtAddr::new(address.get() & 0xffff_ffff) } else { address })
    }

    /// Which symbols have the names; those that are local to a file do not count.
    fn indices(&self, wanted: &[&str]) -> Result<Vec<Option<u64>>, Error> {
        let mut found = vec![None; wanted.len()];
        let mut left = wanted.len();
        let mut lengths: Vec<usize> = wanted.iter().map(|name| name.len() + 1).collect();
        lengths.sort_unstable();
        lengths.dedup();
        let mut pieces = VirtualReader::new(self.translator);
        let mut at = self.names;
        let (mut packed, mut text) = (Vec::new(), Vec::new());
        for index in 0..self.count {
            // Most names are local, or of another length, and passed over where they are.
            if let Some(behind) = self.passed_over(pieces.at_hand(at), &lengths) {
                at = at.wrapping_add(behind as u64);
                continue;
            }
            at = self.next_name(&mut pieces, at, &mut packed)?;
            let bytes = self.expanded_bytes(&packed);
            if bytes > MAX_TEXT_BYTES {
                let why = format!("symbol {index} has more than {MAX_TEXT_BYTES} characters");
                return Err(Error::implausible("kallsyms_names", why));
            }
            if !lengths.contains(&bytes) || !self.is_global(&packed) {
                continue;
            }
            self.expand(&packed, &mut text);
            let Some((_kind, name)) = text.split_first() else { continue };
            for (place, _) in found.iter_mut().zip(wanted).filter(|(_, w)| w.as_bytes() == name) {
                // Of several the first counts.
                if place.is_none() {
                    *place = Some(index);
                    left -= 1;
                }
            }
            if left == 0 {
                break;
            }
        }
        Ok(found)
    }

    /// Reads the tokens of the name at `at`, and tells where the next one is.
    fn next_name(
        &self,
        pieces: &mut VirtualReader<'_, '_>,
        at: VirtAddr,
        packed: &mut Vec<u8>,
    ) -> Result<VirtAddr, Error> {
        let mut byte = [0; 1];
        let cannot = || Error::unreadable("kallsyms_names");
        pieces.read(at, &mut byte).map_err(cannot())?;
        let (mut length, mut start) = (usize::from(byte[0]), at.wrapping_add(1));
        // Since 6.1 (73bbb94466fd) those of 128 and more have 7 bits here and the rest behind it.
        if length >= 128 {
            pieces.read(start, &mut byte).map_err(cannot())?;
            length = (length & 0x7f) | usize::from(byte[0]) << 7;
            start = start.wrapping_add(1);
        }
        if length == 0 || length > MAX_TEXT_BYTES {
            let why = format!("the name at {at:#x} has {length} tokens");
            return Err(Error::implausible("kallsyms_names", why));
        }
        packed.resize(length, 0);
        pieces.read(start, packed).map_err(cannot())?;
        Ok(start.wrapping_add(length as u64))
    }

    /// How many bytes the name at the start of `names` takes, if it is there as a whole, and none of
    /// a symbol that is looked for.
    fn passed_over(&self, names: &[u8], lengths: &[usize]) -> Option<usize> {
        let (&length, behind) =
            names.split_first().filter(|(length, _)| (1..128).contains(*length))?;
        let packed = behind.get(..usize::from(length))?;
        let bytes = self.expanded_bytes(packed);
        let is_wanted = lengths.contains(&bytes) && self.is_global(packed);
        (bytes <= MAX_TEXT_BYTES && !is_wanted).then_some(usize::from(length) + 1)
    }

    /// Bytes of a name with the letter of its type.
    fn expanded_bytes(&self, packed: &[u8]) -> usize {
        packed
            .iter()
            .map(|&token| self.token_bytes.get(usize::from(token)).copied().unwrap_or(0))
            .sum()
    }

    /// Whether the letter of its type is a capital one.
    fn is_global(&self, packed: &[u8]) -> bool {
        let first = packed.iter().find_map(|&token| self.token(token).first());
        first.is_some_and(u8::is_ascii_uppercase)
    }

    fn token(&self, token: u8) -> &[u8] {
        self.tokens.get(usize::from(token)).map(Vec::as_slice).unwrap_or_default()
    }

    fn expand(&self, packed: &[u8], text: &mut Vec<u8>) {
        text.clear();
        for &token in packed {
            text.extend_from_slice(self.token(token));
        }
    }
}

/// The texts of all tokens.
fn tokens(
    translator: &Translator<'_>,
    index: VirtAddr,
    table: VirtAddr,
) -> Result<Vec<Vec<u8>>, Error> {
    let mut entries = VirtualReader::new(translator);
    let mut texts = VirtualReader::new(translator);
    let order = translator.layout().byte_order();
    let mut tokens = Vec::new();
    for nth in 0..TOKENS {
        let mut offset = [0; 2];
        let entry = index.wrapping_add(nth * 2);
        entries.read(entry, &mut offset).map_err(Error::unreadable("kallsyms_token_index"))?;
        let mut at = table.wrapping_add(order.read_u16(offset).into());
        let mut text = Vec::new();
        loop {
            let mut byte = [0; 1];
            texts.read(at, &mut byte).map_err(Error::unreadable("kallsyms_token_table"))?;
            if byte == [0] {
                break;
            }
            text.push(byte[0]);
            at = at.wrapping_add(1);
            if text.len() > MAX_TEXT_BYTES {
                let why = format!("token {nth} has more than {MAX_TEXT_BYTES} characters");
                return Err(Error::implausible("kallsyms_token_table", why));
            }
        }
        tokens.push(text);
    }
    Ok(tokens)
}
