//! The dependency rules of the workspace.
//!
//! The crates that a crate *links* are read from `cargo tree`, which resolves features for that crate alone,
//! as its own build does: `queue` may have a database behind a feature and still leave it out of `ingest`.
//! The crates that a crate *names* are read from the manifests, for all features. `deny.toml` lists which
//! crates may name a given outside system.

#![allow(clippy::unwrap_used, reason = "all of this file is a test")]

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

/// Crates that open sockets, or that drive such crates. A star matches any ending.
const NETWORK: [&str; 14] = [
    "async-std",
    "aws-*",
    "axum",
    "curl",
    "hyper*",
    "lambda_*",
    "mio",
    "redis",
    "reqwest",
    "rustls",
    "socket2",
    "sqlx*",
    "tokio*",
    "ureq",
];
/// Database, AI and CRM crates, which the webhook function must not link.
const HEAVY: [&str; 7] = ["analysis", "crm", "database", "enrichment", "pipeline", "sqlx*", "store"];
/// Clients of outside systems, which `pipeline` uses through traits only.
const CLIENTS: [&str; 5] = ["aws-*", "hyper*", "redis", "reqwest", "sqlx*"];
/// Finds credentials in profiles, SSO, containers and instances. It is too slow for a cold start.
const CREDENTIALS_CHAIN: [&str; 4] = ["aws-config", "aws-sdk-sso", "aws-sdk-ssooidc", "aws-sdk-sts"];
const FUNCTIONS: [&str; 6] =
    ["api-function", "dead-letter", "enrich", "ingest-function", "janitor-function", "migrate"];
/// Crates that the commands of the binary use through `operations` only.
const BELOW_OPERATIONS: [&str; 3] = ["pipeline", "queue", "store"];
const PURE: [&str; 4] = ["grounding", "intake", "lead", "sources"];

#[test]
fn ingest_links_no_database_no_ai_and_no_crm() {
    assert_eq!(chains_to(&HEAVY, &tree("ingest-function")), Vec::<String>::new());
}

#[test]
fn no_function_links_the_credentials_chain_of_the_binary() {
    for function in FUNCTIONS {
        assert_eq!(chains_to(&CREDENTIALS_CHAIN, &tree(function)), Vec::<String>::new(), "{function}");
    }
    assert_ne!(chains_to(&CREDENTIALS_CHAIN, &tree("cli")), Vec::<String>::new());
}

#[test]
fn the_pure_crates_link_nothing_that_opens_a_socket() {
    for crate_name in PURE {
        assert_eq!(chains_to(&NETWORK, &tree(crate_name)), Vec::<String>::new(), "{crate_name}");
    }
}

#[test]
fn the_pure_crates_do_no_io_through_the_standard_library() {
    for crate_name in PURE {
        for file in rust_files(&root().join("shared").join(crate_name).join("src")) {
            let source = std::fs::read_to_string(&file).unwrap();
            assert_eq!(io_in(&source), Vec::<&str>::new(), "{}", file.display());
        }
    }
}

#[test]
fn the_pipeline_names_no_client_of_an_outside_system() {
    let metadata = metadata();
    let pipeline = members(&metadata).find(|member| member.name == "pipeline").unwrap();
    let named: Vec<_> = pipeline.normal.iter().filter(|name| matches_any(&CLIENTS, name)).collect();
    assert_eq!(named, Vec::<&&str>::new());
}

#[test]
fn no_shared_crate_depends_on_a_function_or_on_the_cli() {
    assert_eq!(reaching_back(&metadata()), Vec::<String>::new());
}

#[test]
fn commands_act_only_through_operations() {
    for file in rust_files(&root().join("cli/src/command")) {
        let source = std::fs::read_to_string(&file).unwrap();
        assert_eq!(past_operations_in(&source), Vec::<&str>::new(), "{}", file.display());
    }
}

#[test]
fn a_forbidden_crate_deep_in_a_tree_is_found_with_its_path() {
    let tree = "0ingest v0.1.0 (/src/functions/ingest)\n\
                1queue v0.1.0 (/src/shared/queue)\n\
                2lead v0.1.0 (/src/shared/lead)\n\
                2sqlx-core v0.9.0\n\
                3bytes v1.0.0\n\
                1store v0.1.0 (/src/shared/store) (*)\n\
                1stored v1.0.0\n";
    assert_eq!(chains_to(&HEAVY, tree), ["ingest -> queue -> sqlx-core", "ingest -> store"]);
    assert_eq!(chains_to(&NETWORK, "0lead v0.1.0\n1aws-lc-rs v1.0.0"), ["lead -> aws-lc-rs"]);
    assert_eq!(chains_to(&NETWORK, "0lead v0.1.0\n1serde v1.0.0"), Vec::<String>::new());
}

#[test]
fn a_shared_crate_that_reaches_back_is_found() {
    let metadata = serde_json::json!({"workspace_root": "/src", "packages": [
        {"name": "api", "manifest_path": "/src/functions/api/Cargo.toml",
         "dependencies": [{"name": "store", "kind": null}]},
        {"name": "cli", "manifest_path": "/src/cli/Cargo.toml", "dependencies": [{"name": "api", "kind": null}]},
        {"name": "store", "manifest_path": "/src/shared/store/Cargo.toml",
         "dependencies": [{"name": "lead", "kind": null}, {"name": "api", "kind": "dev"}]},
        {"name": "lead", "manifest_path": "/src/shared/lead/Cargo.toml",
         "dependencies": [{"name": "cli", "kind": "build"}, {"name": "serde", "kind": null}]},
    ]});
    assert_eq!(reaching_back(&metadata), ["store -> api", "lead -> cli"]);
}

#[test]
fn io_is_found_in_code_and_allowed_in_its_tests() {
    assert_eq!(io_in("use std::net::TcpStream;\nfn f() {}"), ["use std::net::TcpStream;"]);
    assert_eq!(io_in("fn f() {}\n#[cfg(test)]\nmod tests {\n    use std::fs;\n}"), Vec::<&str>::new());
}

#[test]
fn a_command_that_goes_past_operations_is_found() {
    for line in [
        "use store::{Cursor, Verdict};",
        "use ::queue as spool;",
        "    pipeline::verify(&stored);",
        "    operations.store().suppressed(&email).await?;",
    ] {
        assert_eq!(past_operations_in(line), [line]);
    }
    let allowed = "use operations::Cursor;\n// See `store::Cursor`.\n    work::queue(config.queue);\n";
    assert_eq!(past_operations_in(allowed), Vec::<&str>::new());
}

/// The paths from the root to a forbidden crate, in a tree as `cargo tree --prefix depth` prints it.
fn chains_to(forbidden: &[&str], tree: &str) -> Vec<String> {
    let mut path: Vec<&str> = Vec::new();
    let mut chains = Vec::new();
    for line in tree.lines().filter(|line| !line.is_empty()) {
        let name_at = line.find(|c: char| !c.is_ascii_digit()).unwrap();
        let depth: usize = line[..name_at].parse().unwrap();
        let name = line[name_at..].split(' ').next().unwrap();
        path.truncate(depth);
        path.push(name);
        if depth > 0 && matches_any(forbidden, name) {
            chains.push(path.join(" -> "));
        }
    }
    chains
}

/// The dependencies of any kind from a crate under `shared/` on one under `functions/` or on the CLI.
fn reaching_back(metadata: &Value) -> Vec<String> {
    let users: Vec<_> = members(metadata)
        .filter(|member| member.folder.starts_with("functions/") || member.folder == "cli")
        .map(|member| member.name)
        .collect();
    let mut back = Vec::new();
    for member in members(metadata).filter(|member| member.folder.starts_with("shared/")) {
        for name in member.all.iter().filter(|name| users.contains(name)) {
            back.push(format!("{} -> {name}", member.name));
        }
    }
    back
}

/// The lines before a file's unit tests that use the network, the file system or other processes.
fn io_in(source: &str) -> Vec<&str> {
    source
        .lines()
        .take_while(|line| line.trim() != "#[cfg(test)]")
        .filter(|line| ["std::net", "std::fs", "std::process"].iter().any(|module| line.contains(module)))
        .collect()
}

/// The lines that name a crate below `operations`, or that take it from `Operations`.
fn past_operations_in(source: &str) -> Vec<&str> {
    let names_one = |line: &str| {
        line.split(|c: char| !(c.is_alphanumeric() || "_:".contains(c))).any(|path| {
            let root = path.trim_start_matches(':').split("::").next().unwrap_or_default();
            BELOW_OPERATIONS.contains(&root) && (path.contains("::") || line.starts_with("use "))
        })
    };
    let is_past = |line: &&str| names_one(line) || line.contains(".store()") || line.contains(".queue()");
    source.lines().filter(|line| !line.trim_start().starts_with("//")).filter(is_past).collect()
}

fn matches_any(patterns: &[&str], name: &str) -> bool {
    patterns.iter().any(|pattern| match pattern.strip_suffix('*') {
        Some(start) => name.starts_with(start),
        None => name == *pattern,
    })
}

/// A crate of this workspace and the names in its manifest.
struct Member<'a> {
    name: &'a str,
    /// Relative to the workspace.
    folder: &'a str,
    normal: Vec<&'a str>,
    /// Includes dependencies of tests and build scripts.
    all: Vec<&'a str>,
}

fn members(metadata: &Value) -> impl Iterator<Item = Member<'_>> {
    let root = metadata["workspace_root"].as_str().unwrap();
    metadata["packages"].as_array().unwrap().iter().map(move |package| {
        let manifest = package["manifest_path"].as_str().unwrap();
        let dependencies = package["dependencies"].as_array().unwrap();
        Member {
            name: package["name"].as_str().unwrap(),
            folder: manifest
                .strip_prefix(root)
                .unwrap()
                .trim_start_matches('/')
                .trim_end_matches("/Cargo.toml"),
            normal: names(dependencies.iter().filter(|dependency| dependency["kind"].is_null())),
            all: names(dependencies.iter()),
        }
    })
}

fn names<'a>(dependencies: impl Iterator<Item = &'a Value>) -> Vec<&'a str> {
    dependencies.map(|dependency| dependency["name"].as_str().unwrap()).collect()
}

fn tree(package: &str) -> String {
    cargo(&["tree", "--package", package, "--edges", "normal", "--prefix", "depth", "--locked"])
}

fn metadata() -> Value {
    serde_json::from_str(&cargo(&["metadata", "--no-deps", "--format-version", "1"])).unwrap()
}

fn cargo(arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO")).args(arguments).current_dir(root()).output().unwrap();
    assert!(output.status.success(), "cargo {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(rust_files(&path));
        } else {
            files.push(path);
        }
    }
    files
}
