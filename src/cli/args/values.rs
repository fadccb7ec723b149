//! Values of options: what they may be, and what is said about others.

use std::ops::RangeInclusive;
use std::str::FromStr;

use kdumpconv::{PageSize, Pfn};

/// A parser of numbers in `range`. For anything else the error is what is `expected`.
pub(crate) fn number<T>(
    range: RangeInclusive<T>,
    expected: &'static str,
) -> impl Fn(&str) -> Result<T, String> + Clone + Send + Sync + 'static
where
    T: FromStr + PartialOrd + Clone + Send + Sync + 'static,
{
    move |text| {
        let number = text.parse().ok().filter(|number| range.contains(number));
        number.ok_or_else(|| format!("expected {expected}"))
    }
}

/// Parses a number of bytes. `K`, `M`, `G`, `T` and `KiB` to `TiB` are powers of 1024, `KB` to `TB`
/// powers of 1000; a fraction such as `1.5G` is rounded down to bytes.
pub(crate) fn parse_size(text: &str) -> Result<u64, String> {
    let wrong = || "expected a number of bytes such as 4096, 64K, 1.5GiB or 500MB".to_owned();
    let upper = text.trim().to_ascii_uppercase();
    let (number, unit) = match upper.find(|c: char| c.is_ascii_alphabetic()) {
        Some(end) => upper.split_at(end),
        None => (upper.as_str(), ""),
    };
    let unit: u64 = match unit {
        "" | "B" => 1,
        "K" | "KIB" => 1 << 10,
        "M" | "MIB" => 1 << 20,
        "G" | "GIB" => 1 << 30,
        "T" | "TIB" => 1 << 40,
        "KB" => 1_000,
        "MB" => 1_000_000,
        "GB" => 1_000_000_000,
        "TB" => 1_000_000_000_000,
        _ => return Err(wrong()),
    };
    let (whole, fraction) = number.trim_end().split_once('.').unwrap_or((number.trim_end(), "0"));
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !is_number(whole) || !is_number(fraction) {
        return Err(wrong());
    }
    // More digits than these are less than a byte of the largest unit.
    let fraction = format!("{fraction:0<18.18}");
    let too_large = |_| "2^64 bytes or more".to_owned();
    let whole: u64 = whole.parse().map_err(too_large)?;
    let fraction: u64 = fraction.parse().map_err(too_large)?;
    let bytes = u128::from(whole) * u128::from(unit)
        + u128::from(fraction) * u128::from(unit) / 10u128.pow(18);
    u64::try_from(bytes).map_err(|_| "2^64 bytes or more".to_owned())
}

/// Parses a size that the pages of a dump may have.
pub(super) fn parse_page_size(text: &str) -> Result<PageSize, String> {
    let size = PageSize::new(parse_size(text)?);
    size.ok_or_else(|| "a power of two from 4096 to 262144".to_owned())
}

/// Parses a page frame number, decimal or hexadecimal with 0x.
pub(super) fn parse_pfn(text: &str) -> Result<Pfn, String> {
    let pfn = match text.strip_prefix("0x") {
        Some(hex) => u64::from_str_radix(hex, 16),
        None => text.parse(),
    };
    pfn.map(Pfn::new).map_err(|_| "expected a page frame number such as 0x84a".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_frame_number_is_decimal_or_hexadecimal() {
        assert_eq!((parse_pfn("2122"), parse_pfn("0x84a")), (Ok(0x84a.into()), Ok(0x84a.into())));
        for wrong in ["", "0x", "84a", "-1", "0x10000000000000000", "1.5"] {
            assert!(parse_pfn(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_number_out_of_its_range_is_refused_in_plain_words() {
        let parse = number(0..=31, "a number from 0 to 31");
        assert_eq!((parse("0"), parse("31")), (Ok(0), Ok(31)));
        for wrong in ["32", "-1", "11,31", "all", "", "1.5", " 1"] {
            assert_eq!(parse(wrong), Err("expected a number from 0 to 31".to_owned()), "{wrong}");
        }
    }

    #[test]
    fn sizes_have_units_with_their_own_meanings() {
        for (text, bytes) in [
            ("4096", 4096),
            ("4096B", 4096),
            ("64k", 65536),
            ("2G", 2 << 30),
            ("2GiB", 2 << 30),
            ("2 gib", 2 << 30),
            ("1TB", 1_000_000_000_000),
            ("1T", 1 << 40),
            ("500MB", 500_000_000),
            ("1.5G", 3 << 29),
            ("0.1kb", 100),
            ("1.0009765625K", 1025),
            ("0.9999999999999999999999T", (1 << 40) - 1),
            ("18446744073709551615", u64::MAX),
        ] {
            assert_eq!(parse_size(text), Ok(bytes), "{text}");
        }
    }

    #[test]
    fn what_is_no_size_is_refused() {
        for wrong in [
            "",
            "K",
            "1KK",
            "-1",
            "+1",
            "1.",
            ".5G",
            "1.5.2",
            "1e9",
            "1 5",
            "1Q",
            "99999999T",
            "\u{661}",
        ] {
            assert!(parse_size(wrong).is_err(), "{wrong}");
        }
    }
}
