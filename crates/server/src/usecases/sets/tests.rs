//! What a set may say, and what becomes of one whose archives are not there any more.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use icecore_archive::{Draft, Member, MemberPath};
use icecore_io::digest::Crc32c;
use icecore_io::{Fs, ManualClock, MemFs, read_file};
use serde_json::json;

use super::*;
use crate::stores::LocalStore;

fn read(subject: Value) -> Result<Set, String> {
    Set::of(Plan::new(subject, Vec::new()).unwrap().manifest())
}

fn subject(archives: Value, aliases: Value) -> Value {
    json!({"kind": "set", "cluster": "east", "archives": archives, "aliases": aliases})
}

fn raw(collection: &str, shard: Option<u32>) -> Value {
    let sha256 = Sha256Digest::of(b"").to_string();
    json!({"collection": collection, "shard": shard, "name": "a.snapshot", "len": 1, "sha256": sha256})
}

fn store() -> LocalStore {
    store_on(&MemFs::new())
}

fn store_on(disk: &MemFs) -> LocalStore {
    LocalStore::open(Arc::new(disk.clone()), Arc::new(ManualClock::new(Duration::from_secs(1_721_637_115))), "/s".into()).unwrap()
}

fn put(store: &dyn Store, set: &Set, name: &str) -> ArchiveName {
    let plan = set.plan().unwrap();
    let source = |_| -> std::io::Result<_> { unreachable!("it has no members") };
    let name: ArchiveName = name.parse().unwrap();
    let draft = Draft { plan: &plan, source: &source, compression: None, sharing: None };
    store.put(&set.place(), &name, draft, &()).unwrap();
    name
}

/// A set of the collections, with their archives and itself in the store.
fn kept(store: &dyn Store, collections: &[&str]) -> (Set, ArchiveName) {
    let archives = collections.iter().map(|collection| {
        let place = Place::Elsewhere { cluster: "east".to_owned(), collection: (*collection).to_owned(), shard: None };
        let name: ArchiveName = format!("{collection}.snapshot").parse().unwrap();
        let info = store.put_stream(&place, &name, &mut collection.as_bytes(), None, &()).unwrap();
        Listed { collection: (*collection).to_owned(), shard: None, name, len: info.size, sha256: info.sha256.unwrap() }
    });
    let set = Set { cluster: "east".to_owned(), archives: archives.collect(), aliases: BTreeMap::new() };
    let name = put(store, &set, "set.snapshot");
    (set, name)
}

#[test]
fn a_set_is_read_as_it_is_written() {
    let store = store();
    let (mut set, name) = kept(&store, &["a", "b"]);
    assert_eq!(open(&store, "east", &name, None).unwrap(), set);
    set.aliases.insert("now".to_owned(), "b".to_owned());
    assert_eq!(Set::of(set.plan().unwrap().manifest()), Ok(set));
    assert!(store.places().unwrap().contains(&Place::Cluster("east".to_owned())));
    let wrong = open(&store, "east", &name, Some(Sha256Digest::of(b""))).unwrap_err();
    assert!(wrong.to_string().contains("asked for"), "{wrong}");
}

/// Sound in itself, as long as the one that was made, and not that one.
#[test]
fn another_set_in_the_place_of_one_is_refused() {
    let disk = MemFs::new();
    let store = store_on(&disk);
    let (mut set, _) = kept(&store, &["a", "b"]);
    let mut names = Vec::new();
    for collection in ["a", "b"] {
        set.aliases.insert("now".to_owned(), collection.to_owned());
        names.push(put(&store, &set, &format!("{collection}.snapshot")));
    }
    let path = |name: &ArchiveName| Path::new("/s/clusters/east").join(name.as_str());
    let other = read_file(&disk, &path(&names[1]), 1 << 20).unwrap();
    disk.remove_file(&path(&names[0])).unwrap();
    disk.create_new(&path(&names[0])).unwrap().write_all_at(&other, 0).unwrap();
    assert!(open(&store, "east", &names[1], None).is_ok());
    let error = open(&store, "east", &names[0], None).unwrap_err();
    assert!(error.to_string().contains("noted"), "{error}");

    // Of another cluster, where the store has noted nothing.
    let west = Path::new("/s/clusters/west");
    disk.create_dir(west).unwrap();
    disk.create_new(&west.join("x.snapshot")).unwrap().write_all_at(&other, 0).unwrap();
    let error = open(&store, "west", &"x.snapshot".parse().unwrap(), None).unwrap_err();
    assert!(error.to_string().contains("\"east\""), "{error}");
}

#[test]
fn a_set_that_breaks_a_rule_is_refused() {
    let whole = subject(json!([raw("a", None), raw("b", Some(0)), raw("b", Some(1))]), json!({"x": "a"}));
    assert_eq!(read(whole).unwrap().archives.len(), 3);
    let mut hostile = raw("a", None);
    hostile["name"] = json!("../a.snapshot");
    let mut digest = raw("a", None);
    digest["sha256"] = json!("E3B0");
    let mut more = raw("a", None);
    more["place"] = json!("/etc");
    for (archives, aliases) in [
        (json!([raw("b", None), raw("a", None)]), json!({})),
        (json!([raw("a", None), raw("a", None)]), json!({})),
        (json!([raw("a", None), raw("a", Some(0))]), json!({})),
        (json!([raw("../x", None)]), json!({})),
        (json!([hostile]), json!({})),
        (json!([digest]), json!({})),
        (json!([more]), json!({})),
        (json!([raw("a", None)]), json!({"x": "b"})),
    ] {
        assert!(read(subject(archives.clone(), aliases)).is_err(), "{archives}");
    }
    for (key, value) in [("cluster", json!("..")), ("kind", json!("sets")), ("more", json!(1))] {
        let mut wrong = subject(json!([]), json!({}));
        wrong[key] = value;
        assert!(read(wrong.clone()).is_err(), "{wrong}");
    }
    let member = Member { path: MemberPath::new("m").unwrap(), len: 0, sha256: Sha256Digest::of(b""), crc32c: Crc32c::default() };
    let plan = Plan::new(subject(json!([]), json!({})), vec![member]).unwrap();
    assert_eq!(Set::of(plan.manifest()), Err("a set has no members".to_owned()));
}

#[test]
fn what_a_set_lists_and_the_store_has_not_is_named() {
    let store = store();
    let (set, name) = kept(&store, &["a", "b", "c"]);
    set.check_whole(&store, &name).unwrap();
    assert!(matches!(verify(&store, "east", &name, SystemTime::UNIX_EPOCH, &()).unwrap(), Verdict::Sound));
    let place = |at: usize| set.archives[at].place("east");
    store.delete(&place(1), &set.archives[1].name).unwrap();
    store.delete(&place(2), &set.archives[2].name).unwrap();
    store.put_stream(&place(2), &set.archives[2].name, &mut b"d".as_slice(), None, &()).unwrap();
    let error = set.check_whole(&store, &name).unwrap_err();
    let text = error.to_string();
    assert!(text.contains("b.snapshot of collection \"b\" is not in the store"), "{text}");
    assert!(text.contains("c.snapshot of collection \"c\" has the SHA-256") && !text.contains("a.snapshot"), "{text}");
    let Verdict::Damaged { count: 2, first } = verify(&store, "east", &name, SystemTime::UNIX_EPOCH, &()).unwrap() else {
        panic!("it is not whole")
    };
    assert!(first.contains("b.snapshot"), "{first}");
}

#[test]
fn the_document_has_the_fields() {
    let document = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../FORMAT.md")).unwrap();
    let (_, section) = document.split_once("### The subject of a set\n").unwrap();
    let (table, _) = section.split_once("| violation |").unwrap();
    let first = |line: &str| Some(line.strip_prefix("| `")?.split_once('`')?.0.to_owned());
    let documented: BTreeSet<String> = table.lines().filter_map(first).collect();
    let (set, _) = kept(&store(), &["a"]);
    let subject = set.plan().unwrap().manifest().subject().clone();
    let keys = |value: &Value, before: &str| {
        value.as_object().unwrap().keys().map(|key| format!("{before}{key}")).collect::<BTreeSet<_>>()
    };
    let fields = &keys(&subject, "") | &keys(&subject["archives"][0], "archives[].");
    assert_eq!(documented, fields);
    assert!(table.contains(&format!("| `kind` | string | `{SET_KIND}` |")), "{table}");
}
