//! Numbers and sizes as people read them.

#[expect(clippy::cast_precision_loss, reason = "for a person to read: 53 bits are plenty")]
pub(crate) fn as_f64(n: u64) -> f64 {
    n as f64
}

pub(crate) fn megabytes(bytes: f64) -> String {
    format!("{:.1} MB", bytes / 1e6)
}

/// Such as "1.5 GiB": memory is counted in powers of two.
pub(crate) fn size(bytes: u64) -> String {
    let mut tenths = bytes.saturating_mul(10) / 1024;
    let mut unit = "KiB";
    for larger in ["MiB", "GiB", "TiB", "PiB", "EiB"] {
        if tenths < 10_240 {
            break;
        }
        unit = larger;
        tenths /= 1024;
    }
    match (tenths / 10, tenths % 10) {
        (whole, 0) => format!("{whole} {unit}"),
        (whole, tenth) => format!("{whole}.{tenth} {unit}"),
    }
}

pub(crate) fn percent(part: u64, whole: u64) -> f64 {
    100.0 * as_f64(part) / as_f64(whole).max(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_short() {
        for (bytes, expected) in [
            (0, "0 KiB"),
            (4096, "4 KiB"),
            (1536, "1.5 KiB"),
            (1 << 20, "1 MiB"),
            ((1 << 30) + (1 << 29), "1.5 GiB"),
            (u64::MAX, "1.5 EiB"),
        ] {
            assert_eq!(size(bytes), expected);
        }
    }
}
