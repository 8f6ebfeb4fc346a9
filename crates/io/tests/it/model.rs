//! Random operations: the replay against the file system that was recorded.

use std::path::Path;
use std::sync::Arc;

use icecore_io::{CrashKind, Fs, MemFs, RecordingFs, Rng};

use crate::crash::{at_end, everything, p};

/// Does one random operation, which may well fail.
fn random_op(fs: &RecordingFs, rng: &mut Rng) {
    let dirs = ["/", "/d", "/e", "/d/f"];
    let pick = |rng: &mut Rng| {
        let dir = dirs[usize::try_from(rng.below(4)).unwrap()];
        Path::new(dir).join(["a", "b", "d", "e", "f"][usize::try_from(rng.below(5)).unwrap()])
    };
    let (one, two) = (pick(rng), pick(rng));
    let _: std::io::Result<()> = match rng.below(12) {
        0 => fs.create_dir(&one),
        1 => fs.create_new(&one).map(drop),
        2 => fs.rename(&one, &two),
        3 => fs.rename_noreplace(&one, &two),
        4 => fs.link(&one, &two),
        5 => fs.remove_file(&one),
        6 => fs.remove_dir(&one),
        7 => fs.sync_dir(one.parent().unwrap()),
        8 => fs.open_write(&one).and_then(|file| file.sync_data()),
        9 => fs.open_write(&one).and_then(|file| file.set_len(rng.below(2000))),
        10 => fs.set_mode(&one, 0o600),
        _ => fs.open_write(&one).and_then(|file| {
            let byte = rng.next_u64().to_le_bytes()[0];
            let data = vec![byte; usize::try_from(rng.below(1500)).unwrap()];
            file.write_all_at(&data, rng.below(1000))
        }),
    };
}

/// Random operations on few names, so that they meet in every way: the image of a kill is always what the file system itself
/// holds, every other image can be built, and once everything is synced all images agree.
#[test]
fn a_replay_agrees_with_the_file_system_that_was_recorded() {
    let mut recorded = 0;
    for seed in 0..40 {
        let mut rng = Rng::new(seed);
        let memory = MemFs::new();
        let fs = RecordingFs::new(Arc::new(memory.clone()));
        let mut states = vec![(0, everything(&memory))];
        for _ in 0..600 {
            random_op(&fs, &mut rng);
            states.push((fs.ops().len(), everything(&memory)));
        }
        let mut replay = fs.replay();
        for (position, state) in states {
            replay.advance_to(position);
            assert_eq!(everything(&replay.image(CrashKind::Kill)), state, "seed {seed}, position {position}");
            everything(&replay.image(CrashKind::PowerLossMin));
            everything(&replay.image(CrashKind::PowerLossRandom { seed }));
        }
        recorded += replay.position();

        let state = everything(&memory);
        for (path, contents) in state.iter().rev() {
            match contents {
                Some(_) => fs.open_read(path).unwrap().sync_data().unwrap(),
                None => fs.sync_dir(path).unwrap(),
            }
        }
        fs.sync_dir(p("/")).unwrap();
        let replay = at_end(&fs);
        assert_eq!(everything(&replay.image(CrashKind::PowerLossMin)), state, "seed {seed}");
        assert_eq!(everything(&replay.image(CrashKind::PowerLossRandom { seed })), state, "seed {seed}");
    }
    assert!(recorded > 1000, "only {recorded} operations took effect");
}
