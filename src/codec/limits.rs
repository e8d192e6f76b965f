//! What a decoder may spend on one frame.
//!
//! Why: a peer's bytes decide how deep we recurse and how much we allocate. Every codec takes the same limits, so
//! that changing the codec does not change what a peer can do to us.
//!
//! Contract: memory used for one frame is O(bytes read + nodes); nothing is reserved by a length that the peer
//! merely claims. Recursion never exceeds `depth`.

/// The limits of one decoded frame.
///
/// ```
/// use isochrone::codec::Limits;
/// let mut limits = Limits::default();
/// limits.depth = 16;
/// assert_eq!(limits.nodes, 262_144);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// How many lists and dicts may be open at once (128). Decoders recurse this deep: some thousands fit on a
    /// thread's stack, not more.
    pub depth: usize,
    /// How many values a frame may hold, keys of dicts included (262,144).
    pub nodes: usize,
    /// How many bytes a packed payload may unpack to (16 MiB); never more than 1,024 times its length.
    pub unpacked: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits { depth: 128, nodes: 262_144, unpacked: 16 << 20 }
    }
}
