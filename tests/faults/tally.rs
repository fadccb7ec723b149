//! What was tried and what became of it, in numbers.

use std::collections::BTreeMap;
use std::fmt::Write;

/// How a run that was disturbed ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Exit code 0 and the same bytes.
    Survived,
    /// It says what failed, and an incomplete dump is there.
    KeptIncomplete,
    /// It says what failed, and nothing is there, or what says itself that it is cut off.
    Nothing,
}

#[derive(Debug, Clone, Copy, Default)]
struct Counts {
    survived: u32,
    kept: u32,
    nothing: u32,
    lost: u32,
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
                Ok(Verdict::Nothing) => counts.nothing += 1,
                Err(_) => counts.lost += 1,
            }
        }
        self.lost.extend(verdict.err());
    }

    pub fn injected(&self) -> u32 {
        self.by_case.values().map(|c| c.survived + c.kept + c.nothing + c.lost).sum()
    }

    /// The totals, as a table with the sum at its end.
    pub fn table(&self, what: &str) -> String {
        let mut text = String::new();
        let mut sum = Counts::default();
        for part in [&self.by_case, &self.by_fault] {
            sum = Counts::default();
            for (name, counts) in part {
                let Counts { survived, kept, nothing, lost } = *counts;
                let all = survived + kept + nothing + lost;
                let told = kept + nothing;
                writeln!(
                    text,
                    "{what}: {name:<44} {all:>6} injected, {survived:>6} survived, {told:>6} told \
                     ({kept} kept incomplete, {nothing} nothing), {lost} lost"
                )
                .unwrap();
                sum.survived += survived;
                sum.kept += kept;
                sum.nothing += nothing;
                sum.lost += lost;
            }
        }
        let Counts { survived, kept, nothing, lost } = sum;
        let (all, told) = (survived + kept + nothing + lost, kept + nothing);
        writeln!(
            text,
            "{what}: {all} injected, {survived} survived (exit 0, same bytes), {told} told (kept \
             incomplete {kept}, nothing written {nothing}), lost = {lost}"
        )
        .unwrap();
        text
    }
}
