//! The engine against a map in memory: opened again, cut off, damaged.

use super::segment::list;
use super::*;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io::{Seek, SeekFrom, Write};
use std::path::PathBuf;

/// Small enough for segments, tables in memory and merges to come often.
const SMALL: Options =
    Options { cache_bytes: 1 << 20, journal_bytes_max: 256 << 10, segment_bytes: 32 << 10 };

fn spaces(apart: bool) -> KeyspaceOptions {
    KeyspaceOptions {
        memtable_bytes: 24 << 10,
        new_tables: 4,
        table_bytes: 16 << 10,
        apart_from: apart.then_some(64),
    }
}

type Model = BTreeMap<Vec<u8>, Vec<u8>>;

fn all(rows: Rows) -> Model {
    let read = |entry: Entry| {
        let (key, value) = entry.into_inner().unwrap();
        (key.to_vec(), value.to_vec())
    };
    rows.map(read).collect()
}

fn copy(from: &Path, to: &Path) -> std::io::Result<()> {
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from)? {
        let (entry, target) = (entry.as_ref().unwrap(), to.join(entry.as_ref().unwrap().file_name()));
        if entry.file_type()?.is_dir() {
            if !target.exists() {
                copy(&entry.path(), &target)?;
            }
        } else {
            std::fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}

/// A copy of a store that is open, as it would be after a crash; none: its threads changed files meanwhile. The journal comes first: what is in tables
/// by the time that they are copied may be in it as well, but nothing is in neither.
fn crashed(folder: &Path, copied: &Path) -> Option<Database> {
    copy(&folder.join("journal"), &copied.join("journal")).ok()?;
    copy(folder, copied).ok()?;
    Database::open(copied, SMALL).ok()
}

/// The journal's files that may have records, oldest first.
fn journals(folder: &Path) -> Vec<PathBuf> {
    let folder = folder.join("journal");
    list(&folder, "journal")
        .unwrap()
        .into_iter()
        .map(|number| folder.join(format!("{number}.journal")))
        .collect()
}

#[test]
fn any_order_of_changes_snapshots_and_starts_reads_as_a_map_does() {
    let mut crashes = 0;
    for seed in 0..12 {
        let mut random = StdRng::seed_from_u64(seed);
        let folder = tempfile::tempdir().unwrap();
        let names = ["one", "two", "apart"];
        let mut models: Vec<Model> = vec![Model::new(); names.len()];
        for _start in 0..4 {
            let database = Database::open(folder.path(), SMALL).unwrap();
            let open = |name: &&str| database.keyspace(name, spaces(*name == "apart")).unwrap();
            let mut keyspaces: Vec<Keyspace> = names.iter().map(open).collect();
            for (keyspace, model) in keyspaces.iter().zip(&models) {
                assert_eq!(&all(keyspace.iter()), model, "seed {seed}: what was there at the start");
            }
            let mut seen: Option<(Snapshot, Vec<Model>)> = None;
            for step in 0..400 {
                let mut batch = database.batch(0);
                for _ in 0..random.random_range(1..20) {
                    let place = random.random_range(0..names.len());
                    let key = random.random_range(0_u16..600).to_be_bytes().to_vec();
                    if random.random_bool(0.2) {
                        batch.remove(&keyspaces[place], key.as_slice());
                        models[place].remove(&key);
                    } else {
                        let row = vec![random.random::<u8>(); random.random_range(0..300)];
                        batch.insert(&keyspaces[place], key.as_slice(), row.as_slice());
                        models[place].insert(key, row);
                    }
                }
                batch.commit().unwrap();
                let place = random.random_range(0..names.len());
                let key = random.random_range(0_u16..600).to_be_bytes();
                let found = keyspaces[place].get(key).unwrap().map(|row| row.to_vec());
                assert_eq!(found.as_ref(), models[place].get(key.as_slice()), "seed {seed}, step {step}");
                if random.random_bool(0.03) {
                    if let Some((snapshot, then)) = &seen {
                        for (keyspace, model) in keyspaces.iter().zip(then) {
                            assert_eq!(
                                &all(snapshot.iter(keyspace)),
                                model,
                                "seed {seed}, step {step}: an old moment"
                            );
                            let some =
                                snapshot.range(keyspace, 100_u16.to_be_bytes()..200_u16.to_be_bytes()).rev();
                            let expected =
                                model.range(100_u16.to_be_bytes().to_vec()..200_u16.to_be_bytes().to_vec());
                            let keys: Vec<_> = some.map(|entry| entry.key().unwrap().to_vec()).collect();
                            assert_eq!(keys, expected.rev().map(|(key, _)| key.clone()).collect::<Vec<_>>());
                        }
                    }
                    seen = Some((database.snapshot(), models.clone()));
                }
                if random.random_bool(0.005) {
                    seen = None;
                    database.delete(&keyspaces[1]).unwrap();
                    assert!(matches!(keyspaces[1].insert("k", "v"), Err(LsmError::Gone)));
                    keyspaces[1] = open(&names[1]);
                    models[1].clear();
                }
                if random.random_bool(0.01) {
                    // The disk as another program would find it now.
                    let other = tempfile::tempdir().unwrap();
                    if let Some(database) = crashed(folder.path(), other.path()) {
                        crashes += 1;
                        for (name, model) in names.iter().zip(&models) {
                            let keyspace = database.keyspace(name, spaces(*name == "apart")).unwrap();
                            assert_eq!(
                                &all(keyspace.iter()),
                                model,
                                "seed {seed}, step {step}: after a crash"
                            );
                        }
                    }
                }
            }
            if random.random_bool(0.5) {
                let kept = keyspaces.iter().filter(|_| random.random_bool(0.5));
                database.purge(kept).unwrap();
            }
        }
    }
    assert!(crashes > 20, "{crashes}");
}

#[test]
fn the_journal_and_the_files_in_it_stay_bounded_and_are_used_again() {
    let folder = tempfile::tempdir().unwrap();
    let database = Database::open(folder.path(), SMALL).unwrap();
    let (busy, quiet) = (
        database.keyspace("busy", spaces(false)).unwrap(),
        database.keyspace("quiet", spaces(false)).unwrap(),
    );
    quiet.insert("one row", "that pins the first segment").unwrap();
    let first = journals(folder.path());
    let mut most = 0;
    for number in 0..3_000_u32 {
        busy.insert(number.to_be_bytes(), vec![7; 700]).unwrap();
        most = most.max(database.inner.writer.lock().journal.bytes());
    }
    assert!(!first[0].exists(), "the first segment is still needed");
    // What waits to be written out may be in as many segments again.
    assert!(most < 8 * SMALL.journal_bytes_max, "{most}");
    drop((busy, quiet, database));
    let database = Database::open(folder.path(), SMALL).unwrap();
    assert_eq!(all(database.keyspace("busy", spaces(false)).unwrap().iter()).len(), 3_000);
    let quiet = database.keyspace("quiet", spaces(false)).unwrap();
    assert_eq!(quiet.get("one row").unwrap().unwrap().as_ref(), b"that pins the first segment");
}

/// A store whose journal has three records, each two pages long, and where they begin.
fn three_records(folder: &Path) -> (PathBuf, [u64; 3]) {
    let database = Database::open(folder, SMALL).unwrap();
    let keyspace = database.keyspace("rows", spaces(false)).unwrap();
    for number in 1..=3_u8 {
        let mut batch = database.batch(2);
        batch.insert(&keyspace, [number], vec![number; 4_500]);
        batch.insert(&keyspace, [number, 0], "its fellow");
        batch.commit().unwrap();
    }
    let path = journals(folder).into_iter().next().unwrap();
    (path, [4_096, 12_288, 20_480])
}

fn overwrite(path: &Path, at: u64, bytes: &[u8]) {
    let mut file = OpenOptions::new().write(true).open(path).unwrap();
    file.seek(SeekFrom::Start(at)).unwrap();
    file.write_all(bytes).unwrap();
}

#[test]
fn a_last_batch_that_was_cut_off_is_left_out_whole_and_the_store_goes_on() {
    for (cut_at, length) in [(0, 1), (20, 4), (48, 8), (4_000, 200), (4_096, 4_096), (4_500, 60)] {
        let folder = tempfile::tempdir().unwrap();
        let (path, [_, _, last]) = three_records(folder.path());
        overwrite(&path, last + cut_at, &vec![0xa5; length]);
        for round in 0..3_u8 {
            let database = Database::open(folder.path(), SMALL).unwrap();
            let keyspace = database.keyspace("rows", spaces(false)).unwrap();
            let keys: Vec<_> = all(keyspace.iter()).into_keys().filter(|key| key[0] < 9).collect();
            assert_eq!(keys, [vec![1], vec![1, 0], vec![2], vec![2, 0]], "cut at {cut_at}, start {round}");
            assert_eq!(all(keyspace.iter()).len(), 4 + usize::from(round));
            keyspace.insert([9, round], "later").unwrap();
        }
    }
}

#[test]
fn a_hole_before_what_came_later_is_damage_and_no_silent_loss() {
    for hole in [0, 1] {
        let folder = tempfile::tempdir().unwrap();
        let (path, places) = three_records(folder.path());
        overwrite(&path, places[hole], &[0; 4_096]);
        let refusal = Database::open(folder.path(), SMALL).unwrap_err();
        assert!(matches!(&refusal, LsmError::Damaged(_)), "{refusal}");
    }
    // A whole segment of several that is gone, or that is cut short.
    for cut in [false, true] {
        let folder = tempfile::tempdir().unwrap();
        {
            let database = Database::open(folder.path(), Options { segment_bytes: 8_192, ..SMALL }).unwrap();
            let keyspace = database.keyspace("rows", spaces(false)).unwrap();
            for number in 0..8_u8 {
                keyspace.insert([number], vec![1; 2_000]).unwrap();
            }
        }
        let paths = journals(folder.path());
        assert!(paths.len() > 2, "{paths:?}");
        if cut {
            overwrite(&paths[1], 4_096, &[0; 4_096]);
        } else {
            std::fs::remove_file(&paths[1]).unwrap();
        }
        let refusal = Database::open(folder.path(), SMALL).unwrap_err();
        assert!(matches!(&refusal, LsmError::Damaged(_)), "{refusal}");
    }
    // A segment's beginning, and the list of keyspaces.
    let folder = tempfile::tempdir().unwrap();
    let (path, _) = three_records(folder.path());
    overwrite(&path, 8, &[0xff]);
    assert!(matches!(Database::open(folder.path(), SMALL), Err(LsmError::Damaged(_))));
    let folder = tempfile::tempdir().unwrap();
    three_records(folder.path());
    overwrite(&folder.path().join("catalog"), 20, &[0xff]);
    assert!(matches!(Database::open(folder.path(), SMALL), Err(LsmError::Damaged(_))));
    std::fs::remove_file(folder.path().join("catalog")).unwrap();
    assert!(matches!(Database::open(folder.path(), SMALL), Err(LsmError::Damaged(_))));
}

#[test]
fn after_a_write_that_failed_nothing_more_is_written_and_nothing_of_it_is_seen() {
    let folder = tempfile::tempdir().unwrap();
    {
        let database = Database::open(folder.path(), SMALL).unwrap();
        let keyspace = database.keyspace("rows", spaces(false)).unwrap();
        keyspace.insert("before", "1").unwrap();
        database.inner.writer.lock().journal.break_file();
        assert!(matches!(keyspace.insert("failed", "2"), Err(LsmError::Io(_))));
        assert!(keyspace.get("failed").unwrap().is_none());
        assert!(matches!(keyspace.insert("after", "3"), Err(LsmError::Failed)));
        assert_eq!(keyspace.get("before").unwrap().unwrap().as_ref(), b"1");
    }
    let database = Database::open(folder.path(), SMALL).unwrap();
    let keyspace = database.keyspace("rows", spaces(false)).unwrap();
    assert_eq!(all(keyspace.iter()).into_keys().collect::<Vec<_>>(), [b"before"]);
}

#[test]
fn after_a_thread_of_the_engine_panicked_nothing_more_is_written_and_nobody_waits() {
    let folder = tempfile::tempdir().unwrap();
    let database = Database::open(folder.path(), SMALL).unwrap();
    let keyspace = database.keyspace("rows", spaces(false)).unwrap();
    keyspace.insert("before", "1").unwrap();
    let inner = Arc::clone(&database.inner);
    let thread = std::thread::spawn(move || {
        let _fallen = work::Fallen(&inner);
        panic!("as a tree that cannot go on does");
    });
    assert!(thread.join().is_err());
    assert!(matches!(keyspace.insert("after", "2"), Err(LsmError::Failed)));
    assert_eq!(keyspace.get("before").unwrap().unwrap().as_ref(), b"1");
}

#[test]
fn a_batch_larger_than_any_segment_is_written_and_read_back() {
    let folder = tempfile::tempdir().unwrap();
    for round in 0..2_u8 {
        let database = Database::open(folder.path(), SMALL).unwrap();
        let keyspace = database.keyspace("rows", spaces(false)).unwrap();
        assert_eq!(all(keyspace.iter()).len(), 300 * usize::from(round));
        let mut batch = database.batch(300);
        for number in 0..300_u16 {
            let [high, low] = number.to_be_bytes();
            batch.insert(&keyspace, [round, high, low], vec![round; 1_000]);
        }
        batch.commit().unwrap();
        keyspace.insert([0, 0, 0], "overwritten").unwrap();
    }
    let database = Database::open(folder.path(), SMALL).unwrap();
    let keyspace = database.keyspace("rows", spaces(false)).unwrap();
    assert_eq!(all(keyspace.iter()).len(), 600);
    assert_eq!(keyspace.get([0, 0, 0]).unwrap().unwrap().as_ref(), b"overwritten");
}

#[test]
fn of_several_changes_of_a_row_in_one_batch_the_last_one_counts() {
    let folder = tempfile::tempdir().unwrap();
    let check = |keyspace: &Keyspace| {
        assert!(keyspace.get("put, then removed").unwrap().is_none());
        assert_eq!(keyspace.get("removed, then put").unwrap().unwrap().as_ref(), b"2");
        assert_eq!(keyspace.get("put twice").unwrap().unwrap().as_ref(), b"2");
    };
    {
        let database = Database::open(folder.path(), SMALL).unwrap();
        let keyspace = database.keyspace("rows", spaces(false)).unwrap();
        let mut batch = database.batch(0);
        batch.insert(&keyspace, "put, then removed", "1");
        batch.remove(&keyspace, "put, then removed");
        batch.remove(&keyspace, "removed, then put");
        batch.insert(&keyspace, "removed, then put", "2");
        batch.insert(&keyspace, "put twice", "1");
        batch.insert(&keyspace, "put twice", "2");
        batch.commit().unwrap();
        check(&keyspace);
    }
    let database = Database::open(folder.path(), SMALL).unwrap();
    check(&database.keyspace("rows", spaces(false)).unwrap());
}

#[test]
fn one_process_at_a_time_and_no_other_engines_files() {
    let folder = tempfile::tempdir().unwrap();
    let database = Database::open(folder.path(), SMALL).unwrap();
    assert!(matches!(Database::open(folder.path(), SMALL), Err(LsmError::Locked)));
    drop(database);
    Database::open(folder.path(), SMALL).unwrap();
    let foreign = tempfile::tempdir().unwrap();
    std::fs::write(foreign.path().join("0.jnl"), "rows of another engine").unwrap();
    assert!(matches!(Database::open(foreign.path(), SMALL), Err(LsmError::Foreign)));
}

#[test]
fn much_is_written_out_at_the_end_and_little_is_left_to_the_journal() {
    let folder = tempfile::tempdir().unwrap();
    let options = KeyspaceOptions::default();
    let database = Database::open(folder.path(), Options::default()).unwrap();
    let rows = database.keyspace("rows", KeyspaceOptions { memtable_bytes: 16 << 20, ..options }).unwrap();
    rows.insert("little", "row").unwrap();
    let in_memory = || database.inner.writer.lock().tables.bytes();
    database.settle(Duration::from_secs(60)).unwrap();
    assert!(in_memory() > 0);
    for number in 0..5_u8 {
        rows.insert([number], vec![number; 1 << 20]).unwrap();
    }
    database.settle(Duration::from_secs(60)).unwrap();
    assert_eq!(in_memory(), 0);
    drop((rows, database));
    let database = Database::open(folder.path(), Options::default()).unwrap();
    assert_eq!(database.inner.writer.lock().tables.bytes(), 0, "the start read something back");
    assert_eq!(all(database.keyspace("rows", options).unwrap().iter()).len(), 6);
}

#[test]
fn what_is_done_with_is_freed_though_nothing_more_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let database = Database::open(folder.path(), SMALL).unwrap();
    let keyspace = database.keyspace("rows", spaces(false)).unwrap();
    keyspace.insert("key", "row").unwrap();
    let memtable = Arc::downgrade(&lsm_tree::AbstractTree::active_memtable(&keyspace.space.tree));
    database.inner.rotate_all(0).unwrap();
    let patience = Instant::now() + Duration::from_secs(60);
    while memtable.upgrade().is_some() {
        assert!(Instant::now() < patience, "it is still held");
        std::thread::sleep(Duration::from_millis(10));
    }
    assert_eq!(keyspace.get("key").unwrap().unwrap().as_ref(), b"row");
    let (gone, folder) = (keyspace.clone(), keyspace.space.folder.clone());
    database.delete(&keyspace).unwrap();
    drop((gone, keyspace));
    while folder.exists() {
        assert!(Instant::now() < patience, "its files are still there");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn a_snapshot_sees_a_batch_whole_or_not_at_all_whatever_is_written_out_meanwhile() {
    const BATCHES: u64 = 3_000;
    let folder = tempfile::tempdir().unwrap();
    let database = Database::open(folder.path(), SMALL).unwrap();
    let keyspaces = ["one", "two", "three"].map(|name| database.keyspace(name, spaces(false)).unwrap());
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            for number in 1..=BATCHES {
                let mut batch = database.batch(6);
                for keyspace in &keyspaces {
                    batch.insert(keyspace, "number", number.to_be_bytes());
                    batch.insert(keyspace, number.to_be_bytes(), vec![7; 200]);
                }
                batch.commit().unwrap();
            }
        });
        let mut last = None;
        let mut seen = 0;
        while !writer.is_finished() {
            let snapshot = database.snapshot();
            let numbers = keyspaces.each_ref().map(|keyspace| snapshot.get(keyspace, "number").unwrap());
            assert!(numbers.iter().all(|number| *number == numbers[0]), "{numbers:?}");
            assert!(numbers[0] >= last, "{numbers:?} after {last:?}");
            seen += usize::from(numbers[0] != last);
            [last, ..] = numbers;
        }
        assert!(seen > 10, "{seen} different moments were seen");
    });
}

#[test]
fn what_is_purged_is_nowhere_on_the_disk() {
    const SECRET: &[u8] = b"the user's name and address";
    let folder = tempfile::tempdir().unwrap();
    let database = Database::open(folder.path(), SMALL).unwrap();
    let keyspaces = [spaces(false), spaces(true)].map(|options| {
        let name = if options.apart_from.is_some() { "apart" } else { "rows" };
        database.keyspace(name, options).unwrap()
    });
    for keyspace in &keyspaces {
        keyspace.insert("overwritten", [SECRET, &[7; 100]].concat()).unwrap();
        keyspace.insert("removed", [SECRET, &[7; 100]].concat()).unwrap();
        for number in 0..200_u8 {
            keyspace.insert([number], vec![number; 500]).unwrap();
            // Again and again: the files that the journal uses again have it, too.
            keyspace.insert("overwritten", [SECRET, &[number; 100]].concat()).unwrap();
        }
        keyspace.insert("overwritten", "nobody").unwrap();
        keyspace.remove("removed").unwrap();
    }
    assert!(holds(folder.path(), SECRET).is_some());
    database.purge(&keyspaces).unwrap();
    let patience = Instant::now() + Duration::from_secs(20);
    while let Some(path) = holds(folder.path(), SECRET) {
        assert!(Instant::now() < patience, "it is still in {}", path.display());
        std::thread::sleep(Duration::from_millis(20));
    }
    for keyspace in &keyspaces {
        assert_eq!(keyspace.get("overwritten").unwrap().unwrap().as_ref(), b"nobody");
        assert_eq!(all(keyspace.iter()).len(), 201);
    }
}

/// A file of a folder that has some bytes.
fn holds(folder: &Path, bytes: &[u8]) -> Option<PathBuf> {
    std::fs::read_dir(folder).unwrap().flatten().find_map(|entry| {
        let path = entry.path();
        if path.is_dir() {
            return holds(&path, bytes);
        }
        let read = std::fs::read(&path).unwrap_or_default();
        read.windows(bytes.len()).any(|window| window == bytes).then_some(path)
    })
}
