//! The shape of the source, checked as text: who may use whom, how long files get, what is left over.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// The most lines of a source file, tests inside it included.
const FILE_LINES_MAX: usize = 500;
/// The most lines of a file that holds nothing but tests.
const TEST_FILE_LINES_MAX: usize = 700;
/// The widest line, in characters.
const LINE_WIDTH_MAX: usize = 110;

/// Which modules of ours, and which crates that do I/O, each module may use. What is not listed here
/// (`app`, `cli`, `main`, `demo`) may use everything.
const MAY_USE: [(&str, &[&str], &[&str]); 19] = [
    ("domain", &["domain"], &[]),
    (
        "event_log",
        &["event_log", "domain", "db", "clock"],
        &["tokio", "sqlx", "rusqlite", "rand", "nix"],
    ),
    ("db", &["db"], &["tokio", "sqlx", "rusqlite"]),
    ("state", &["state", "domain", "event_log", "db"], &["tokio", "sqlx"]),
    ("projections", &["projections", "domain", "event_log", "db"], &["tokio", "sqlx"]),
    ("adapters", &["adapters", "domain"], &[]),
    ("gateway", &["gateway", "adapters", "hosts", "vault"], &["tokio", "hyper", "reqwest"]),
    ("hosts", &["hosts", "config", "clock"], &["tokio", "hyper", "nix", "rand", "bollard"]),
    ("commands", &["commands", "domain", "event_log"], &["rand", "tokio"]),
    (
        "reactors",
        &[
            "reactors",
            "adapters",
            "clock",
            "commands",
            "domain",
            "event_log",
            "gateway",
            "git",
            "hosts",
            "library",
            "projections",
            "state",
            "telemetry",
            "vault",
        ],
        &["tokio", "rand", "nix"],
    ),
    (
        "api",
        &[
            "api",
            "adapters",
            "app",
            "clock",
            "commands",
            "config",
            "data_dir",
            "domain",
            "event_log",
            "git",
            "hosts",
            "library",
            "projections",
            "state",
            "telemetry",
            "vault",
            "web",
        ],
        &["tokio", "axum", "rand"],
    ),
    ("audit", &["audit"], &["tokio", "sqlx", "rusqlite"]),
    ("config", &["config", "domain"], &[]),
    ("telemetry", &["telemetry", "clock", "config"], &[]),
    ("git", &["git", "adapters", "domain", "gateway", "hosts", "vault"], &[]),
    ("library", &["library", "config", "domain", "hosts"], &["nix", "tokio"]),
    ("redis", &["config"], &["redis", "tokio"]),
    ("vault", &["vault", "config", "data_dir", "db", "redis"], &["rand", "tokio"]),
    ("web", &["web"], &["axum", "rand"]),
];

/// Crates that reach outside of the process.
const IO_CRATES: [&str; 10] =
    ["axum", "bollard", "hyper", "nix", "rand", "redis", "reqwest", "rusqlite", "sqlx", "tokio"];

/// What `domain` must not do even with the standard library and value types.
const IMPURE: [&str; 9] = [
    "Utc::now",
    "Instant::now",
    "SystemTime",
    "now_v7",
    "new_v4",
    "std::env",
    "std::fs",
    "std::net",
    "std::thread",
];

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Every Rust file below the given folders of the repository.
fn sources(folders: &[&str]) -> Vec<(PathBuf, String)> {
    let mut files = Vec::new();
    let mut open: Vec<PathBuf> = folders.iter().map(|folder| root().join(folder)).collect();
    while let Some(path) = open.pop() {
        if path.is_dir() {
            open.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&path).unwrap();
            files.push((path.strip_prefix(root()).unwrap().to_owned(), text));
        }
    }
    assert!(!files.is_empty(), "no sources below {folders:?}");
    files.sort();
    files
}

fn module_of(path: &Path) -> Option<String> {
    let below = path.strip_prefix("src").ok()?;
    let first = below.components().next()?.as_os_str().to_str()?;
    Some(first.trim_end_matches(".rs").to_owned())
}

/// A file of tests beside the code, or the part of a file before its own tests.
fn product_code<'t>(path: &Path, text: &'t str) -> &'t str {
    let is_tests = |part: &str| part.starts_with("tests") || part.starts_with("testing");
    if path.components().any(|part| is_tests(&part.as_os_str().to_string_lossy())) {
        return "";
    }
    text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default()
}

fn without_comments(text: &str) -> String {
    let code = |line: &&str| !line.trim_start().starts_with("//");
    text.lines().filter(code).collect::<Vec<_>>().join("\n")
}

/// The words that follow `prefix` and are followed by `::`, or end the path.
fn names_after(code: &str, prefix: &str) -> BTreeSet<String> {
    let word = |rest: &str| {
        rest.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect::<String>()
    };
    code.match_indices(prefix)
        .flat_map(|(at, _)| {
            let rest = &code[at + prefix.len()..];
            match rest.strip_prefix('{') {
                // `use crate::{a, b::c};`: the first word of every item at this depth.
                Some(list) => list
                    .split('}')
                    .next()
                    .unwrap_or_default()
                    .split(',')
                    .map(|item| word(item.trim()))
                    .collect(),
                None => vec![word(rest)],
            }
        })
        .filter(|name| !name.is_empty())
        .collect()
}

#[test]
fn modules_use_only_what_they_may() {
    let mut found = Vec::new();
    for (path, text) in sources(&["src"]) {
        let Some(module) = module_of(&path) else { continue };
        let Some((_, modules, crates)) = MAY_USE.iter().find(|(name, ..)| *name == module) else {
            continue;
        };
        let code = without_comments(product_code(&path, &text));
        for used in names_after(&code, "crate::") {
            let is_macro_or_type = used.starts_with(char::is_uppercase);
            if !is_macro_or_type && !modules.contains(&used.as_str()) {
                found.push(format!("{}: crate::{used}", path.display()));
            }
        }
        for outside in IO_CRATES {
            // Neither a module of another crate nor the end of a longer name.
            let is_inside = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':';
            let named = format!("{outside}::");
            let uses = code.match_indices(&named).any(|(at, _)| !code[..at].ends_with(is_inside));
            if uses && !crates.contains(&outside) {
                found.push(format!("{}: {outside}", path.display()));
            }
        }
    }
    assert!(found.is_empty(), "not allowed by the layers:\n{}", found.join("\n"));
}

#[test]
fn the_domain_reads_no_clock_makes_no_ids_and_does_no_io() {
    for (path, text) in sources(&["src/domain"]) {
        let code = without_comments(product_code(&path, &text));
        for impure in IMPURE {
            assert!(!code.contains(impure), "{}: {impure}", path.display());
        }
    }
}

#[test]
fn files_are_short_enough_to_read() {
    let mut long = Vec::new();
    for (path, text) in sources(&["src", "crates", "tests"]) {
        let is_test = product_code(&path, &text).is_empty() || path.starts_with("tests");
        let max = if is_test { TEST_FILE_LINES_MAX } else { FILE_LINES_MAX };
        let lines = text.lines().count();
        if lines > max {
            long.push(format!("{}: {lines} lines, {max} at most", path.display()));
        }
        for (number, line) in text.lines().enumerate() {
            let is_text = line.contains('"') || line.trim_start().starts_with("//");
            if line.chars().count() > LINE_WIDTH_MAX && !is_text {
                long.push(format!("{}:{}: too wide", path.display(), number + 1));
            }
        }
    }
    assert!(long.is_empty(), "{}", long.join("\n"));
}

#[test]
fn every_file_says_what_it_is_for() {
    for (path, text) in sources(&["src", "crates", "tests"]) {
        // The tests of a module are described by the module.
        let is_explained = path.ends_with("tests.rs") || text.starts_with("//!");
        assert!(is_explained, "{} has no module documentation", path.display());
    }
}

/// The names under which types of this file stand in the description of the API.
fn schemas(code: &str) -> Vec<String> {
    let name = |line: &str| {
        let (_, item) = line.split_once("struct ").or_else(|| line.split_once("enum "))?;
        let end = item.find(|c: char| !c.is_ascii_alphanumeric())?;
        Some(item[..end].to_owned())
    };
    let (mut names, mut attributes) = (Vec::new(), String::new());
    for line in code.lines() {
        if line.starts_with('}') {
            attributes.clear();
        } else if !line.starts_with(|first: char| first.is_ascii_lowercase()) {
            attributes.push_str(line);
        } else {
            if attributes.contains("ToSchema") {
                let renamed = attributes.split_once("#[schema(as = ").map(|(_, rest)| rest);
                let renamed = renamed.and_then(|rest| rest.split([')', ',']).next());
                names.extend(renamed.map(str::to_owned).or_else(|| name(line)));
            }
            attributes.clear();
        }
    }
    names
}

#[test]
fn no_two_types_have_one_name_in_the_description_of_the_api() {
    let mut places: BTreeMap<String, Vec<PathBuf>> = BTreeMap::new();
    for (path, text) in sources(&["src"]) {
        for name in schemas(&without_comments(product_code(&path, &text))) {
            places.entry(name).or_default().push(path.clone());
        }
    }
    assert!(places.contains_key("Problem") && places.contains_key("AgentUsage"), "{places:?}");
    // One of two would silently describe both.
    places.retain(|_, files| files.len() > 1);
    assert!(places.is_empty(), "{places:?}");
}

#[test]
fn nothing_is_left_unfinished() {
    let words = ["todo!(", "unimplemented!(", "FIX\u{4d}E", "XX\u{58}", "dbg!("];
    for (path, text) in sources(&["src", "crates", "tests"]) {
        for word in words.iter().filter(|_| !path.ends_with("tidy.rs")) {
            assert!(!text.contains(word), "{}: {word}", path.display());
        }
    }
}

#[test]
fn every_test_module_is_compiled() {
    let main = fs::read_to_string(root().join("tests/it/main.rs")).unwrap();
    for entry in fs::read_dir(root().join("tests/it")).unwrap() {
        let name = entry.unwrap().file_name().to_string_lossy().trim_end_matches(".rs").to_owned();
        assert!(name == "main" || main.contains(&format!("mod {name};")), "{name} is forgotten");
    }
}
