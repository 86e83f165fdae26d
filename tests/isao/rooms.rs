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

/// The files of a folder import each other in one direction, too. The file that opens a folder
/// (`mod.rs`, `lib.rs`) declares the others and is left out.
#[test]
fn no_circle_leads_through_the_files_of_a_room() {
    let mut folders = vec![Path::new(ROOT).join("crates/embedded-postgres/src")];
    let mut at = 0;
    for entry in fs::read_dir(Path::new(ROOT).join("src")).unwrap() {
        folders.push(entry.unwrap().path());
    }
    while at < folders.len() {
        let folder = folders[at].clone();
        at += 1;
        if !folder.is_dir() {
            continue;
        }
        folders.extend(fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()));
        let mut left = siblings(&folder);
        let mut known = BTreeSet::new();
        while !left.is_empty() {
            let next: BTreeSet<_> = left
                .iter()
                .filter(|(_, imports)| imports.is_subset(&known))
                .map(|(file, _)| file.clone())
                .collect();
            assert!(!next.is_empty(), "a circle in {}: {left:#?}", folder.display());
            left.retain(|file, _| !next.contains(file));
            known.extend(next);
        }
    }
}

/// The files and folders in a folder, each with those beside it that it names.
fn siblings(folder: &Path) -> BTreeMap<String, BTreeSet<String>> {
    let entries: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    let name = |path: &Path| path.file_stem().unwrap().to_str().unwrap().to_owned();
    let names: BTreeSet<_> = entries.iter().map(|path| name(path)).collect();
    let room = name(folder);
    let files = entries.iter().filter(|path| !["mod", "lib", "main"].contains(&&*name(path)));
    files
        .map(|path| {
            let mut inside = Vec::new();
            collect(path, &mut inside).unwrap();
            let mut imports = BTreeSet::new();
            for file in inside {
                let text = fs::read_to_string(&file).unwrap();
                let text = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
                // From a file in a folder beside, `super` is that folder.
                let up = if file == *path { "super::" } else { "super::super::" };
                let code = text.lines().filter(|line| !line.trim_start().starts_with("//"));
                let code = code.collect::<Vec<_>>().join(" ");
                for prefix in [up.to_owned(), format!("{room}::")] {
                    for named in code.split(&prefix).skip(1) {
                        imports.extend(named_first(named));
                    }
                }
            }
            imports.retain(|import| names.contains(import) && *import != name(path));
            (name(path), imports)
        })
        .collect()
}

/// The first names of a path or of the paths in braces: `a` of `a::b`, `a` and `b` of `{a, b::c}`.
fn named_first(path: &str) -> Vec<String> {
    let list = match path.trim_start().strip_prefix('{') {
        Some(braces) => braces.split('}').next().unwrap_or_default(),
        None => path.split([';', ',', '(', ' ', '>']).next().unwrap_or_default(),
    };
    let first = |item: &str| {
        item.trim()
            .split(|c: char| c != '_' && !c.is_ascii_alphanumeric())
            .next()
            .unwrap_or_default()
            .to_owned()
    };
    list.split(',').map(first).collect()
}
