//! How many pages of each class a memory has.

use super::class::Class;

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
