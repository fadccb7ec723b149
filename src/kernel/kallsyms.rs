//! The kernel's symbol table: the addresses of its symbols by name.
//!
//! ```text
//! kallsyms_names:        kallsyms_num_syms times: a length, that many tokens
//! kallsyms_token_index:  256 times u16: where the text of a token begins in kallsyms_token_table
//! kallsyms_token_table:  the texts, each with a NUL at its end
//! kallsyms_offsets:      kallsyms_num_syms times u32: the address, see `AddressEncoding`
//! ```
//!
//! The first character of a symbol's text is its type, as nm prints it. VMCOREINFO has the tables'
//! addresses since 6.0 (5fd8fea935a1). Source: kernel/kallsyms.c, scripts/kallsyms.c.

use crate::kernel::error::Error;
use crate::kernel::translate::{Kernel, Translator};
use crate::kernel::virtual_reader::VirtualReader;
use crate::pages::{Position, VirtAddr};

/// Number of tokens: one for each value of a byte.
const TOKENS: usize = 256;

/// Maximum symbols: ten times as many as a kernel with all modules built in has.
const MAX_SYMBOLS: u64 = 1 << 24;

/// Maximum characters of a symbol's text: the type and KSYM_NAME_LEN, 512 since 6.1 (b8a94bfb3395).
const MAX_TEXT_BYTES: usize = 513;

/// Minimum bytes of a symbol: a length, a token, an offset.
const MIN_SYMBOL_BYTES: u64 = 6;

/// The symbol whose address VMCOREINFO confirms.
const KNOWN: &str = "_stext";

/// Among which symbols one is looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scope {
    /// Those that the whole kernel sees.
    Global,
    /// Text, also of one source file alone.
    Functions,
}

impl Scope {
    /// Whether it has symbols of this type, as nm prints it: a capital letter is global.
    fn has(self, letter: u8) -> bool {
        match self {
            Scope::Global => letter.is_ascii_uppercase(),
            Scope::Functions => matches!(letter, b'T' | b't'),
        }
    }
}

/// How entries of kallsyms_offsets encode addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum AddressEncoding {
    /// Unsigned, relative to kallsyms_relative_base (since 4.6).
    FromBase { base: VirtAddr },
    /// Negative ones relative to kallsyms_relative_base, others absolute: x86_64 with SMP before 6.15
    /// (CONFIG_KALLSYMS_ABSOLUTE_PERCPU).
    NegativeFromBase { base: VirtAddr },
    /// Signed, relative to the entry itself: without a kallsyms_relative_base.
    FromEntry,
}

impl AddressEncoding {
    fn address(self, entry_at: VirtAddr, entry: u32) -> VirtAddr {
        // The sign-extended entry, in two's complement of 64 bits.
        let signed = u64::from(entry).wrapping_sub(u64::from(entry >> 31) << 32);
        match self {
            AddressEncoding::FromBase { base } => base.wrapping_add(entry.into()),
            AddressEncoding::NegativeFromBase { .. } if signed >> 63 == 0 => VirtAddr::new(signed),
            // base - 1 - signed, and -1 - signed is !signed.
            AddressEncoding::NegativeFromBase { base } => base.wrapping_add(!signed),
            AddressEncoding::FromEntry => entry_at.wrapping_add(signed),
        }
    }
}

/// A kernel's symbol table.
#[derive(Debug)]
pub(crate) struct Kallsyms<'t, 'a> {
    kernel: &'t Kernel<'a>,
    translator: &'t Translator<'a>,
    names: VirtAddr,
    offsets: VirtAddr,
    count: u64,
    relative_base: Option<VirtAddr>,
    tokens: [Vec<u8>; TOKENS],
    /// The length of each token.
    token_bytes: [usize; TOKENS],
}

impl<'t, 'a> Kallsyms<'t, 'a> {
    /// Finds the tables and reads the tokens.
    ///
    /// # Errors
    /// [`Error`] if VMCOREINFO lacks a table, or one cannot be read or is implausible.
    pub(crate) fn open(
        kernel: &'t Kernel<'a>,
        translator: &'t Translator<'a>,
    ) -> Result<Self, Error> {
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
        let mut token_bytes = [0; TOKENS];
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

    /// The addresses of global symbols; `None` for a name that no symbol has.
    ///
    /// # Errors
    /// As [`find_in`](Self::find_in).
    pub(crate) fn find(&self, names: &[&str]) -> Result<Vec<Option<VirtAddr>>, Error> {
        let wanted: Vec<_> = names.iter().map(|&name| (Scope::Global, name)).collect();
        self.find_in(&wanted)
    }

    /// The addresses of symbols, each in a scope; `None` for a name that no symbol there has.
    ///
    /// # Errors
    /// [`Error`] if a table cannot be read or is implausible: `_stext` must be where VMCOREINFO has
    /// it.
    pub(crate) fn find_in(&self, wanted: &[(Scope, &str)]) -> Result<Vec<Option<VirtAddr>>, Error> {
        let wanted = [wanted, &[(Scope::Global, KNOWN)]].concat();
        let mut found = self.indices(&wanted)?;
        let stext = self.kernel.info.require_symbol(KNOWN)?;
        let of_stext = found
            .pop()
            .flatten()
            .ok_or_else(|| Error::implausible("kallsyms_names", "no symbol is named _stext"))?;
        let encoding = self.encoding(of_stext, stext)?;
        let mut all = Vec::new();
        for index in found {
            all.push(match index {
                Some(index) => Some(self.address(encoding, index)?),
                None => None,
            });
        }
        Ok(all)
    }

    /// The encoding that puts symbol `index` at its known address.
    fn encoding(&self, index: u64, known: VirtAddr) -> Result<AddressEncoding, Error> {
        let encodings = match self.relative_base {
            Some(base) => {
                vec![AddressEncoding::FromBase { base }, AddressEncoding::NegativeFromBase { base }]
            }
            None => vec![AddressEncoding::FromEntry],
        };
        let mut elsewhere = None;
        for encoding in encodings {
            let found = self.address(encoding, index)?;
            if found == known {
                return Ok(encoding);
            }
            elsewhere.get_or_insert(found);
        }
        let elsewhere = elsewhere.unwrap_or(VirtAddr::ZERO);
        Err(Error::implausible(
            "kallsyms_offsets",
            format!("_stext is at {elsewhere:#x} by it, but at {known:#x} by VMCOREINFO"),
        ))
    }

    fn address(&self, encoding: AddressEncoding, index: u64) -> Result<VirtAddr, Error> {
        let at = self.offsets.wrapping_add(index * 4);
        let entry = self.translator.read_u32(at).map_err(Error::unreadable("kallsyms_offsets"))?;
        let address = encoding.address(at, entry);
        // On a 32-bit kernel sums wrap at 32 bits.
        let is_32bit = self.kernel.layout.long_bytes() == 4;
        Ok(if is_32bit { VirtAddr::new(address.get() & 0xffff_ffff) } else { address })
    }

    /// The index of the first symbol of each name in its scope.
    fn indices(&self, wanted: &[(Scope, &str)]) -> Result<Vec<Option<u64>>, Error> {
        let mut found = vec![None; wanted.len()];
        let mut left = wanted.len();
        let filter = Filter::new(wanted);
        let mut reader = VirtualReader::new(self.translator);
        let mut at = self.names;
        let (mut packed, mut text) = (Vec::new(), Vec::new());
        for index in 0..self.count {
            // Most names are local or of another length: skip them without a copy.
            if let Some(bytes) = self.skippable(reader.cached(at), &filter) {
                at = at.wrapping_add(bytes as u64);
                continue;
            }
            at = self.next_name(&mut reader, at, &mut packed)?;
            let bytes = self.expanded_bytes(&packed);
            if bytes > MAX_TEXT_BYTES {
                let why = format!("symbol {index} has more than {MAX_TEXT_BYTES} characters");
                return Err(Error::implausible("kallsyms_names", why));
            }
            if !filter.may_have(self.letter(&packed), bytes) {
                continue;
            }
            self.expand(&packed, &mut text);
            let Some((&letter, name)) = text.split_first() else { continue };
            let is_it =
                |(scope, wanted): &(Scope, &str)| scope.has(letter) && wanted.as_bytes() == name;
            for (slot, _) in found.iter_mut().zip(wanted).filter(|(_, wanted)| is_it(wanted)) {
                // Of several symbols with one name the first counts.
                if slot.is_none() {
                    *slot = Some(index);
                    left -= 1;
                }
            }
            if left == 0 {
                break;
            }
        }
        Ok(found)
    }

    /// Reads the tokens of the name at `at`; returns where the next one is.
    fn next_name(
        &self,
        reader: &mut VirtualReader<'_, '_>,
        at: VirtAddr,
        packed: &mut Vec<u8>,
    ) -> Result<VirtAddr, Error> {
        let mut byte = [0; 1];
        let cannot = || Error::unreadable("kallsyms_names");
        reader.read(at, &mut byte).map_err(cannot())?;
        let (mut length, mut start) = (usize::from(byte[0]), at.wrapping_add(1));
        // Since 6.1 (73bbb94466fd) a length of 128 or more has its low 7 bits here, the others in the
        // next byte.
        if length >= 128 {
            reader.read(start, &mut byte).map_err(cannot())?;
            length = (length & 0x7f) | usize::from(byte[0]) << 7;
            start = start.wrapping_add(1);
        }
        if length == 0 || length > MAX_TEXT_BYTES {
            let why = format!("the name at {at:#x} has {length} tokens");
            return Err(Error::implausible("kallsyms_names", why));
        }
        packed.resize(length, 0);
        reader.read(start, packed).map_err(cannot())?;
        Ok(start.wrapping_add(length as u64))
    }

    /// How many bytes the name at the start of `names` takes, if `names` has all of it and it is not
    /// one that is looked for.
    fn skippable(&self, names: &[u8], filter: &Filter) -> Option<usize> {
        let (&length, rest) =
            names.split_first().filter(|(length, _)| (1..128).contains(*length))?;
        let packed = rest.get(..usize::from(length))?;
        let letter = self.letter(packed);
        // Most symbols have a letter that is not looked for: their lengths do not matter.
        let is_wanted = filter.has_letter(letter) && {
            let bytes = self.expanded_bytes(packed);
            bytes > MAX_TEXT_BYTES || filter.may_have(letter, bytes)
        };
        (!is_wanted).then_some(usize::from(length) + 1)
    }

    /// The length of a name, with the letter of its type.
    #[expect(clippy::indexing_slicing, reason = "a byte cannot exceed the table")]
    fn expanded_bytes(&self, packed: &[u8]) -> usize {
        packed.iter().map(|&token| self.token_bytes[usize::from(token)]).sum()
    }

    /// The letter of a symbol's type; 0 if its text is empty.
    fn letter(&self, packed: &[u8]) -> u8 {
        let first = packed.first().and_then(|&token| self.token(token).first());
        // No token is empty in a sound table; in another, the letter may be in a later one.
        let first = first.or_else(|| packed.iter().find_map(|&token| self.token(token).first()));
        first.copied().unwrap_or(0)
    }

    #[expect(clippy::indexing_slicing, reason = "a byte cannot exceed the table")]
    fn token(&self, token: u8) -> &[u8] {
        &self.tokens[usize::from(token)]
    }

    fn expand(&self, packed: &[u8], text: &mut Vec<u8>) {
        text.clear();
        for &token in packed {
            text.extend_from_slice(self.token(token));
        }
    }
}

/// Which symbols may be wanted: by the letter of their type, and by their length.
struct Filter {
    has_functions: bool,
    /// For each length of a text.
    is_wanted: Vec<bool>,
}

impl Filter {
    fn new(wanted: &[(Scope, &str)]) -> Self {
        let mut is_wanted = vec![false; MAX_TEXT_BYTES + 1];
        for (_, name) in wanted {
            // The letter comes before the name.
            if let Some(is_wanted) = is_wanted.get_mut(name.len() + 1) {
                *is_wanted = true;
            }
        }
        let has_functions = wanted.iter().any(|(scope, _)| *scope == Scope::Functions);
        Filter { has_functions, is_wanted }
    }

    fn has_letter(&self, letter: u8) -> bool {
        Scope::Global.has(letter) || self.has_functions && Scope::Functions.has(letter)
    }

    fn may_have(&self, letter: u8, bytes: usize) -> bool {
        self.has_letter(letter) && self.is_wanted.get(bytes).is_some_and(|is_wanted| *is_wanted)
    }
}

/// Reads the texts of all tokens.
fn tokens(
    translator: &Translator<'_>,
    index: VirtAddr,
    table: VirtAddr,
) -> Result<[Vec<u8>; TOKENS], Error> {
    let mut entries = VirtualReader::new(translator);
    let mut texts = VirtualReader::new(translator);
    let order = translator.layout().byte_order();
    let mut tokens = [const { Vec::new() }; TOKENS];
    for (nth, text) in (0u64..).zip(&mut tokens) {
        let mut offset = [0; 2];
        let entry = index.wrapping_add(nth * 2);
        entries.read(entry, &mut offset).map_err(Error::unreadable("kallsyms_token_index"))?;
        let mut at = table.wrapping_add(order.read_u16(offset).into());
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
    }
    Ok(tokens)
}
