//! The restore of one archive into a running server: everything, a collection or a shard, missing or in use.
//!
//! It has two halves. [`stage`] does all the work and changes nothing; [`Staged::commit`] is one commit, before which requests see
//! the old data and after which they see the restored. Between the two nothing is locked.

use std::collections::BTreeMap;

use icecore_archive::Progress;
use icecore_io::{Share, in_background};
use icecore_storage::{Adoption, OnExisting};

use super::error::RestoreError;
use super::select::Target;
use super::source::{Expected, Input, Source, Unpacked, check_space};
use crate::app::App;
use crate::error::{AppError, Result};

/// What an archive is to become.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Goal {
    /// Everything that is in an archive of everything, aliases included. What is not in it stays; namesakes are replaced, whatever
    /// they are.
    Storage,
    /// A collection of this name, never an alias; created if it is missing.
    Collection(String),
    /// A shard of an existing collection.
    Shard {
        /// The collection's name, never an alias.
        collection: String,
        /// The shard's number.
        shard: u32,
    },
}

/// An archive that was unpacked and verified. Dropping it removes what was unpacked.
#[derive(Debug)]
pub(crate) struct Staged {
    unpacked: Unpacked,
    aliases: BTreeMap<String, String>,
    existing: OnExisting,
}

/// Unpacks and verifies what `goal` needs of an archive, and its digest, without a change of any data. Refuses at once what does
/// not fit what exists. Progress counts bytes read.
pub(crate) fn stage(app: &App, input: Input, goal: Goal, expected: Option<Expected>, progress: &dyn Progress) -> Result<Staged> {
    let target = match goal.clone() {
        Goal::Storage => Target::Storage,
        Goal::Collection(name) => Target::Collection(name),
        Goal::Shard { collection, shard } => Target::Shard { collection, shard },
    };
    let existing = match goal {
        Goal::Storage => OnExisting::Replace,
        Goal::Collection(_) | Goal::Shard { .. } => OnExisting::ReplaceAlike,
    };
    let source = Source::new(input, target, expected)?;
    let named: Vec<_> = source.named().collect();
    match goal {
        Goal::Storage | Goal::Collection(_) => app.storage.check_adoption(&named, source.aliases(), existing),
        Goal::Shard { .. } => source.shard().map_or(Ok(()), |(name, from)| app.storage.check_shard_adoption(name, from)),
    }
    .map_err(refused)?;
    drop(named);
    check_space(app.fs.as_ref(), &app.config.storage.storage_path, source.bytes())?;
    progress.start(source.work());
    let aliases = source.aliases().clone();
    let limited = app.bandwidth.limit(progress);
    Ok(Staged {
        unpacked: in_background(Share::Least, || source.unpack(app.fs.as_ref(), &app.storage, &limited))?,
        aliases,
        existing,
    })
}

/// An archive of a collection, the name that this gets, and the digest of the whole.
pub(crate) type Part = (Input, String, Option<Expected>);

/// As [`stage`] does, of several archives of collections that one commit puts in place together with these aliases. What has their
/// names is replaced, whatever it is.
pub(crate) fn stage_all(
    app: &App,
    parts: Vec<Part>,
    aliases: BTreeMap<String, String>,
    progress: &dyn Progress,
) -> Result<Staged> {
    let existing = OnExisting::Replace;
    let source = |(input, name, expected)| Source::new(input, Target::Collection(name), expected);
    let sources = parts.into_iter().map(source).collect::<Result<Vec<_>, _>>()?;
    let named: Vec<_> = sources.iter().flat_map(Source::named).collect();
    app.storage.check_adoption(&named, &aliases, existing).map_err(refused)?;
    drop(named);
    check_space(app.fs.as_ref(), &app.config.storage.storage_path, sources.iter().map(Source::bytes).sum())?;
    progress.start(sources.iter().map(Source::work).sum());
    let mut all = Unpacked { collections: Vec::new(), shards: Vec::new(), bytes: 0 };
    for source in sources {
        // What each says of its own beginning is in the sum.
        let limited = app.bandwidth.limit(progress);
        let unpacked = in_background(Share::Least, || source.unpack(app.fs.as_ref(), &app.storage, &limited))?;
        all.bytes += unpacked.bytes;
        all.collections.extend(unpacked.collections);
    }
    Ok(Staged { unpacked: all, aliases, existing })
}

impl Staged {
    /// Bytes of data that were unpacked.
    pub(crate) fn bytes(&self) -> u64 {
        self.unpacked.bytes
    }

    /// The collections that it changes, by their names here.
    pub(crate) fn collections(&self) -> impl Iterator<Item = &str> {
        let Unpacked { collections, shards, .. } = &self.unpacked;
        let whole = collections.iter().map(|adopted| adopted.name.as_str());
        whole.chain(shards.iter().map(|adopted| adopted.collection.as_str()))
    }

    /// Puts it in place. After an error nothing has changed.
    pub(crate) fn commit(self, app: &App) -> Result<()> {
        let Self { unpacked: Unpacked { collections, shards, .. }, aliases, existing } = self;
        let adoption = Adoption { collections, shards, aliases, existing };
        app.storage.adopt(adoption).map_err(refused)
    }
}

/// Damage here is damage of what was unpacked.
fn refused(error: icecore_storage::Error) -> AppError {
    use icecore_storage::{Error, ErrorKind};
    match error {
        Error::AliasExists { name } => RestoreError::NameIsAlias { name }.into(),
        error if error.kind() == ErrorKind::Corrupt => RestoreError::Content { source: error }.into(),
        error => error.into(),
    }
}
