//! Orders that look like chance and are the same on every machine.

use crate::evaluation::SplitMix64;

/// Brings `items` into any of their orders (Fisher and Yates).
pub(super) fn shuffle<T>(random: &mut SplitMix64, items: &mut [T]) {
    for last in (1..items.len()).rev() {
        items.swap(last, random.below(last + 1).unwrap_or(last));
    }
}

/// A place in an order that depends on the text and the seed alone: FNV-1a, mixed.
pub(super) fn place(seed: u64, text: &str) -> u64 {
    let begun = 0xCBF2_9CE4_8422_2325 ^ SplitMix64(seed).next();
    let hash = text
        .bytes()
        .fold(begun, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3));
    SplitMix64(hash).next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shuffle_keeps_every_item() {
        let mut items: Vec<usize> = (0..100).collect();
        shuffle(&mut SplitMix64(1), &mut items);
        assert_ne!(items, (0..100).collect::<Vec<_>>());
        items.sort_unstable();
        assert_eq!(items, (0..100).collect::<Vec<_>>());
    }

    #[test]
    fn a_place_depends_on_text_and_seed() {
        assert_eq!(place(1, "a"), place(1, "a"));
        assert_ne!(place(1, "a"), place(2, "a"));
        assert_ne!(place(1, "a"), place(1, "b"));
    }
}
