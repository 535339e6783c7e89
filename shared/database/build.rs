//! Has the crate built again when a migration is added: the macro that reads the folder cannot say so.

#![allow(clippy::print_stdout, reason = "how a build script speaks to cargo")]

fn main() {
    println!("cargo:rerun-if-changed=migrations");
}
