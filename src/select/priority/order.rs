//! The order of the pages of a dump: step by step, in ascending order within each step.

use std::collections::VecDeque;

use super::Priority;
use crate::dump::{Dump, Runs};
use crate::format::dump_level::DumpLevel;
use crate::pages::page_set::PageSet;
use crate::pages::page_values::PageValues;
use crate::pages::{Pfn, PfnRange, Position};

/// The order in which pages are written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PageOrder {
    /// The [`Priority`] of each page.
    values: PageValues,
    /// The priorities of each step, a bit for each.
    steps: Vec<u16>,
}

/// In which order the pages of a kdump file are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum WriteOrder {
    /// By page frame number: the input can only be read forwards, or its pages cannot be told apart.
    Pfn,
    /// What debuggers need first comes first.
    Priority,
}

/// A place in an order of pages: all pages before it are written, this one and all after it are not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct PagePosition {
    step: usize,
    pfn: Pfn,
}

impl PagePosition {
    /// Before the first page.
    pub(crate) const START: PagePosition = PagePosition { step: 0, pfn: Pfn::ZERO };

    /// The step that it is in.
    pub(crate) fn step(self) -> usize {
        self.step
    }

    /// Before the pages of `step` from `pfn` on.
    pub(crate) fn new(step: usize, pfn: Pfn) -> Self {
        PagePosition { step, pfn }
    }
}

impl Default for PageOrder {
    /// By page frame number alone.
    fn default() -> Self {
        PageOrder { values: PageValues::default(), steps: vec![u16::MAX] }
    }
}

impl PageOrder {
    /// The order of pages by their priorities.
    pub(in crate::select) fn new(values: PageValues) -> Self {
        let written = Priority::ALL.into_iter().filter(|one| *one != Priority::Excluded);
        PageOrder { values, steps: written.map(Priority::bit).collect() }
    }

    /// The same order, with the pages of all classes in one step. They are the most by far, and often
    /// alternate: in one sweep, their descriptors are written in large pieces.
    #[must_use]
    pub(crate) fn with_classes_together(mut self) -> Self {
        let is_class = |step: u16| {
            Priority::ALL
                .iter()
                .any(|priority| step & priority.bit() != 0 && priority.class().is_some())
        };
        let kernel = self.steps.iter().position(|&step| is_class(step));
        if let Some(kernel) = kernel.filter(|&kernel| kernel > 0) {
            let classes = self.steps.split_off(kernel);
            self.steps.push(classes.into_iter().fold(0, |all, step| all | step));
        }
        self
    }

    /// How the pages are put in order.
    pub(crate) fn kind(&self) -> WriteOrder {
        if self.steps.len() > 1 { WriteOrder::Priority } else { WriteOrder::Pfn }
    }

    /// How many steps there are.
    pub(crate) fn steps(&self) -> usize {
        self.steps.len()
    }

    /// After the last page.
    pub(crate) fn end(&self) -> PagePosition {
        PagePosition { step: self.steps.len(), pfn: Pfn::ZERO }
    }

    /// The pages of `dump` in `pfns` that are not excluded, from one position up to another: those of each
    /// step, in the order of the steps.
    pub(crate) fn between<'a>(
        &'a self,
        dump: &'a Dump,
        excluded: &'a PageSet,
        pfns: PfnRange,
        from: PagePosition,
        to: PagePosition,
    ) -> VecDeque<Runs<'a>> {
        let last = (to.step + 1).min(self.steps.len());
        let runs = |step| {
            let start = if step == from.step { from.pfn } else { Pfn::ZERO };
            let end = if step == to.step { to.pfn } else { Pfn::MAX };
            let wanted = self.steps.get(step).copied().unwrap_or(0);
            let pfns = PfnRange::new(start, end).intersection(pfns);
            self.runs(dump, excluded, pfns, wanted)
        };
        (from.step..last).map(runs).collect()
    }

    /// The pages of `pfns` with one of the `wanted` priorities.
    fn runs<'a>(
        &'a self,
        dump: &'a Dump,
        excluded: &'a PageSet,
        pfns: PfnRange,
        wanted: u16,
    ) -> Runs<'a> {
        let kept = dump.kept_within(pfns).flat_map(|run| excluded.gaps_within(run));
        if wanted == u16::MAX {
            return Box::new(kept);
        }
        Box::new(kept.flat_map(move |run| self.values.runs_within(run, wanted)))
    }

    /// The first `count` pages in this order, and the position after them.
    pub(crate) fn first(
        &self,
        dump: &Dump,
        excluded: &PageSet,
        count: u64,
    ) -> (PageSet, PagePosition) {
        let mut left = count;
        let mut position = self.end();
        'steps: for (step, runs) in
            (0..).zip(self.between(dump, excluded, PfnRange::ALL, PagePosition::START, self.end()))
        {
            for run in runs {
                if run.len() > left {
                    position = PagePosition { step, pfn: run.start + left };
                    break 'steps;
                }
                left -= run.len();
            }
        }
        let mask = |steps| self.steps.iter().take(steps).fold(0, |all, step| all | step);
        let (low, high) = (mask(position.step + 1), mask(position.step));
        let low = self.runs(dump, excluded, PfnRange::new(Pfn::ZERO, position.pfn), low);
        let high = self.runs(dump, excluded, PfnRange::new(position.pfn, Pfn::MAX), high);
        (PageSet::of_runs(low.chain(high)), position)
    }

    /// The step that page `pfn` is in.
    fn step_of(&self, pfn: Pfn) -> usize {
        let bit = 1 << self.values.value(pfn);
        let steps = self.steps.len();
        self.steps.iter().position(|step| step & bit != 0).unwrap_or(steps)
    }

    /// Whether page `pfn` is before `position`.
    pub(crate) fn is_before(&self, pfn: Pfn, position: PagePosition) -> bool {
        PagePosition { step: self.step_of(pfn), pfn } < position
    }

    /// The dump level that also excludes every class of which pages are at `position` or after it;
    /// `None` if pages of the kernel are among these.
    pub(crate) fn level_before(
        &self,
        dump: &Dump,
        excluded: &PageSet,
        position: PagePosition,
        level: DumpLevel,
    ) -> Option<DumpLevel> {
        let mut bits = 0;
        for (step, mut runs) in
            (position.step..).zip(self.between(dump, excluded, PfnRange::ALL, position, self.end()))
        {
            if runs.next().is_none() {
                continue;
            }
            let of_step = self.steps.get(step).copied().unwrap_or(0);
            for priority in Priority::ALL.iter().filter(|one| of_step & one.bit() != 0) {
                bits |= priority.class()?.level_bit()?;
            }
        }
        DumpLevel::new(level.bits() | bits)
    }
}
