//! Programs that rows run as processes.
//!
//! Why built here: a row that needs the user to build something first is measured on an old program, or not at all.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::peers as setup;

/// The program `name` of the package whose manifest this is, built in release into `target`; `None` if it cannot be, as
/// without a network. What is up to date takes cargo a moment.
pub(crate) fn program(manifest: &str, target: &Path, name: &str) -> Option<PathBuf> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut build = Command::new(cargo);
    build
        .args(["build", "--quiet", "--release", "--locked", "--manifest-path"])
        .arg(setup::root().join(manifest));
    // cargo tells this program which package it is of: handed on, that makes what depends on it out of date, here and there
    let of_a_package = |name: &OsStr| {
        name.to_str()
            .is_some_and(|name| name.starts_with("CARGO_MANIFEST_") || name.starts_with("CARGO_PKG_"))
    };
    for (name, _) in std::env::vars_os().filter(|(name, _)| of_a_package(name)) {
        build.env_remove(name);
    }
    let built = build.arg("--target-dir").arg(target).status().ok()?.success();
    built.then(|| target.join("release").join(name).with_extension(std::env::consts::EXE_EXTENSION))
}
