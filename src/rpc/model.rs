//! What a method looks like from outside.

use super::Signature;

/// A method that can be called.
#[derive(Debug)]
pub struct Method {
    /// Name and parameters.
    pub signature: Signature,
    /// The result's type, as written.
    pub result: &'static str,
    /// Its doc comment.
    pub doc: &'static str,
}
