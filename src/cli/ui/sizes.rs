//! Numbers and sizes as people read them.

#[expect(clippy::cast_precision_loss, reason = "for a person to read: 53 bits are plenty")]
pub(crate) fn as_f64(n: u64) -> f64 {
    n as f64
}

/// Such as "1 page" or "2 pages".
pub(crate) fn count(n: u64, noun: &str) -> String {
    if n == 1 { format!("1 {noun}") } else { format!("{n} {noun}s") }
}

/// Such as "1.5 GiB", rounded: memory is counted in powers of two.
pub(crate) fn size(bytes: u64) -> String {
    size_of(as_f64(bytes))
}

/// Such as "1.5 GiB/s".
pub(crate) fn rate(bytes_per_second: f64) -> String {
    format!("{}/s", size_of(bytes_per_second))
}

/// Bytes above which the next unit rounds to at least 1.0 of itself.
const NEXT_UNIT: f64 = 1023.95;

fn size_of(bytes: f64) -> String {
    if bytes < 1023.5 {
        return format!("{bytes:.0} B");
    }
    let mut amount = bytes / 1024.0;
    let mut unit = "KiB";
    for larger in ["MiB", "GiB", "TiB", "PiB", "EiB"] {
        if amount < NEXT_UNIT {
            break;
        }
        unit = larger;
        amount /= 1024.0;
    }
    format!("{amount:.1} {unit}")
}

/// The signed number whose two's complement is `bits`, such as "-0x18200000" for a kernel's phys_base.
pub(crate) fn signed_hex(bits: u64) -> String {
    if bits >> 63 == 0 { format!("{bits:#x}") } else { format!("-{:#x}", bits.wrapping_neg()) }
}

pub(crate) fn percent(part: u64, whole: u64) -> f64 {
    100.0 * as_f64(part) / as_f64(whole).max(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_short_and_rounded() {
        for (bytes, expected) in [
            (0, "0 B"),
            (1, "1 B"),
            (1023, "1023 B"),
            (1024, "1.0 KiB"),
            (1536, "1.5 KiB"),
            (4096, "4.0 KiB"),
            (1_048_524, "1023.9 KiB"),
            (1_048_525, "1.0 MiB"),
            (1 << 20, "1.0 MiB"),
            (368_545_792, "351.5 MiB"),
            ((1 << 30) + (1 << 29), "1.5 GiB"),
            (u64::MAX, "16.0 EiB"),
        ] {
            assert_eq!(size(bytes), expected, "{bytes}");
        }
        assert_eq!(rate(1.5 * 1024.0 * 1024.0), "1.5 MiB/s");
        assert_eq!(rate(0.2), "0 B/s");
    }

    #[test]
    fn one_is_singular() {
        assert_eq!(count(0, "page"), "0 pages");
        assert_eq!(count(1, "page"), "1 page");
        assert_eq!(count(2, "page"), "2 pages");
    }

    #[test]
    fn a_negative_phys_base_has_a_sign() {
        for (bits, expected) in [
            (0, "0x0"),
            (0x0100_0000, "0x1000000"),
            (0xffff_ffff_e7e0_0000, "-0x18200000"),
            (1 << 63, "-0x8000000000000000"),
            (u64::MAX, "-0x1"),
        ] {
            assert_eq!(signed_hex(bits), expected);
        }
    }
}
