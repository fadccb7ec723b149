//! Golden hashes: the bytes of a kdump file of each codec and header layout are the same on every
//! machine and for any number of threads. Users compare fixtures by these hashes.
//!
//! A hash may change only with a codec's version in Cargo.lock, with one of our encoders, or with
//! the layout of the file. Each such change affects users and needs a line in
//! packaging/CHANGELOG.md. The hashes are SHA-256, as `sha256sum` prints them.

use kdumpconv::Architecture;
use kdumpconv::ByteOrder;
use kdumpconv::Codec;
use kdumpconv::Dump;
use kdumpconv::DumpLevel;
use kdumpconv::FlattenedSink;
use kdumpconv::NullSink;
use kdumpconv::SeekSink;
use kdumpconv::fixtures::{Load, VmcoreBuilder, VmcoreinfoText};
use kdumpconv::{ConvertOptions, convert};
use sha2::{Digest, Sha256};

/// All five layouts; for the 64-bit layouts, every machine whose files differ in other ways too.
fn machines() -> [(&'static str, VmcoreBuilder); 9] {
    let of = |arch| fixture(VmcoreBuilder::new(arch), 4096);
    let big = VmcoreBuilder::new(Architecture::Ppc64).byte_order(ByteOrder::Big);
    [
        ("x86_64", of(Architecture::X86_64)),
        ("aarch64", of(Architecture::Aarch64)),
        ("aarch64, 64K pages", fixture(VmcoreBuilder::new(Architecture::Aarch64), 65536)),
        ("s390x", of(Architecture::S390x)),
        ("ppc64, big-endian", fixture(big, 65536)),
        ("riscv64", of(Architecture::Riscv64)),
        ("i386 (packed)", of(Architecture::I386)),
        ("arm (padded)", of(Architecture::Arm)),
        ("ppc (padded, big-endian)", of(Architecture::Ppc)),
    ]
}

/// Pages of every kind that is stored differently: zeros, text, repeated words, noise. Also a hole,
/// a page that ends early, excluded pages, and two CPUs.
fn fixture(builder: VmcoreBuilder, page_bytes: u64) -> VmcoreBuilder {
    let mut builder = builder
        .page_size(page_bytes)
        .vmcoreinfo(VmcoreinfoText::new("6.12.0-golden", page_bytes).crash_time(1_700_000_000))
        .cpu(1, &[0x10, 0x11, 0x12])
        .cpu(2, &[0x20, 0x21, 0x22])
        .load(Load::new(page_bytes..33 * page_bytes))
        .load(Load::new(40 * page_bytes..44 * page_bytes).excluded())
        .load(Load::new(48 * page_bytes..50 * page_bytes + 0x123));
    let mut state = 1_u32;
    for pfn in (1..33).chain(48..50).filter(|pfn| pfn % 4 != 0) {
        let mut page = Vec::new();
        while (page.len() as u64) < page_bytes {
            state = state.wrapping_mul(747_796_405).wrapping_add(2_891_336_453);
            let random = state >> 8;
            match pfn % 4 {
                1 => page.extend(format!("task {}: running\n", random % 100).bytes()),
                2 => page.extend(
                    (0xffff_8881_0000_0000_u64 + u64::from(random % 64) * 64).to_le_bytes(),
                ),
                _ => page.extend(random.to_le_bytes().iter().take(3)),
            }
        }
        page.truncate(usize::try_from(page_bytes).unwrap());
        builder = builder.page(pfn, &page);
    }
    builder.bytes(50 * page_bytes + 0x122, b"!")
}

fn plain(vmcore: &[u8], options: &ConvertOptions) -> Vec<u8> {
    let mut sink = SeekSink::in_memory();
    convert(&Dump::of_bytes(vmcore).unwrap(), &mut sink, options, &mut |_| ()).unwrap();
    sink.into_vec()
}

fn flat(vmcore: &[u8], options: &ConvertOptions) -> Vec<u8> {
    let mut stream = Vec::new();
    let dump = Dump::of_bytes(vmcore).unwrap();
    convert(&dump, &mut FlattenedSink::new(&mut stream), options, &mut |_| ()).unwrap();
    stream
}

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Asserts all hashes at once, so that a failure lists every change; copy the list here if the
/// change is intended.
fn assert_hashes(found: &[(String, String)], golden: &[(&str, &str)]) {
    let list = |lines: Vec<(&str, &str)>| {
        lines.iter().map(|(name, hash)| format!("(\"{name}\", \"{hash}\"),\n")).collect::<String>()
    };
    let found = list(found.iter().map(|(name, hash)| (name.as_str(), hash.as_str())).collect());
    assert!(found == list(golden.to_vec()), "the bytes are others than they were:\n{found}");
}

fn options(codec: Codec) -> ConvertOptions {
    ConvertOptions::default().codec(codec)
}

#[test]
fn the_hash_of_abc_is_that_of_fips_180() {
    let expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    assert_eq!(sha256(b"abc"), expected);
}

#[test]
fn the_builders_vmcores_never_change() {
    let found: Vec<_> = machines()
        .map(|(name, builder)| (name.to_owned(), sha256(&builder.to_vec().unwrap())))
        .to_vec();
    assert_hashes(&found, &VMCORES);
}

#[test]
fn the_file_of_every_header_layout_never_changes() {
    let found: Vec<_> = machines()
        .iter()
        .flat_map(|(name, builder)| {
            let vmcore = builder.to_vec().unwrap();
            let options = options(Codec::Zlib);
            let kinds = [("plain", plain(&vmcore, &options)), ("flat", flat(&vmcore, &options))];
            kinds.map(|(kind, bytes)| (format!("{name}, {kind}"), sha256(&bytes)))
        })
        .collect();
    assert_hashes(&found, &LAYOUTS);
}

#[test]
fn the_file_of_every_codec_never_changes_plain_or_flattened() {
    let vmcore = fixture(VmcoreBuilder::new(Architecture::X86_64), 4096).to_vec().unwrap();
    let dump = Dump::of_bytes(vmcore.clone()).unwrap();
    let report = convert(&dump, &mut NullSink, &options(Codec::Zlib), &mut |_| ()).unwrap();
    let pages = report.pages;
    assert_eq!((pages.zero, pages.compressed, pages.raw), (9, 18, 8), "pages of every kind");
    let found: Vec<_> = Codec::ALL
        .iter()
        .flat_map(|&codec| {
            let level_0 = options(codec).dump_level(DumpLevel::new(0).unwrap());
            let kinds = [
                ("plain", plain(&vmcore, &options(codec))),
                ("flat", flat(&vmcore, &options(codec))),
                ("-d 0", plain(&vmcore, &level_0)),
            ];
            kinds.map(|(kind, bytes)| (format!("{}, {kind}", codec.name()), sha256(&bytes)))
        })
        .collect();
    assert_hashes(&found, &CODECS);
}

#[test]
fn files_of_other_levels_of_zlib_and_zstd_never_change() {
    let vmcore = fixture(VmcoreBuilder::new(Architecture::X86_64), 4096).to_vec().unwrap();
    let levels = [(Codec::Zlib, 6), (Codec::Zlib, 12), (Codec::Zstd, -3), (Codec::Zstd, 19)];
    let found: Vec<_> = levels
        .iter()
        .map(|&(codec, level)| {
            let options = options(codec).level(level);
            (format!("{} {level}", codec.name()), sha256(&plain(&vmcore, &options)))
        })
        .collect();
    assert_hashes(&found, &LEVELS);
}

/// Several batches of pages, so that threads could mix up their order.
#[test]
fn the_number_of_threads_changes_no_byte_of_any_codec() {
    let mut builder = VmcoreBuilder::new(Architecture::X86_64)
        .vmcoreinfo(VmcoreinfoText::new("6.12.0-golden", 4096))
        .load(Load::new(0..6 << 20));
    for pfn in (0..1536).filter(|pfn| pfn % 3 != 0) {
        let line = format!("page {pfn} of a fixture, ");
        let bytes: Vec<u8> = line.bytes().cycle().take(4096).collect();
        builder = builder.page(pfn, &bytes);
    }
    let vmcore = builder.to_vec().unwrap();
    for codec in Codec::ALL {
        let one = plain(&vmcore, &options(codec));
        let one_flat = flat(&vmcore, &options(codec));
        for threads in [2, 3, 8, 32] {
            let many = options(codec).threads(threads);
            assert!(plain(&vmcore, &many) == one, "{codec:?}, {threads} threads");
            assert!(flat(&vmcore, &many) == one_flat, "{codec:?}, {threads} threads, flat");
        }
    }
}

#[rustfmt::skip]
const VMCORES: [(&str, &str); 9] = [
    ("x86_64", "e0484f6bb5a0bac872e1f995beef590b030a4731fa671ae0e72f2fa8be86b510"),
    ("aarch64", "ead4c71f8b452f1c5b79f0cca3f2de01fec5ba2a762344c1aa86aa507b606341"),
    ("aarch64, 64K pages", "4985fd35bb0c30374107933c1c7db9041b580f2e68beaf954068b06e5461ca4a"),
    ("s390x", "f248e715c8961edc6526acc422cf5cab53cc9373131d05ce64ec7ddb75e291a0"),
    ("ppc64, big-endian", "21ca8fb7af0928a376691db63b57eac058fa738292d40aeb63931dfb22224076"),
    ("riscv64", "01ef20dc13440ee945ec6d05e3f1ec4516f865bffac5dc0b07ff6ac73517f495"),
    ("i386 (packed)", "00ecaf45ecb5c1dc0a7a8e91dbcf3164027d164338d7dcaf28cd02a4434bd3c9"),
    ("arm (padded)", "d7f5e46e693377086097957274e24e34cd3e3cb6d35797e81ae08b15c5184ef4"),
    ("ppc (padded, big-endian)", "2f534ae82c5403b3fdcd33b977bd7530160d9e9077cf5a01ab08f0b6e5d3d6b4"),
];

#[rustfmt::skip]
const LAYOUTS: [(&str, &str); 18] = [
    ("x86_64, plain", "f18d0b87dcdaa4f6be0453835e5fe1f52cc8d2460e1f6d20d0b01ccfa21f4cd6"),
    ("x86_64, flat", "d2e44380a3c4f087e5264b762d4a041483321eb206a1ef9725dc195c3f69e94c"),
    ("aarch64, plain", "7c151ad3f26a4472f41e03ef4ca3163cb59bca14ed4f610788b0bfa229d96e8b"),
    ("aarch64, flat", "a120aefa45f7d84ffcea4b4edb49c0efb56bab9cd2464b3a688ee7f34975b7ee"),
    ("aarch64, 64K pages, plain", "4cbf0237076a1fc4c010414c1cc702fd02eb74e0654fc48e0650841df463aa4e"),
    ("aarch64, 64K pages, flat", "02984192f8d7bf6b25d793b1c034d84b23cfc0cecd08a6b5ee79ed9b7a3d8100"),
    ("s390x, plain", "625ce4796abb8ad0b07dbf3d2ffe3f9f30011a68b1cd1e7e2256dbcb5af0f9ad"),
    ("s390x, flat", "889bec2aa5fca3c291a190cded60fa7403bb30ab352acea37132c3478e0a1950"),
    ("ppc64, big-endian, plain", "8b79ec67ad1f2c715ea4f0ec0a0f2a37cbde5373ec220aaa16818562cda62c9e"),
    ("ppc64, big-endian, flat", "b29375f901a180a9c750a13a13e6d1909bc9d9117445d5600ee4b4b2ec51babd"),
    ("riscv64, plain", "9f9836413036d42f4e1921644e019167937c62b98683d4c004ebc0fd8afceb46"),
    ("riscv64, flat", "080b15513c78458ae8a481b0dd18765ec7b8540c183ca21a5edc13928e8f7b40"),
    ("i386 (packed), plain", "5de1b791ff7389f78331d30337e1f60b0ebc8a466edf13d77a2517a5825740db"),
    ("i386 (packed), flat", "df5b1fcca49a8060b54e7b1600f068caec93b5c0e64382ac1e8b417b9bd3a10b"),
    ("arm (padded), plain", "7be9155b345657a3eb81e6e439859f7d78017b56cfd667b1d8ab8ceb36c48e7d"),
    ("arm (padded), flat", "281bdbe8e34a27b8c9792c596d1369f2037577fb7ebf6682d79e228bc54c725f"),
    ("ppc (padded, big-endian), plain", "5be6787232e1611e7c1ba57d6d42f73f65256e0865561e141e3069d6d159f72a"),
    ("ppc (padded, big-endian), flat", "b494711eda6af62a3a74534bf59e9f26797c99fce652c4e77ab8a313a17d58b9"),
];

#[rustfmt::skip]
const CODECS: [(&str, &str); 15] = [
    ("zlib, plain", "f18d0b87dcdaa4f6be0453835e5fe1f52cc8d2460e1f6d20d0b01ccfa21f4cd6"),
    ("zlib, flat", "d2e44380a3c4f087e5264b762d4a041483321eb206a1ef9725dc195c3f69e94c"),
    ("zlib, -d 0", "62996eb5af9616697e122bb2095b5d1281fc2731d7756524d57aff2119f921b8"),
    ("lzo, plain", "168f19cbf24b7232077789c14ce968d1590f87d1c44d6b26c127978e36fd8054"),
    ("lzo, flat", "286b58a73cd85bbc4137e4191ccb18d1bfc61e68691eb608babf4221e6d3190b"),
    ("lzo, -d 0", "d0004c88425af64f7a3faefdf66482d5c1febad0729237e40bde17ada9e7644e"),
    ("snappy, plain", "9e3d96e62b8c1bb12d661e72e13f9a23192ea3ba9b609eaf0a67eaaaba911ef6"),
    ("snappy, flat", "b9f3dcd2e35730f8d40edb19b90881d847199bc45eabef0c0ee1e52589479427"),
    ("snappy, -d 0", "4b60c43eb0199baf591b2a5aaeaec70d91bda66078839875ca5ef7ecbef36315"),
    ("zstd, plain", "465805290319800573113c76e68811f68cc27b6679d9425dd04b76f2a30844e8"),
    ("zstd, flat", "d6dc815eebac958249416b736f24244d4a95db8836867463c3a9a18e4325fb51"),
    ("zstd, -d 0", "556feaac1ca4c91e647ad8157911df1236f8f9f939bb96021cb6d4dbaf52a939"),
    ("none, plain", "addaa0a5ea9865713bebf213af19f94a455c019e7f241a99bf0ef420c45f9947"),
    ("none, flat", "7a44f83b223c0ffcc9590ad11b076382370c123493eaf9882beda434c6ceaddc"),
    ("none, -d 0", "f9f076e2ec80737a08bd50b2abf1972433a861f42015f2aad3198e7448a35c58"),
];

#[rustfmt::skip]
const LEVELS: [(&str, &str); 4] = [
    ("zlib 6", "5456abc753561961d6ea2eafa3f93d991d32184d1d316f6a5c930e02ede8a109"),
    ("zlib 12", "aa3bf8074f961bd9edce3d158db9e50229b8fdb0e04d2d52fe09771aa3cb2cec"),
    ("zstd -3", "fef705d62e832019a96a8017f9f8f06973f0e898b7167e6d998b97c51fca7337"),
    ("zstd 19", "7fb283c5f225700cd36b6ac8d6037f677bcbd92f470f5791d92ca918ee1ccbdf"),
];
