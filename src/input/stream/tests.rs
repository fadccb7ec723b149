use std::ops::Range;

use super::*;
use crate::input::read_full;

fn stream(bytes: Vec<u8>) -> StreamInput {
    StreamInput::new(
        Box::new(io::Cursor::new(bytes)),
        Vec::new(),
        None,
        std::env::temp_dir().into(),
    )
}

fn read(input: &StreamInput, range: Range<u64>) -> Vec<u8> {
    let mut buf = vec![0; usize::try_from(range.end - range.start).unwrap()];
    let n = read_full(input, &mut buf, range.start).unwrap();
    buf.truncate(n);
    buf
}

#[test]
fn only_bytes_that_pass_before_their_turn_are_kept() {
    let late = |reads: &[Range<u64>]| read_after_passing(reads.iter().cloned().map(Span::from));
    let order = [100..200, 300..400, 0..50, 150..250, 20..60, 400..500];
    assert_eq!(late(&order), [0..60, 150..250]);
    assert_eq!(late(&[0..10, 10..20, 30..40]), [0..0; 0]);
}

#[test]
fn one_pass_serves_all_announced_reads_in_any_order() {
    let bytes: Vec<u8> =
        (0..3_000_000u32).map(|i| i.to_le_bytes()[0] ^ i.to_le_bytes()[2]).collect();
    let at = |range: &Range<u64>| bytes[range.start as usize..range.end as usize].to_vec();
    let input = stream(bytes.clone());
    assert_eq!(read(&input, 0..64), at(&(0..64)));
    assert_eq!(read(&input, 1_500_000..1_500_100), at(&(1_500_000..1_500_100)));
    assert_eq!(read(&input, 64..2000), at(&(64..2000)), "headers may be read in any order");
    let order =
        [2_000_000..2_400_000, 1_600_000..1_700_000, 2_900_000..3_000_000, 2_300_000..2_950_000];
    input.expect_reads(order.clone().into_iter().map(Span::from));
    for range in order {
        assert_eq!(read(&input, range.clone()), at(&range), "{range:?}");
    }
    assert!(read(&input, 3_000_000..3_000_010).is_empty());
}

#[test]
fn a_forward_pass_makes_no_spool_file() {
    let input = StreamInput::new(
        Box::new(io::repeat(3).take(4_000_000)),
        Vec::new(),
        None,
        "/nonexistent".into(),
    );
    assert_eq!(read(&input, 0..64).len(), 64);
    let order = [4096..1_000_000, 2_000_000..4_000_000];
    input.expect_reads(order.clone().into_iter().map(Span::from));
    for range in order {
        assert!(read(&input, range).iter().all(|&byte| byte == 3));
    }
}

#[test]
fn only_bytes_that_the_spool_cannot_hold_are_lost() {
    let input = StreamInput::new(
        Box::new(io::repeat(3).take(1_000_000)),
        Vec::new(),
        None,
        "/nonexistent".into(),
    );
    let order = [500_000..600_000, 0..100, 300_000..400_000, 700_000..1_000_000];
    input.expect_reads(order.into_iter().map(Span::from));
    assert_eq!(read(&input, 500_000..600_000), [3; 100_000]);
    let error = read_full(&input, &mut [0; 100], 0).unwrap_err();
    assert!(error.to_string().contains("/nonexistent could not hold it"), "{error}");
    assert!(read_full(&input, &mut [0; 100], 300_000).is_err());
    assert_eq!(read(&input, 700_000..1_000_000), [3; 300_000]);
}
