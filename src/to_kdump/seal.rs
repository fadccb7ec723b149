//! Ends the file: its tables agree with the pages that were written, and its header says what it is.

use std::sync::Arc;

use crate::error::Result;
use crate::format::kdump::DUMP_DH_COMPRESSED_INCOMPLETE;
use crate::pages::PfnRange;
use crate::pipeline::outcome::IncompleteReason;
use crate::to_kdump::plan::Plan;
use crate::to_kdump::report::ConvertReport;
use crate::to_kdump::rounds::{Reached, Written};
use crate::to_kdump::writer::Writer;

/// Maximum pages that a stream lacks and for which it has descriptors all the same, so that it can
/// be read as it is: 24 MiB. With more, it breaks off, and only `unflatten` makes a file of it.
const MAX_FILLERS: u64 = 1 << 20;

impl Plan<'_> {
    /// Writes the rest of the tables, and the final header.
    pub(super) fn seal(self, mut writer: Writer<'_>, written: Written) -> Result<ConvertReport> {
        let Written { mut reached, safe, mut reasons } = written;
        let can_rewrite = writer.can_rewrite();
        let mut is_good = true;
        if let Err(error) = self.end_tables(&mut writer, &reached, &reasons) {
            // The output is consistent up to what was safe before.
            let Some(safe) = safe.filter(|_| can_rewrite) else { return Err(error) };
            reasons.push(IncompleteReason::Output(error.into_io()));
            reached = safe;
            is_good = false;
        }
        let position = reached.position;
        let excluded = &self.selection.excluded;
        let level = self.selection.level_of_kept();
        let mut header = self.header;
        let mut dump_level = level;
        let mut cut_short = None;
        let is_stopped_alone = matches!(reasons.as_slice(), [only] if only.is_stop());
        if can_rewrite && is_good && is_stopped_alone {
            let reached = self.order.level_before(self.dump, excluded, position, level);
            if let Some(reached) = reached {
                dump_level = reached;
                cut_short = reasons.pop();
                let mut sub_header = self.layout.sub_header.clone();
                sub_header.dump_level = reached.bits();
                writer.write_sub_header(&sub_header)?;
            }
        }
        if !reasons.is_empty() {
            header.status |= DUMP_DH_COMPRESSED_INCOMPLETE;
        }
        let is_written = |pfn| self.order.is_before(pfn, position);
        if let Some(name) = self.utsname.found(self.dump.vmcoreinfo(), is_written) {
            header.utsname = name;
        }
        let is_broken_stream = writer.is_broken();
        let so_far = writer.size();
        let (file_bytes, output_bytes) = match writer.close(&header) {
            Ok(sizes) => sizes,
            // The header still says "incomplete".
            Err(error) if can_rewrite => {
                reasons.extend(cut_short.take());
                dump_level = level;
                reasons.push(IncompleteReason::Output(error.into_io()));
                (so_far, so_far)
            }
            Err(error) => return Err(error),
        };
        Ok(ConvertReport {
            codec: self.options.codec,
            dump_level,
            asked_level: self.options.dump_level,
            page_size: self.dump.page_size(),
            max_mapnr: self.dump.max_mapnr(),
            order: self.order.kind(),
            pages: reached.counts,
            census: self.selection.census,
            excluded: Arc::new(self.selection.excluded),
            file_bytes,
            output_bytes,
            reasons,
            cut_short,
            is_broken_stream,
            split_files: Vec::new(),
            warnings: self.warnings,
        })
    }

    /// Writes the descriptors that are left, and puts the tables in order if there are pages without
    /// one.
    fn end_tables(
        &self,
        writer: &mut Writer<'_>,
        reached: &Reached,
        reasons: &[IncompleteReason],
    ) -> Result<()> {
        let missing = writer.planned_pages() - reached.counts.written();
        if writer.can_rewrite() {
            writer.flush()?;
            return if missing > 0 && writer.can_compact() { writer.compact() } else { Ok(()) };
        }
        let is_broken = reasons.iter().any(|reason| matches!(reason, IncompleteReason::Output(_)));
        if is_broken || missing > MAX_FILLERS {
            writer.break_off();
        } else {
            let excluded = &self.selection.excluded;
            let (from, to) = (reached.position, self.planned_end);
            let steps = self.order.between(self.dump, excluded, PfnRange::ALL, from, to);
            steps.into_iter().flatten().try_for_each(|run| writer.push_unreadable(run))?;
        }
        writer.flush()
    }
}
