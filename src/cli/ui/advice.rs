//! What the user can do about an error or a remark: the library names no option of the command.

use kdumpconv::Error;
use kdumpconv::summary::{Remark, Summary};

/// The end of an error message: the option that helps, if one does.
pub(crate) fn for_error(error: &anyhow::Error) -> String {
    match error.downcast_ref::<Error>() {
        Some(Error::Exists(_)) => "; --force replaces it".to_owned(),
        Some(Error::UnknownPageSize { .. }) => "; --page-size sets it".to_owned(),
        Some(Error::UnsupportedCompression { format }) => {
            let decompress = if *format == "zip" { "unzip -p" } else { &format!("{format} -dc") };
            format!("; decompress it through a pipe: `{decompress} FILE | kdumpconv - OUTPUT`")
        }
        _ => String::new(),
    }
}

/// A remark with advice.
pub(crate) fn remark_text(remark: &Remark, summary: &Summary) -> String {
    let advice = match remark.id {
        "split" if summary.pages.absent > 0 => "; --part names the others",
        "no-vmcoreinfo" => "; --find-vmcoreinfo looks for one in memory",
        _ => "",
    };
    format!("{}{advice}", remark.text)
}
