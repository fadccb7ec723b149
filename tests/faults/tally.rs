//! Counts the faults and their outcomes.

use std::collections::BTreeMap;
use std::fmt::Write;

/// The outcome of a disturbed run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Exit code 0 and the same bytes.
    Survived,
    /// An error message, and an incomplete dump is kept.
    KeptIncomplete,
    /// A message, and the dump is complete for a higher dump level than was asked for.
    Reduced,
    /// A warning, and the dump is complete but has pages that the dump level excludes.
    KeptMore,
    /// An error message, and no file or one that is recognisably cut.
    Nothing,
}

#[derive(Debug, Clone, Copy, Default)]
struct Counts {
    survived: u32,
    kept: u32,
    reduced: u32,
    more: u32,
    nothing: u32,
    lost: u32,
}

impl Counts {
    fn told(&self) -> u32 {
        self.kept + self.reduced + self.more + self.nothing
    }

    fn all(&self) -> u32 {
        self.survived + self.told() + self.lost
    }

    fn add(&mut self, other: &Counts) {
        self.survived += other.survived;
        self.kept += other.kept;
        self.reduced += other.reduced;
        self.more += other.more;
        self.nothing += other.nothing;
        self.lost += other.lost;
    }
}

/// Counts by fault and by case.
#[derive(Debug, Default)]
pub struct Tally {
    by_fault: BTreeMap<String, Counts>,
    by_case: BTreeMap<String, Counts>,
    pub lost: Vec<String>,
}

impl Tally {
    pub fn add(&mut self, case: &str, fault: &str, verdict: Result<Verdict, String>) {
        let by_fault = self.by_fault.entry(fault.to_owned()).or_default();
        let by_case = self.by_case.entry(case.to_owned()).or_default();
        for counts in [by_fault, by_case] {
            match verdict {
                Ok(Verdict::Survived) => counts.survived += 1,
                Ok(Verdict::KeptIncomplete) => counts.kept += 1,
                Ok(Verdict::Reduced) => counts.reduced += 1,
                Ok(Verdict::KeptMore) => counts.more += 1,
                Ok(Verdict::Nothing) => counts.nothing += 1,
                Err(_) => counts.lost += 1,
            }
        }
        if let Err(why) = verdict {
            // At once: all faults take many minutes.
            crate::command::say(&format!("lost: {why}\n"));
            self.lost.push(why);
        }
    }

    pub fn injected(&self) -> u32 {
        self.by_case.values().map(Counts::all).sum()
    }

    /// The totals, as a table with the sum at its end.
    pub fn table(&self, what: &str) -> String {
        let mut text = String::new();
        let mut sum = Counts::default();
        for part in [&self.by_case, &self.by_fault] {
            sum = Counts::default();
            for (name, counts) in part {
                let Counts { survived, kept, reduced, more, nothing, lost } = *counts;
                let (all, told) = (counts.all(), counts.told());
                writeln!(
                    text,
                    "{what}: {name:<44} {all:>6} injected, {survived:>6} survived, {told:>6} told \
                     ({kept} kept incomplete, {reduced} of a higher level, {more} with more pages, \
                     {nothing} nothing), {lost} lost"
                )
                .unwrap();
                sum.add(counts);
            }
        }
        let Counts { survived, kept, reduced, more, nothing, lost } = sum;
        let (all, told) = (sum.all(), sum.told());
        writeln!(
            text,
            "{what}: {all} injected, {survived} survived (exit 0, same bytes), {told} told (kept \
             incomplete {kept}, complete for a higher level {reduced}, complete with more pages {more}, \
             nothing written {nothing}), lost = {lost}"
        )
        .unwrap();
        text
    }
}
