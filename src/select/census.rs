//! How many pages of each class a dump has.

use super::class::Class;

/// One class of a census.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ClassCount {
    /// The class.
    pub class: Class,
    /// Pages of the class that the input has, excluded or not.
    pub pages: u64,
    /// Excluded pages: those of the class, and pages counted in a class before it that it excludes.
    pub excluded: u64,
    /// Why the class is disabled, if it is: its pages cannot be identified, or its evidence
    /// contradicts itself. Then no page counts as one of the class.
    pub disabled: Option<String>,
}

impl ClassCount {
    /// The count of a class that is not disabled.
    #[must_use]
    pub fn new(class: Class, pages: u64, excluded: u64) -> Self {
        ClassCount { class, pages, excluded, disabled: None }
    }

    /// A disabled class, and why it is.
    #[must_use]
    pub fn disabled(class: Class, why: String) -> Self {
        ClassCount { class, pages: 0, excluded: 0, disabled: Some(why) }
    }
}

/// The pages of a dump by class.
///
/// A page counts once, in the first class of [`Class::ALL`] that matches.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Census {
    /// Each class, in the order of [`Class::ALL`]; empty when no selection was asked for.
    pub classes: Vec<ClassCount>,
    /// Pages of classes that are excluded, kept because of [`SelectRequest::keep`].
    ///
    /// [`SelectRequest::keep`]: crate::SelectRequest::keep
    pub kept_on_request: u64,
    /// Pages of the input whose struct page was read.
    pub struct_pages: u64,
    /// Pages of the input without a struct page that can be read; they are kept.
    pub unknown: u64,
    /// Pages of the input.
    pub pages: u64,
}

impl Census {
    /// The count of a class.
    #[must_use]
    pub fn class(&self, class: Class) -> Option<&ClassCount> {
        self.classes.iter().find(|count| count.class == class)
    }

    /// Why classes are disabled, of those that `filter` accepts: each reason once, with the names
    /// of all classes that it disables.
    pub fn disable_reasons(
        &self,
        filter: impl Fn(&ClassCount) -> bool,
    ) -> Vec<(Vec<&'static str>, &str)> {
        let mut reasons: Vec<(Vec<&'static str>, &str)> = Vec::new();
        for count in self.classes.iter().filter(|count| filter(count)) {
            let Some(why) = count.disabled.as_deref() else { continue };
            match reasons.iter_mut().find(|(_, other)| *other == why) {
                Some((names, _)) => names.push(count.class.name()),
                None => reasons.push((vec![count.class.name()], why)),
            }
        }
        reasons
    }

    /// Which classes with a level bit have pages that cannot be identified, of those that `filter`
    /// accepts, and why.
    pub(crate) fn unidentified(&self, filter: impl Fn(&ClassCount) -> bool) -> Vec<String> {
        let reasons =
            self.disable_reasons(|count| count.class.level_bit().is_some() && filter(count));
        let line = |(names, why): (Vec<&str>, &str)| {
            format!("{} pages cannot be identified: {why}", names.join(", "))
        };
        reasons.into_iter().map(line).collect()
    }

    /// Excluded pages of all classes.
    #[must_use]
    pub fn excluded(&self) -> u64 {
        self.classes.iter().map(|count| count.excluded).sum()
    }

    /// Pages of no class: other pages of the kernel, and those counted in `unknown`.
    #[must_use]
    pub fn unclassified(&self) -> u64 {
        let classified: u64 = self.classes.iter().map(|count| count.pages).sum();
        self.pages.saturating_sub(classified)
    }
}
