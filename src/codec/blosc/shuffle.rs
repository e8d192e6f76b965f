//! The byte shuffle: first the first bytes of all elements, then the second bytes, and so on; what is left of a last
//! element stays at the end.

/// Appends the block in its own order.
pub(super) fn undo(typesize: usize, block: &[u8], out: &mut Vec<u8>) {
    let elements = block.len() / typesize;
    if typesize < 2 || elements < 2 {
        out.extend_from_slice(block);
        return;
    }
    let start = out.len();
    let (shuffled, rest) = block.split_at(elements * typesize);
    out.resize(start + shuffled.len(), 0);
    for (byte, plane) in shuffled.chunks_exact(elements).enumerate() {
        for (element, value) in out[start..].chunks_exact_mut(typesize).zip(plane) {
            element[byte] = *value;
        }
    }
    out.extend_from_slice(rest);
}
