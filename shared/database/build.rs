//! Rebuilds the crate when a migration is added: the macro that reads the folder cannot tell cargo about it.

#![allow(clippy::print_stdout, reason = "how a build script speaks to cargo")]

fn main() {
    println!("cargo:rerun-if-changed=migrations");
}
