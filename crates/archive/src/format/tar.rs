//! The 512-byte tar header, as POSIX.1-2024 (pax, "ustar Interchange Format") lays it out.
//!
//! [`header`] writes one with everything that does not matter fixed, so that headers are a function of name, type and size.
//! [`RawHeader`] reads any program's, only to say what kind of archive it is: an archive of ours is checked by recomputing its
//! headers, never by interpreting them.

/// Everything in a tar is a multiple of this many bytes.
pub const BLOCK_LEN: u64 = 512;

const HEADER_LEN: usize = 512;
const NAME_OFFSET: usize = 0;
/// Size of the name field, and so the longest path without a pax record.
pub const NAME_SIZE: usize = 100;
const MODE_OFFSET: usize = NAME_OFFSET + NAME_SIZE;
const MODE_SIZE: usize = 8;
const UID_OFFSET: usize = MODE_OFFSET + MODE_SIZE;
const UID_SIZE: usize = 8;
const GID_OFFSET: usize = UID_OFFSET + UID_SIZE;
const GID_SIZE: usize = 8;
const SIZE_OFFSET: usize = GID_OFFSET + GID_SIZE;
const SIZE_SIZE: usize = 12;
const MTIME_OFFSET: usize = SIZE_OFFSET + SIZE_SIZE;
const MTIME_SIZE: usize = 12;
const CHKSUM_OFFSET: usize = MTIME_OFFSET + MTIME_SIZE;
const CHKSUM_SIZE: usize = 8;
const TYPEFLAG_OFFSET: usize = CHKSUM_OFFSET + CHKSUM_SIZE;
const LINKNAME_OFFSET: usize = TYPEFLAG_OFFSET + 1;
const LINKNAME_SIZE: usize = 100;
const MAGIC_OFFSET: usize = LINKNAME_OFFSET + LINKNAME_SIZE;
const MAGIC_SIZE: usize = 6;
const VERSION_OFFSET: usize = MAGIC_OFFSET + MAGIC_SIZE;
const VERSION_SIZE: usize = 2;
const UNAME_OFFSET: usize = VERSION_OFFSET + VERSION_SIZE;
const UNAME_SIZE: usize = 32;
const GNAME_OFFSET: usize = UNAME_OFFSET + UNAME_SIZE;
const GNAME_SIZE: usize = 32;
const DEVMAJOR_OFFSET: usize = GNAME_OFFSET + GNAME_SIZE;
const DEVMAJOR_SIZE: usize = 8;
const DEVMINOR_OFFSET: usize = DEVMAJOR_OFFSET + DEVMAJOR_SIZE;
const DEVMINOR_SIZE: usize = 8;
const PREFIX_OFFSET: usize = DEVMINOR_OFFSET + DEVMINOR_SIZE;
const PREFIX_SIZE: usize = 155;
const _: () = assert!(PREFIX_OFFSET + PREFIX_SIZE + 12 == HEADER_LEN);

/// The largest size that the header's eleven octal digits hold: 8 GiB − 1.
pub const USTAR_SIZE_MAX: u64 = (1 << 33) - 1;

/// Type flag of a regular file.
pub(crate) const TYPE_FILE: u8 = b'0';
/// Type flag of a pax header, whose records belong to the next header.
pub(crate) const TYPE_PAX: u8 = b'x';

/// A header block. `name` is cut after [`NAME_SIZE`] bytes, even inside a character; a `size` over [`USTAR_SIZE_MAX`] is written as
/// 0. Both need a pax record before the block.
pub(crate) fn header(name: &str, typeflag: u8, size: u64) -> [u8; HEADER_LEN] {
    let mut block = [0; HEADER_LEN];
    let mut put = |offset: usize, bytes: &[u8]| {
        for (to, from) in block.iter_mut().skip(offset).zip(bytes) {
            *to = *from;
        }
    };
    let size = if size > USTAR_SIZE_MAX { 0 } else { size };
    put(NAME_OFFSET, name.as_bytes().get(..NAME_SIZE).unwrap_or(name.as_bytes()));
    put(MODE_OFFSET, b"0000644");
    put(UID_OFFSET, b"0000000");
    put(GID_OFFSET, b"0000000");
    put(SIZE_OFFSET, format!("{size:011o}").as_bytes());
    put(MTIME_OFFSET, b"00000000000");
    put(CHKSUM_OFFSET, b"        ");
    put(TYPEFLAG_OFFSET, &[typeflag]);
    put(MAGIC_OFFSET, b"ustar\0");
    put(VERSION_OFFSET, b"00");
    put(DEVMAJOR_OFFSET, b"0000000");
    put(DEVMINOR_OFFSET, b"0000000");
    let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
    for (to, from) in block.iter_mut().skip(CHKSUM_OFFSET).zip(format!("{sum:06o}\0 ").bytes()) {
        *to = from;
    }
    block
}

/// What a header of any tar says, as far as it matters for telling archives apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RawHeader {
    /// Prefix and name, without a leading `./`.
    pub(crate) name: String,
    /// The type flag; NUL counts as a regular file.
    pub(crate) typeflag: u8,
    /// Bytes of data that follow.
    pub(crate) size: u64,
}

impl RawHeader {
    /// Reads a block; `None` if its checksum is wrong, which includes the zero block that ends a tar.
    pub(crate) fn parse(block: &[u8; HEADER_LEN]) -> Option<Self> {
        let field = |offset: usize, size: usize| block.get(offset..offset + size);
        let chksum = field(CHKSUM_OFFSET, CHKSUM_SIZE)?;
        let sum_of = |bytes: &[u8]| bytes.iter().map(|byte| u64::from(*byte)).sum::<u64>();
        let sum = sum_of(block) - sum_of(chksum) + u64::from(b' ') * CHKSUM_SIZE as u64;
        if number(chksum) != Some(sum) {
            return None;
        }
        let text = |bytes: &[u8]| {
            let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
            String::from_utf8_lossy(bytes.get(..end).unwrap_or_default()).into_owned()
        };
        let mut name = text(field(NAME_OFFSET, NAME_SIZE)?);
        let prefix = text(field(PREFIX_OFFSET, PREFIX_SIZE)?);
        if !prefix.is_empty() && field(MAGIC_OFFSET, MAGIC_SIZE)? == b"ustar\0" {
            name = format!("{prefix}/{name}");
        }
        while let Some(rest) = name.strip_prefix("./") {
            name = rest.to_owned();
        }
        let typeflag = match field(TYPEFLAG_OFFSET, 1)? {
            [0] => TYPE_FILE,
            [flag] => *flag,
            _ => return None,
        };
        Some(Self { name, typeflag, size: number(field(SIZE_OFFSET, SIZE_SIZE)?)? })
    }
}

/// Whether a block has the magic of a tar header, intact or not.
pub(crate) fn has_magic(block: &[u8; HEADER_LEN]) -> bool {
    block.get(MAGIC_OFFSET..MAGIC_OFFSET + 5) == Some(b"ustar")
}

/// A numeric field: octal digits between spaces or NULs, or GNU's base 256 with the top bit set.
fn number(field: &[u8]) -> Option<u64> {
    if let Some((0x80, digits)) = field.split_first().map(|(first, rest)| (*first, rest)) {
        return digits.iter().try_fold(0u64, |value, byte| value.checked_mul(256)?.checked_add(u64::from(*byte)));
    }
    let digits = field.trim_ascii_start();
    let end = digits.iter().position(|byte| matches!(byte, b' ' | 0)).unwrap_or(digits.len());
    digits.get(..end)?.iter().try_fold(0u64, |value, byte| match byte {
        b'0'..=b'7' => value.checked_mul(8)?.checked_add(u64::from(byte - b'0')),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        for size in [0, 1, 511, USTAR_SIZE_MAX] {
            let parsed = RawHeader::parse(&header("dir/file", TYPE_FILE, size)).unwrap();
            assert_eq!(parsed, RawHeader { name: "dir/file".to_owned(), typeflag: TYPE_FILE, size });
        }
        assert_eq!(RawHeader::parse(&header("f", TYPE_FILE, USTAR_SIZE_MAX + 1)).unwrap().size, 0);
        let long = "x".repeat(150);
        assert_eq!(RawHeader::parse(&header(&long, TYPE_PAX, 0)).unwrap().name, long[..100]);
    }

    #[test]
    fn any_changed_byte_breaks_the_checksum() {
        let block = header("dir/file", TYPE_FILE, 77);
        for at in 0..HEADER_LEN {
            let mut changed = block;
            changed[at] ^= 0x11;
            // The bytes after the checksum's digits are only terminators.
            let terminator = (CHKSUM_OFFSET + 6..CHKSUM_OFFSET + CHKSUM_SIZE).contains(&at);
            assert!(terminator || RawHeader::parse(&changed).is_none(), "byte {at}");
        }
        assert_eq!(RawHeader::parse(&[0; HEADER_LEN]), None);
    }

    #[test]
    fn numbers_of_other_programs() {
        assert_eq!(number(b"0000644\0"), Some(0o644));
        assert_eq!(number(b"  644 \0"), Some(0o644));
        assert_eq!(number(b"\x80\0\0\0\0\0\0\x02\0\0\0\0"), Some(1 << 33));
        assert_eq!(number(b"\x80\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"), None);
        assert_eq!(number(b"64x"), None);
        assert_eq!(number(b"9"), None);
    }
}
