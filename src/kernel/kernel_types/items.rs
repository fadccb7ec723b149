//! Items of VMCOREINFO by the kernel's types.
//!
//! BTF has structs with their members, and enums, but no macros: page types are in it since 6.11
//! (ff202303c398), of the sizes of memory sections it knows nothing.

use super::KernelTypes;
use crate::kernel::error::Error;
use crate::kernel::vmcoreinfo::{Item, ItemKind, Vmcoreinfo};

impl KernelTypes {
    /// The value that the item has by the types, if they have it.
    ///
    /// NUMBER(PG_NAME) and PAGE_NAME_MAPCOUNT_VALUE have one for every flag and type of a page,
    /// whether or not a kernel's VMCOREINFO might have the item.
    #[must_use]
    pub(crate) fn value(&self, item: &Item) -> Option<u64> {
        let name = item.name.as_str();
        let member = || name.split_once('.');
        match item.kind {
            ItemKind::Symbol => None,
            ItemKind::Size => self.btf.struct_size(name),
            ItemKind::Offset => member().and_then(|(of, path)| self.btf.member_offset(of, path)),
            ItemKind::Length => member().and_then(|(of, path)| self.btf.member_length(of, path)),
            ItemKind::Number => self.number(name),
        }
    }

    /// Ensures that VMCOREINFO and the types agree about an item, if both have it.
    ///
    /// # Errors
    /// [`Error::Disagreement`].
    pub(crate) fn confirm(&self, item: &Item, info: &Vmcoreinfo) -> Result<(), Error> {
        let values = info.value(item).zip(self.value(item));
        let Some((by_vmcoreinfo, by_types)) = values else { return Ok(()) };
        // 6.11 prints a type of pages as the unsigned int that it is in the enum.
        let is_int = type_of_pages(&item.name).is_some();
        let differing = by_vmcoreinfo ^ by_types;
        let differing = if is_int { differing & u64::from(u32::MAX) } else { differing };
        if differing == 0 {
            return Ok(());
        }
        Err(Error::Disagreement { item: item.clone(), by_vmcoreinfo, by_types })
    }

    fn number(&self, name: &str) -> Option<u64> {
        let of_type =
            name.strip_prefix("PAGE_").and_then(|name| name.strip_suffix("_MAPCOUNT_VALUE"));
        match (name, of_type) {
            (_, Some(of_type)) => self.mapcount_value(&of_type.to_ascii_lowercase()),
            ("PG_head_mask", _) => 1u64.checked_shl(u32::try_from(self.flag("PG_head")?).ok()?),
            ("HUGETLB_PAGE_DTOR", _) => self.btf.enum_value("compound_dtor_id", name),
            _ => self.flag(name),
        }
    }

    /// The number of a bit of `page.flags`.
    fn flag(&self, name: &str) -> Option<u64> {
        self.btf.enum_value("pageflags", name)
    }

    /// The number that `page._mapcount` has for a type of page, as `int`.
    fn mapcount_value(&self, of_type: &str) -> Option<u64> {
        let enumerator = |name: &str| self.btf.enum_value("pagetype", name);
        // Since 6.12 (4ffca5a96678) the number of the type, to be in the top byte; in 6.11 the bit
        // that is clear.
        let value = match enumerator(&format!("PGTY_{of_type}")) {
            Some(number) => number << 24,
            None => !enumerator(&format!("PG_{of_type}"))?,
        };
        let [.., a, b, c, d] = value.to_be_bytes();
        Some(0u64.wrapping_add_signed(i32::from_be_bytes([a, b, c, d]).into()))
    }
}

/// The type of pages that a number is of, such as `BUDDY`.
fn type_of_pages(number: &str) -> Option<&str> {
    number.strip_prefix("PAGE_")?.strip_suffix("_MAPCOUNT_VALUE")
}
