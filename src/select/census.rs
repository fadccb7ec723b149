//! How many pages of each class a memory has.

use crate::format::dump_level::DumpLevel;

/// What the kernel uses a page for, as far as dumps tell classes apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// Free: in the buddy allocator, or not accepted from the hypervisor yet.
    Free,
    /// Page cache without private data (level bit 2).
    Cache,
    /// Page cache with private data (level bit 4).
    PrivateCache,
    /// Anonymous memory and huge pages of processes (level bit 8).
    User,
    /// Poisoned by a hardware error; left out at every level.
    Hwpoison,
    /// Logically offline, such as a balloon's; left out at every level.
    Offline,
}

impl Class {
    /// All of them, in the order in which a page is held against them.
    pub const ALL: [Class; 6] = [
        Class::Free,
        Class::Cache,
        Class::PrivateCache,
        Class::User,
        Class::Hwpoison,
        Class::Offline,
    ];

    /// Its name on the command line and in reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Class::Free => "free",
            Class::Cache => "cache",
            Class::PrivateCache => "private-cache",
            Class::User => "user",
            Class::Hwpoison => "hwpoison",
            Class::Offline => "offline",
        }
    }

    /// Whether a level asks for it to be left out; 4 is "also the private cache".
    #[must_use]
    pub fn is_left_out_by(self, level: DumpLevel) -> bool {
        let also = if self == Class::Cache { Class::PrivateCache.level_bit() } else { None };
        let bits = [self.level_bit(), also];
        self.level_bit().is_none() || bits.into_iter().flatten().any(|bit| level.bits() & bit != 0)
    }

    /// Its bit in the dump level; none where it is left out at every level.
    #[must_use]
    pub fn level_bit(self) -> Option<u32> {
        match self {
            Class::Cache => Some(2),
            Class::PrivateCache => Some(4),
            Class::User => Some(8),
            Class::Free => Some(16),
            Class::Hwpoison | Class::Offline => None,
        }
    }
}

/// One class of a census.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Share {
    /// Which one.
    pub class: Class,
    /// Pages of it that the input has, whether they are left out or not.
    pub pages: u64,
    /// Pages of it that are left out.
    pub excluded: u64,
    /// Why the class cannot be told, or is not trusted.
    pub off: Option<String>,
}

/// The pages of a dump by class.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Census {
    /// Each class, in the order of [`Class::ALL`]; empty when nothing was looked at.
    pub shares: Vec<Share>,
    /// Struct pages that were looked at: pages of the input that have one.
    pub struct_pages: u64,
    /// Pages of the input whose struct page is not there or cannot be read; they are kept.
    pub unknown: u64,
    /// Pages that the input has.
    pub pages: u64,
}

impl Census {
    /// The share of a class.
    #[must_use]
    pub fn share(&self, class: Class) -> Option<&Share> {
        self.shares.iter().find(|share| share.class == class)
    }

    /// Why those classes are off that `which` wants, each reason once with the names of all of its
    /// classes.
    pub fn reasons(&self, which: impl Fn(&Share) -> bool) -> Vec<(Vec<&'static str>, &str)> {
        let mut reasons: Vec<(Vec<&'static str>, &str)> = Vec::new();
        for share in self.shares.iter().filter(|share| which(share)) {
            let Some(why) = share.off.as_deref() else { continue };
            match reasons.iter_mut().find(|(_, other)| *other == why) {
                Some((names, _)) => names.push(share.class.name()),
                None => reasons.push((vec![share.class.name()], why)),
            }
        }
        reasons
    }

    /// Pages that are left out.
    #[must_use]
    pub fn excluded(&self) -> u64 {
        self.shares.iter().map(|share| share.excluded).sum()
    }

    /// Pages of no class: the kernel's own, and those that are not known.
    #[must_use]
    pub fn others(&self) -> u64 {
        let classed: u64 = self.shares.iter().map(|share| share.pages).sum();
        self.pages.saturating_sub(classed)
    }
}
