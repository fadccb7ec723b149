//! The kernel's own types: the BTF that the kernel keeps in its memory for BPF programs.
//!
//! ```text
//! btf_header                magic, and where the sections are, counted from the header's end
//! types: btf_type, ...      the first is type 1; each is followed by what its kind adds, see `records`
//! strings: "\0name\0..."    a btf_type's name_off is an offset in them; 0 stands for no name
//! layout: btf_layout, ...   since 7.3: what each kind adds, so that unknown kinds can be skipped
//! ```
//!
//! Where it lies in memory, and what is read by means of it, may not be in this folder. Kernels have
//! it with CONFIG_DEBUG_INFO_BTF since 5.2. Source: include/uapi/linux/btf.h.

mod records;

use std::collections::HashSet;
use std::ops::Range;

use crate::format::wire::ByteOrder;
use crate::kernel::error::Error;
use crate::kernel::translate::Translator;
use crate::pages::{Position, VirtAddr, VirtRange, in_memory};
use records::{Kind, Records, Type};

/// Maximum bytes: twice as many as the largest kernels have, and so many that the index takes no more
/// than a third of it.
const MAX_BYTES: u64 = 16 << 20;

/// Bytes of a name that its hash is of.
const HASHED_BYTES: usize = 64;

/// Maximum typedefs, qualifiers and arrays around a struct.
const MAX_WRAPPERS: usize = 32;

/// The types of a kernel.
#[derive(Debug)]
pub(crate) struct Btf {
    records: Records,
    /// Where each type begins; that of type 1 is the first.
    types: Vec<u32>,
    /// The named structs, unions and enums among them.
    named: Vec<Named>,
}

/// A type that can be looked up by its name.
#[derive(Debug, Clone, Copy)]
struct Named {
    at: u32,
    /// So that of ten thousand names hardly one is compared.
    hash: u32,
}

impl Btf {
    /// Reads the BTF at these addresses.
    ///
    /// # Errors
    /// [`Error`] if it cannot be read, or is not BTF.
    pub(crate) fn read(translator: &Translator<'_>, vaddrs: VirtRange) -> Result<Self, Error> {
        let max_bytes = MAX_BYTES.min(translator.memory().readable_bytes());
        if vaddrs.len() > max_bytes {
            let why = format!("{} bytes, where at most {max_bytes} are plausible", vaddrs.len());
            return Err(Error::implausible("BTF", why));
        }
        let mut bytes = vec![0; in_memory(vaddrs.len())];
        translator.read(vaddrs.start, &mut bytes).map_err(Error::unreadable("BTF"))?;
        Self::parse(bytes, translator.layout().byte_order())
    }

    /// The bytes that BTF begins with.
    pub(crate) fn magic(order: ByteOrder) -> [u8; 4] {
        records::magic(order)
    }

    /// Reads the BTF that begins at an address and is as long as its header says.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub(crate) fn read_from(translator: &Translator<'_>, vaddr: VirtAddr) -> Result<Self, Error> {
        let mut start = [0; records::LAYOUT_HEADER_BYTES];
        translator.read(vaddr, &mut start).map_err(Error::unreadable("BTF"))?;
        let length = records::length(&start, translator.layout().byte_order());
        Self::read(translator, VirtRange::new(vaddr, vaddr.saturating_add(length)))
    }

    /// Finds the types in `bytes`.
    ///
    /// # Errors
    /// [`Error::Implausible`] if that is not BTF.
    pub(crate) fn parse(bytes: Vec<u8>, order: ByteOrder) -> Result<Self, Error> {
        let records = Records::of(bytes, order)?;
        let (mut types, mut named) = (Vec::new(), Vec::new());
        let Range { start: mut at, end } = records.types();
        while at < end {
            let record = records.type_at(at)?;
            if record.end > end {
                let why = format!("the type at offset {at:#x} ends after all types");
                return Err(Error::implausible("BTF", why));
            }
            // Offsets are less than MAX_BYTES.
            let start = u32::try_from(at).unwrap_or(u32::MAX);
            types.push(start);
            if matches!(record.kind, Kind::STRUCT | Kind::UNION | Kind::ENUM | Kind::ENUM64)
                && record.name != 0
            {
                named.push(Named { at: start, hash: hash(records.strings_from(record.name)) });
            }
            at = record.end;
        }
        Ok(Btf { records, types, named })
    }

    /// The size in bytes of a struct or union.
    pub(crate) fn struct_size(&self, name: &str) -> Option<u64> {
        self.named(name, Kind::is_aggregate).map(|found| found.size_or_type.into())
    }

    /// The number of elements of a member that is an array, such as `free_area` of `zone`.
    pub(crate) fn member_length(&self, name: &str, member: &str) -> Option<u64> {
        let (_, type_id) = self.member(&self.named(name, Kind::is_aggregate)?, member)?;
        let array = self.unwrapped(type_id, |kind| kind == Kind::ARRAY)?;
        self.records.element_count(&array).map(u64::from)
    }

    /// The offset in bytes of a member, such as `tasks.next` of `task_struct`. Members of anonymous
    /// structs and unions are those of the struct around them; an array stands for its first element.
    /// `None` if there is no such member, or it is a bit field.
    pub(crate) fn member_offset(&self, name: &str, path: &str) -> Option<u64> {
        let mut inside = self.named(name, Kind::is_aggregate)?;
        let mut steps = path.split('.');
        let (mut bits, mut type_id) = self.member(&inside, steps.next()?)?;
        for step in steps {
            inside = self.aggregate(type_id)?;
            let (more, member_type) = self.member(&inside, step)?;
            (bits, type_id) = (bits + more, member_type);
        }
        (bits % 8 == 0).then_some(bits / 8)
    }

    /// The value of an enumerator, such as `PIDTYPE_PID` of `pid_type`: its 64 bits, in two's
    /// complement.
    pub(crate) fn enum_value(&self, name: &str, enumerator: &str) -> Option<u64> {
        let found = self.named(name, Kind::is_enum)?;
        self.records
            .enumerators(&found)
            .find_map(|(name, value)| self.records.is_named(name, enumerator).then_some(value))
    }

    /// The first type of this name and of a wanted kind.
    fn named(&self, name: &str, is_wanted: impl Fn(Kind) -> bool) -> Option<Type> {
        let hash = hash(name.as_bytes());
        let alike = self.named.iter().filter(|named| named.hash == hash);
        let mut types = alike.filter_map(|named| self.records.type_at(named.at as usize).ok());
        types.find(|found| is_wanted(found.kind) && self.records.is_named(found.name, name))
    }

    /// The struct or union that type `id` is, without typedefs, qualifiers and arrays.
    fn aggregate(&self, id: u32) -> Option<Type> {
        self.unwrapped(id, Kind::is_aggregate)
    }

    /// The first type of a wanted kind that type `id` is, without typedefs, qualifiers and arrays around
    /// it.
    fn unwrapped(&self, id: u32, is_wanted: impl Fn(Kind) -> bool) -> Option<Type> {
        let mut id = id;
        for _ in 0..MAX_WRAPPERS {
            let index = usize::try_from(id).ok()?.checked_sub(1)?;
            let found = self.records.type_at(*self.types.get(index)? as usize).ok()?;
            match found.kind {
                kind if is_wanted(kind) => return Some(found),
                Kind::ARRAY => id = self.records.element_type(&found)?,
                kind if kind.is_wrapper() => id = found.size_or_type,
                _ => return None,
            }
        }
        None
    }

    /// The offset in bits and the type of a member of a struct, or of an anonymous one in it.
    fn member(&self, of: &Type, name: &str) -> Option<(u64, u32)> {
        let mut left = vec![(*of, 0)];
        // A struct cannot contain itself, but these may seem to.
        let mut seen = HashSet::from([of.end]);
        while let Some((inside, base)) = left.pop() {
            for member in self.records.members(&inside) {
                if self.records.is_named(member.name, name) {
                    return (!member.is_bit_field).then_some((base + member.bits, member.type_id));
                }
                let anonymous =
                    if member.name == 0 { self.aggregate(member.type_id) } else { None };
                if let Some(anonymous) = anonymous.filter(|found| seen.insert(found.end)) {
                    left.push((anonymous, base + member.bits));
                }
            }
        }
        None
    }
}

/// FNV-1a of a name that may have a NUL after it: of its first bytes, for it may also have no end.
fn hash(name: &[u8]) -> u32 {
    let bytes = name.iter().take(HASHED_BYTES).take_while(|&&byte| byte != 0);
    bytes.fold(0x811c_9dc5, |hash, &byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}
