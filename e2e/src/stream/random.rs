//! Random draws that are a pure function of (seed, stream, index), equal on every machine and in every release.

/// A sequence of draws. Two of the same origin give the same values; neighbouring indexes give unrelated ones.
#[derive(Clone, Debug)]
pub struct Draws {
    state: u64,
}

impl Draws {
    /// Draws for one item: `stream` keeps the draws of different purposes apart, `index` those of different items.
    pub fn new(seed: u64, stream: u64, index: u64) -> Self {
        // Three rounds, so that seeds, streams and indexes that differ in one bit begin far apart.
        let state = mix(mix(mix(seed) ^ stream) ^ index);
        Self { state }
    }

    /// The next 64 random bits (SplitMix64, Steele, Lea and Flood 2014).
    pub fn bits(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        mix(self.state)
    }

    /// A whole number in `0..bound`; 0 when the bound is 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        // The high half of the product: the bias is below 2^-32 for every bound used here.
        ((u128::from(self.bits()) * u128::from(bound)) >> 64) as u64
    }

    /// A whole number in `first..=last`.
    pub fn between(&mut self, first: u64, last: u64) -> u64 {
        first + self.below(last - first + 1)
    }

    /// A real number in `0.0..1.0`.
    pub fn unit(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// One of the choices, each as likely as the others.
    pub fn one_of<'a, T>(&mut self, choices: &'a [T]) -> &'a T {
        &choices[self.below(choices.len() as u64) as usize]
    }
}

fn mix(mut bits: u64) -> u64 {
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    bits ^ (bits >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_origin_draws_the_same_values() {
        let values = |index| {
            let mut draws = Draws::new(7, 1, index);
            (0..8).map(|_| draws.bits()).collect::<Vec<_>>()
        };
        assert_eq!(values(3), values(3));
        assert_ne!(values(3), values(4));
    }

    #[test]
    fn draws_below_a_bound_spread_evenly() {
        let mut counts = [0u32; 6];
        for index in 0..60_000 {
            counts[Draws::new(1, 0, index).below(6) as usize] += 1;
        }
        assert!(counts.iter().all(|count| (9_600..10_400).contains(count)), "{counts:?}");
    }

    #[test]
    fn a_unit_draw_stays_below_one() {
        assert!((0..10_000).map(|index| Draws::new(2, 0, index).unit()).all(|value| (0.0..1.0).contains(&value)));
    }
}
