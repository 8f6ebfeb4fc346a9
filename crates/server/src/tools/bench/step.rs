//! What is measured, in which order, and what bounds it. Pure.
//!
//! A round measures everything once. What is compared stands in one group, whose order turns around with every round: what the first
//! of them leaves to the second (memory, a busy disk) is not always to the good of the same one.
//!
//! Another way of making archives is another step here and a branch in `stages`: its name, its limit, and its place in a group.

/// One thing that is measured in every round.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// A plain digest.
    Digest,
    /// A plain copy.
    Copy,
    /// Both at once.
    CreateLimit,
    /// icecore makes an archive.
    Create,
    /// Other programs do.
    TarCreate,
    /// Others do, and compress it.
    ZstdCreate,
    /// Plain digests on all cores.
    VerifyLimit,
    /// icecore verifies its archive.
    Verify,
    /// Plain digests on all cores, and plain copies.
    RestoreLimit,
    /// icecore restores its archive.
    Restore,
    /// Other programs do with theirs.
    TarRestore,
    /// Others do with their compressed one.
    ZstdRestore,
    /// icecore makes another archive of what has not changed; the first was not verified by the store before.
    CreateAgain,
    /// icecore makes one more, when the first has been.
    CreateOnceMore,
    /// The program `zstd` compresses a tar that is there.
    CompressedLimit,
    /// icecore makes a compressed archive.
    CreateCompressed,
}

/// A round: what makes an archive comes in a group before that which needs it.
const ROUND: [&[Step]; 6] = [
    &[Step::Digest, Step::Copy, Step::CreateLimit, Step::Create, Step::TarCreate, Step::ZstdCreate],
    &[Step::VerifyLimit, Step::Verify],
    &[Step::RestoreLimit, Step::Restore, Step::TarRestore, Step::ZstdRestore],
    &[Step::CreateAgain],
    &[Step::CreateOnceMore],
    &[Step::CompressedLimit, Step::CreateCompressed],
];

/// The rows of the result.
pub(super) const ROWS: [Step; 16] = [
    Step::Digest,
    Step::Copy,
    Step::CreateLimit,
    Step::Create,
    Step::CreateAgain,
    Step::CreateOnceMore,
    Step::TarCreate,
    Step::ZstdCreate,
    Step::CompressedLimit,
    Step::CreateCompressed,
    Step::VerifyLimit,
    Step::Verify,
    Step::RestoreLimit,
    Step::Restore,
    Step::TarRestore,
    Step::ZstdRestore,
];

/// The steps of a round, the first being round 0.
pub(super) fn of_round(number: u32) -> impl Iterator<Item = Step> {
    ROUND.into_iter().flat_map(move |group| {
        let mut steps = group.to_vec();
        if number % 2 == 1 {
            steps.reverse();
        }
        steps
    })
}

impl Step {
    /// Its name in JSON, and beside a progress bar.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Digest => "digest",
            Self::Copy => "copy",
            Self::CreateLimit => "create_limit",
            Self::Create => "create",
            Self::TarCreate => "tar_create",
            Self::ZstdCreate => "zstd_create",
            Self::VerifyLimit => "verify_limit",
            Self::Verify => "verify",
            Self::RestoreLimit => "restore_limit",
            Self::Restore => "restore",
            Self::TarRestore => "tar_restore",
            Self::ZstdRestore => "zstd_restore",
            Self::CreateAgain => "create_again",
            Self::CreateOnceMore => "create_once_more",
            Self::CompressedLimit => "compressed_limit",
            Self::CreateCompressed => "create_compressed",
        }
    }

    /// What is done, for people.
    pub(super) fn title(self) -> &'static str {
        match self {
            Self::Digest => "SHA-256 on one core",
            Self::Copy => "copy, synced",
            Self::CreateLimit => "limit of create: both at once",
            Self::Create => "create",
            Self::TarCreate => "tar | tee | openssl, synced",
            Self::ZstdCreate => "tar | zstd -T0 | tee | openssl, synced",
            Self::VerifyLimit => "limit of verify: SHA-256 on all cores",
            Self::Verify => "verify",
            Self::RestoreLimit => "limit of restore: that and copies, synced",
            Self::Restore => "restore, until ready",
            Self::TarRestore => "openssl, then tar -x, synced",
            Self::ZstdRestore => "openssl, then zstd -d | tar -x, synced",
            Self::CreateAgain => "create again, nothing changed",
            Self::CreateOnceMore => "create once more, nothing changed",
            Self::CompressedLimit => "limit of compressing: zstd -3 on all cores, synced",
            Self::CreateCompressed => "create, compressed (zstd, level 3)",
        }
    }

    /// The step whose time no program can go below; none for the plain programs themselves.
    pub(super) fn limit(self) -> Option<Self> {
        match self {
            Self::Digest | Self::Copy | Self::CreateLimit | Self::VerifyLimit | Self::RestoreLimit | Self::CompressedLimit => {
                None
            }
            Self::Create | Self::TarCreate | Self::ZstdCreate | Self::CreateAgain | Self::CreateOnceMore => {
                Some(Self::CreateLimit)
            }
            Self::CreateCompressed => Some(Self::CompressedLimit),
            Self::Verify => Some(Self::VerifyLimit),
            Self::Restore | Self::TarRestore | Self::ZstdRestore => Some(Self::RestoreLimit),
        }
    }

    /// The programs beside icecore that it needs.
    pub(super) fn programs(self) -> &'static [&'static str] {
        match self {
            Self::TarCreate => &["tar", "tee", "openssl"],
            Self::TarRestore => &["tar", "openssl"],
            Self::ZstdCreate => &["tar", "zstd", "tee", "openssl"],
            Self::ZstdRestore => &["tar", "zstd", "openssl"],
            // It compresses what tar has made.
            Self::CompressedLimit => &["tar", "tee", "openssl", "zstd"],
            _ => &[],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_is_measured_once_in_every_round() {
        for number in [0, 1] {
            let steps: Vec<Step> = of_round(number).collect();
            assert_eq!(steps.len(), ROWS.len());
            assert!(ROWS.iter().all(|row| steps.contains(row)), "{steps:?}");
            let place = |step| steps.iter().position(|other| *other == step).unwrap();
            assert!(place(Step::Create) < place(Step::Verify) && place(Step::Verify) < place(Step::Restore));
            assert!(place(Step::Create) < place(Step::CreateAgain) && place(Step::CreateAgain) < place(Step::CreateOnceMore));
            assert!(place(Step::TarCreate) < place(Step::CompressedLimit));
            assert!(place(Step::TarCreate) < place(Step::TarRestore) && place(Step::ZstdCreate) < place(Step::ZstdRestore));
        }
    }

    #[test]
    fn what_is_compared_changes_places() {
        let before = |number| {
            let steps: Vec<Step> = of_round(number).collect();
            let place = |step| steps.iter().position(|other| *other == step).unwrap();
            let pairs =
                [Step::Create, Step::Verify, Step::Restore, Step::CreateCompressed].map(|step| (step.limit().unwrap(), step));
            pairs.map(|(limit, own)| place(limit) < place(own))
        };
        assert_eq!((before(0), before(1), before(2)), ([true; 4], [false; 4], [true; 4]));
    }

    #[test]
    fn names_differ_and_limits_have_none() {
        let mut names: Vec<&str> = ROWS.iter().map(|step| step.name()).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), ROWS.len());
        assert!(ROWS.iter().filter_map(|step| step.limit()).all(|limit| limit.limit().is_none()));
    }
}
