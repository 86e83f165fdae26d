//! The rooms of the source: the table in `docs/design.md` has them all, and no circle leads
//! from one through others back to it.
//!
//! `cargo test rooms -- --nocapture` prints them, floor by floor.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::{fs, io};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// A room is a folder or a file right in `src`; what it imports is the rooms it names.
fn rooms() -> BTreeMap<String, BTreeSet<String>> {
    let mut rooms: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for entry in fs::read_dir(Path::new(ROOT).join("src")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        if ["lib", "main"].contains(&&*name)
            || !(path.is_dir() || path.extension().is_some_and(|e| e == "rs"))
        {
            continue;
        }
        let mut files = Vec::new();
        collect(&path, &mut files).unwrap();
        let imports = rooms.entry(name.clone()).or_default();
        for file in files {
            let text = fs::read_to_string(file).unwrap();
            // Unit tests stand at the end, and may use what they like.
            let text = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
            for line in text.lines().filter(|line| !line.trim_start().starts_with("//")) {
                for path in line.split("crate::").skip(1) {
                    let room = path.split(|c: char| c != '_' && !c.is_ascii_alphanumeric()).next().unwrap();
                    assert!(!room.is_empty(), "one room a line, so that this test can read it: {line}");
                    if room != name {
                        imports.insert(room.to_owned());
                    }
                }
            }
        }
    }
    rooms
}

fn collect(path: &Path, files: &mut Vec<PathBuf>) -> io::Result<()> {
    if path.is_dir() {
        for entry in fs::read_dir(path)? {
            collect(&entry?.path(), files)?;
        }
    } else if !path.ends_with("tests.rs") {
        files.push(path.to_owned());
    }
    Ok(())
}

#[test]
fn no_circle_leads_through_the_rooms() {
    let mut left = rooms();
    let arrows: usize = left.values().map(BTreeSet::len).sum();
    println!("{} rooms, {arrows} imports", left.len());
    let mut known = BTreeSet::new();
    for floor in 0.. {
        let next: BTreeSet<_> = left
            .iter()
            .filter(|(_, imports)| imports.is_subset(&known))
            .map(|(room, _)| room.clone())
            .collect();
        assert!(!next.is_empty(), "these rooms import each other in a circle, or what is no room: {left:#?}");
        println!("floor {floor}: {}", next.iter().cloned().collect::<Vec<_>>().join(", "));
        left.retain(|room, _| !next.contains(room));
        known.extend(next);
        if left.is_empty() {
            break;
        }
    }
}

#[test]
fn the_table_of_rooms_has_them_all() {
    let design = fs::read_to_string(Path::new(ROOT).join("docs/design.md")).unwrap();
    let (_, section) = design.split_once("\n## Rooms\n").unwrap();
    let section = section.split("\n## ").next().unwrap();
    let rows = section.lines().filter_map(|line| line.strip_prefix("| `")?.split(" |").next());
    let named: BTreeSet<String> =
        rows.flat_map(|cell| cell.split(", ")).map(|name| name.trim_matches(['`', '/']).to_owned()).collect();
    assert_eq!(named, rooms().into_keys().collect());
}
