//! VMCORE, the dump to compare with.

use std::path::Path;

use kdumpconv::{Dump, Input, PageSize};

use crate::cli::args::shared_args::{DumpArgs, InputArgs, OpenArgs};
use crate::cli::exit::Usage;
use crate::cli::job::Job;

/// The dump to compare with, once it was opened.
pub(super) struct Source {
    args: DumpArgs,
    opened: Option<Dump>,
}

impl Source {
    /// The dump at `path`, to be opened as the dumps of `opening` are.
    ///
    /// # Errors
    /// [`Usage`] if standard input, or another pipe, would be read more than once.
    pub(super) fn of(path: &Path, opening: &OpenArgs, dumps: &[DumpArgs]) -> Result<Self, Usage> {
        let input = InputArgs::of(path);
        let is_pipe = input.path().is_none_or(Input::is_pipe);
        if is_pipe && dumps.len() > 1 {
            return Err(Usage("--against: a pipe can be compared with one dump only"));
        }
        if input.path().is_none() && dumps.iter().any(|dump| dump.input.path().is_none()) {
            return Err(Usage("standard input can be read only once"));
        }
        let opening = OpenArgs { part: Vec::new(), ..opening.clone() };
        Ok(Source { args: DumpArgs { input, opening }, opened: None })
    }

    /// Opens it for a dump with pages of `page_size`, unless it is open already and can be read
    /// again.
    ///
    /// # Errors
    /// Why it cannot be opened.
    pub(super) fn open(&mut self, job: &Job, page_size: PageSize) -> anyhow::Result<&Dump> {
        let is_first = self.opened.is_none();
        let can_be_read_again = |dump: &Dump| !dump.is_sequential();
        let dump = match self.opened.take() {
            Some(dump) if can_be_read_again(&dump) && dump.page_size() == page_size => dump,
            _ => {
                self.args.opening.page_size = Some(page_size);
                job.open_to_describe(&self.args, None)?
            }
        };
        // Each JSON report has all warnings; people read them once.
        if is_first || job.messages.json {
            job.messages.warn(dump.warnings());
        }
        Ok(self.opened.insert(dump))
    }
}
