//! Checks that the documentation covers the sources.

#![allow(clippy::unwrap_used, reason = "a test")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The concatenated text of every file below a folder with this ending, without build output and installed
/// packages.
fn texts(folder: &Path, ending: &str) -> String {
    let mut text = String::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        if path.is_dir() && !matches!(name, "target" | "node_modules" | "tests") {
            text.push_str(&texts(&path, ending));
        } else if name.ends_with(ending) {
            text.push_str(&std::fs::read_to_string(&path).unwrap());
        }
    }
    text
}

/// The names in `counter!("..")`, `gauge!("..")` and `histogram!("..")`, on one line or two.
fn metrics(source: &str) -> BTreeSet<&str> {
    let calls = ["counter!(", "gauge!(", "histogram!("];
    let arguments = calls.iter().flat_map(|call| source.split(call).skip(1));
    arguments.filter_map(|argument| argument.trim_start().strip_prefix('"')?.split('"').next()).collect()
}

#[test]
fn every_metric_is_documented() {
    let sources: String =
        ["cli", "functions", "shared"].map(|part| texts(&root().join(part), ".rs")).concat();
    let pages = texts(&root().join("docs"), ".md");
    let metrics = metrics(&sources);
    assert!(metrics.len() > 20, "{metrics:?}");
    let is_named = |metric: &str| {
        pages
            .split(metric)
            .skip(1)
            .any(|rest| !rest.starts_with(|next: char| next.is_ascii_alphanumeric() || next == '_'))
    };
    let missing: Vec<_> = metrics.into_iter().filter(|metric| !is_named(metric)).collect();
    assert!(missing.is_empty(), "no page of docs/ names {missing:?}");
}

#[test]
fn the_test_that_contributing_names_exists() {
    let page = std::fs::read_to_string(root().join("CONTRIBUTING.md")).unwrap();
    let (_, rest) = page.split_once("--test store -- ").unwrap();
    let (test, rest) = rest.split_once("::").unwrap();
    assert!(rest.starts_with("postgres\n"), "{rest}");
    let tests = root().join("shared/store/tests/store");
    let source = texts(&tests, ".rs");
    assert!(source.contains(&format!("#[on_both]\nasync fn {test}(")), "no test {test}");
}
