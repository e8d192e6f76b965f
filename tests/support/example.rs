//! Where the examples are.

use std::path::PathBuf;

/// An example of this build: `cargo test` has just made it, next to the directory of this test. (`cargo test --test app`
/// has not: there, `cargo build --examples` comes first.)
pub(crate) fn example(name: &str) -> PathBuf {
    let test = std::env::current_exe().expect("a test knows where it is");
    let profile = test.ancestors().nth(2).expect("target/PROFILE/deps/TEST");
    let path = profile.join("examples").join(name).with_extension(std::env::consts::EXE_EXTENSION);
    assert!(path.exists(), "{} is missing; build it with `cargo build --examples`", path.display());
    path
}
