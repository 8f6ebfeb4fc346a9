//! What an archive will contain and where: everything about it but the members' data, known before the first byte is written.
//!
//! A plan is a pure function of the subject and the member list, so equal lists make equal archives. It refuses whatever a reader
//! would refuse. It reads no file and does not check that the digests it was given are right: the writer and the reader do.

use serde_json::Value;

use crate::Error;
use crate::format::layout::{
    ARCHIVE_LEN_MAX, MANIFEST_LEN_MAX, TRAILER_LEN, digest_header, headers, headers_len, manifest_header, padding_len,
    prelude_len,
};
use crate::format::manifest::{Manifest, Member, MemberRef};
use crate::problem::Problem;
use icecore_io::digest::Sha256Digest;

/// The zero blocks that end every archive.
pub(crate) const TRAILER: [u8; 1024] = [0; 1024];
const _: () = assert!(TRAILER.len() as u64 == TRAILER_LEN);
/// What a member's padding is a beginning of.
const ZEROS: [u8; 512] = [0; 512];

/// The layout of one archive.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    manifest: Manifest,
    manifest_bytes: Vec<u8>,
    manifest_sha256: Sha256Digest,
    /// Where each member's data starts; its headers start where the member before ends.
    data_offsets: Vec<u64>,
    archive_len: u64,
}

impl Plan {
    /// Plans an archive of `members` in the order given.
    ///
    /// Fails with a kind of `InvalidInput` if the members collide, are too many, or make a manifest or an archive that is too
    /// long, or if the subject is nested too deeply.
    pub fn new(subject: Value, members: Vec<Member>) -> Result<Self, Error> {
        let manifest = Manifest::new(subject, members)?;
        let bytes = manifest.to_bytes();
        Self::from_manifest(manifest, bytes)
    }

    /// Plans the archive of a manifest whose canonical form is `manifest_bytes`.
    pub(crate) fn from_manifest(manifest: Manifest, manifest_bytes: Vec<u8>) -> Result<Self, Error> {
        let manifest_len = manifest_bytes.len() as u64;
        if manifest_len > MANIFEST_LEN_MAX {
            return Err(Error::ManifestTooLong { len: manifest_len, max: MANIFEST_LEN_MAX });
        }
        let mut data_offsets = Vec::with_capacity(manifest.len());
        let mut offset = prelude_len(manifest_len);
        for member in manifest.iter() {
            let data_offset = offset + headers_len(offset, member.path, member.len);
            let end = data_offset.checked_add(member.len).filter(|end| *end <= ARCHIVE_LEN_MAX - TRAILER_LEN - TRAILER_LEN);
            let Some(end) = end else {
                return Err(Error::ArchiveTooLong { path: member.path.to_owned(), len: member.len, max: ARCHIVE_LEN_MAX });
            };
            data_offsets.push(data_offset);
            offset = end + padding_len(member.len);
        }
        let manifest_sha256 = Sha256Digest::of(&manifest_bytes);
        Ok(Self { manifest, manifest_bytes, manifest_sha256, data_offsets, archive_len: offset + TRAILER_LEN })
    }

    /// The members and the subject.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// The contents of the first member.
    pub fn manifest_bytes(&self) -> &[u8] {
        &self.manifest_bytes
    }

    /// The digest of [`Plan::manifest_bytes`]: two archives with the same one have the same bytes.
    pub fn manifest_sha256(&self) -> Sha256Digest {
        self.manifest_sha256
    }

    /// Length of the archive in bytes.
    pub fn archive_len(&self) -> u64 {
        self.archive_len
    }

    /// Sum of the lengths of the members' data in bytes.
    pub fn data_len(&self) -> u64 {
        self.manifest.iter().map(|member| member.len).sum()
    }

    /// Where the data of a member starts in the archive.
    pub fn data_offset(&self, index: usize) -> Option<u64> {
        self.data_offsets.get(index).copied()
    }

    /// Where the headers of a member start in the archive.
    pub fn header_offset(&self, index: usize) -> Option<u64> {
        if index >= self.data_offsets.len() {
            return None;
        }
        match index.checked_sub(1) {
            Some(before) => {
                let len = self.manifest.get(before)?.len;
                Some(self.data_offset(before)? + len + padding_len(len))
            }
            None => Some(prelude_len(self.manifest_bytes.len() as u64)),
        }
    }

    /// Everything in the archive that is not a member's data, as offsets and bytes in order: what is left to whoever puts the
    /// data into place by other means, such as sharing blocks.
    pub fn frame(&self) -> impl Iterator<Item = (u64, Vec<u8>)> {
        let prelude = [self.manifest_header().as_slice(), &self.manifest_bytes, &self.digest_member()].concat();
        let members = self
            .placed()
            .flat_map(|placed| [(placed.header_offset, placed.headers()), (placed.data_end(), placed.padding().to_vec())]);
        let trailer = (self.trailer_offset(), TRAILER.to_vec());
        [(0, prelude)].into_iter().chain(members).chain([trailer]).filter(|(_, bytes)| !bytes.is_empty())
    }

    /// The members with their places, in the order of the archive.
    pub(crate) fn placed(&self) -> impl Iterator<Item = Placed<'_>> {
        (0..self.manifest.len()).filter_map(|index| self.place(index))
    }

    /// A member with its place.
    pub(crate) fn place(&self, index: usize) -> Option<Placed<'_>> {
        let member = self.manifest.get(index)?;
        Some(Placed { index, member, header_offset: self.header_offset(index)?, data_offset: self.data_offset(index)? })
    }

    /// Where the zero blocks start that end the archive.
    pub(crate) fn trailer_offset(&self) -> u64 {
        self.archive_len - TRAILER_LEN
    }

    /// What is wrong with an archive that does not end in [`TRAILER`].
    pub(crate) fn trailer_problem(&self) -> Problem {
        Problem::Trailer { offset: self.trailer_offset() }
    }

    /// The header of the manifest.
    pub(crate) fn manifest_header(&self) -> [u8; 512] {
        manifest_header(self.manifest_bytes.len() as u64)
    }

    /// What stands between the manifest and the first member's headers: zeros and the digest member.
    pub(crate) fn digest_member(&self) -> Vec<u8> {
        let mut bytes = vec![0; zeros(padding_len(self.manifest_bytes.len() as u64))];
        bytes.extend_from_slice(&digest_header());
        bytes.extend_from_slice(self.manifest_sha256.to_string().as_bytes());
        bytes.resize(bytes.len() + zeros(padding_len(64)), 0);
        bytes
    }
}

/// A member and where it stands.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Placed<'a> {
    pub(crate) index: usize,
    pub(crate) member: MemberRef<'a>,
    pub(crate) header_offset: u64,
    pub(crate) data_offset: u64,
}

impl Placed<'_> {
    pub(crate) fn headers(&self) -> Vec<u8> {
        headers(self.header_offset, self.member.path, self.member.len)
    }

    pub(crate) fn data_end(&self) -> u64 {
        self.data_offset + self.member.len
    }

    pub(crate) fn padding_len(&self) -> usize {
        zeros(padding_len(self.member.len))
    }

    /// What stands between the data and the next member.
    pub(crate) fn padding(&self) -> &'static [u8] {
        ZEROS.get(..self.padding_len()).unwrap_or(&ZEROS)
    }

    /// What is wrong with an archive that has other bytes than [`Placed::headers`] at this place.
    pub(crate) fn header_problem(&self) -> Problem {
        Problem::Header { member: self.member.path.to_owned(), offset: self.header_offset }
    }

    /// What is wrong with an archive that has other bytes than [`Placed::padding`] at this place.
    pub(crate) fn padding_problem(&self) -> Problem {
        Problem::Padding { member: self.member.path.to_owned(), offset: self.data_end() }
    }
}

/// A padding's length, which is two blocks at most, as an index.
fn zeros(padding_len: u64) -> usize {
    usize::try_from(padding_len).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::format::layout::{ALIGN_FROM_LEN, DATA_ALIGNMENT, MEMBERS_MAX};
    use crate::format::path::MemberPath;
    use icecore_io::digest::Crc32c;

    fn member(path: &str, len: u64) -> Member {
        Member { path: MemberPath::new(path).unwrap(), len, sha256: Sha256Digest([7; 32]), crc32c: Crc32c(9) }
    }

    #[test]
    fn places_follow_each_other_and_large_data_is_aligned() {
        let lens = [0, 1, ALIGN_FROM_LEN - 1, ALIGN_FROM_LEN, ALIGN_FROM_LEN + 1, 1 << 33, 1 << 40, 5];
        let members = lens.iter().enumerate().map(|(index, len)| member(&format!("m{index}"), *len)).collect();
        let plan = Plan::new(json!({}), members).unwrap();
        let mut end = 512 + plan.manifest_bytes().len() as u64 + plan.digest_member().len() as u64;
        for placed in plan.placed() {
            assert_eq!(placed.header_offset, end);
            assert_eq!(placed.data_offset, end + placed.headers().len() as u64);
            assert!(placed.member.len < ALIGN_FROM_LEN || placed.data_offset % DATA_ALIGNMENT == 0);
            end = placed.data_end() + placed.padding_len() as u64;
            assert_eq!(end % 512, 0);
        }
        assert_eq!((plan.trailer_offset(), plan.archive_len()), (end, end + 1024));
        assert_eq!((plan.header_offset(lens.len()), plan.data_offset(lens.len())), (None, None));
        assert_eq!(plan.data_len(), lens.iter().sum::<u64>());
    }

    #[test]
    fn equal_lists_make_equal_plans_and_any_change_another() {
        let plan = |subject, path, len| Plan::new(subject, vec![member(path, len)]).unwrap();
        let one = plan(json!({"a": 1, "b": 2}), "x", 3);
        assert_eq!(one, plan(serde_json::from_str(r#"{"b": 2, "a": 1}"#).unwrap(), "x", 3));
        for other in [plan(json!({"a": 1}), "x", 3), plan(json!({"a": 1, "b": 2}), "y", 3), plan(json!({"a": 1, "b": 2}), "x", 4)]
        {
            assert_ne!(one.manifest_sha256(), other.manifest_sha256());
        }
    }

    #[test]
    fn what_cannot_exist_is_refused() {
        for len in [u64::MAX, ARCHIVE_LEN_MAX, ARCHIVE_LEN_MAX - 2048] {
            let refused = Plan::new(Value::Null, vec![member("x", len)]);
            assert!(matches!(refused, Err(Error::ArchiveTooLong { .. })), "{len}");
        }
        let half = ARCHIVE_LEN_MAX / 2;
        assert!(Plan::new(Value::Null, vec![member("x", half)]).is_ok());
        assert!(Plan::new(Value::Null, vec![member("x", half), member("y", half)]).is_err());
        // Zeroed memory that nobody touches costs nothing.
        let too_long = vec![0; usize::try_from(MANIFEST_LEN_MAX).unwrap() + 1];
        let refused = Plan::from_manifest(Manifest::new(Value::Null, []).unwrap(), too_long);
        assert!(matches!(refused, Err(Error::ManifestTooLong { .. })));
    }

    #[test]
    fn one_member_more_than_the_limit_is_refused() {
        let members = (0..=MEMBERS_MAX).map(|index| member(&index.to_string(), 1)).collect();
        assert!(matches!(Plan::new(Value::Null, members), Err(Error::TooManyMembers { count: 1_000_001, max: MEMBERS_MAX })));
    }
}
