//! Changes of the aliases, all or none.

use std::collections::{BTreeMap, BTreeSet};

use crate::error::{Error, Result};
use crate::names;

/// One change of the aliases.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AliasAction {
    /// Points an alias at a collection; an existing alias of that name is moved.
    Create {
        /// The collection's name, not an alias.
        collection: String,
        /// The alias.
        alias: String,
    },
    /// Removes an alias.
    Delete {
        /// The alias.
        alias: String,
    },
    /// Renames an alias.
    Rename {
        /// Its name so far.
        old: String,
        /// Its new name, which no other alias has.
        new: String,
    },
}

/// The aliases after `actions`, applied in their order.
pub(crate) fn apply(
    mut aliases: BTreeMap<String, String>,
    collections: &BTreeSet<&str>,
    actions: &[AliasAction],
) -> Result<BTreeMap<String, String>> {
    for action in actions {
        match action {
            AliasAction::Create { collection, alias } => {
                if !collections.contains(collection.as_str()) {
                    return Err(Error::CollectionNotFound { name: collection.clone() });
                }
                check_new_name(alias, collections)?;
                aliases.insert(alias.clone(), collection.clone());
            }
            AliasAction::Delete { alias } => {
                if aliases.remove(alias).is_none() {
                    return Err(Error::AliasNotFound { name: alias.clone() });
                }
            }
            AliasAction::Rename { old, new } => {
                check_new_name(new, collections)?;
                if old != new && aliases.contains_key(new) {
                    return Err(Error::AliasExists { name: new.clone() });
                }
                let collection = aliases.remove(old).ok_or_else(|| Error::AliasNotFound { name: old.clone() })?;
                aliases.insert(new.clone(), collection);
            }
        }
    }
    Ok(aliases)
}

fn check_new_name(alias: &str, collections: &BTreeSet<&str>) -> Result<()> {
    names::validate(alias)?;
    if collections.contains(alias) {
        return Err(Error::AliasShadowsCollection { name: alias.to_owned() });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(actions: &[AliasAction]) -> Result<BTreeMap<String, String>> {
        apply(BTreeMap::from([("a".to_owned(), "one".to_owned())]), &BTreeSet::from(["one", "two"]), actions)
    }

    fn create(collection: &str, alias: &str) -> AliasAction {
        AliasAction::Create { collection: collection.into(), alias: alias.into() }
    }

    #[test]
    fn an_alias_is_switched_in_one_call() {
        let switched = run(&[AliasAction::Delete { alias: "a".into() }, create("two", "a")]).unwrap();
        assert_eq!(switched["a"], "two");
        assert_eq!(run(&[create("two", "a")]).unwrap()["a"], "two");
    }

    #[test]
    fn a_wrong_action_names_what_is_wrong() {
        assert!(matches!(run(&[create("three", "b")]), Err(Error::CollectionNotFound { .. })));
        assert!(matches!(run(&[create("one", "two")]), Err(Error::AliasShadowsCollection { .. })));
        assert!(matches!(run(&[create("one", "../x")]), Err(Error::InvalidName { .. })));
        assert!(matches!(run(&[AliasAction::Delete { alias: "b".into() }]), Err(Error::AliasNotFound { .. })));
        let rename = |old: &str, new: &str| AliasAction::Rename { old: old.into(), new: new.into() };
        assert!(matches!(run(&[rename("b", "c")]), Err(Error::AliasNotFound { .. })));
        assert!(matches!(run(&[create("two", "b"), rename("a", "b")]), Err(Error::AliasExists { .. })));
        assert_eq!(run(&[rename("a", "c")]).unwrap()["c"], "one");
    }
}
