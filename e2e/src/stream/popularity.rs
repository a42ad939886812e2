//! Which customer a transaction belongs to: all alike, or few that are busy and many that are not.

use super::random::Draws;

/// Draws customer numbers in `0..customers`.
#[derive(Clone, Debug)]
pub(super) struct Popularity {
    customers: u64,
    /// Sum of the weights of all customers up to each one; empty when all are alike.
    cumulated: Vec<f64>,
}

impl Popularity {
    /// Zipf's law: the n-th customer's weight is `1 / n^skew`; a skew of 0 makes all alike.
    pub(super) fn new(customers: u32, skew: f64) -> Self {
        let mut sum = 0.0;
        let weight = |rank: u32| {
            sum += f64::from(rank).powf(-skew);
            sum
        };
        let cumulated = if skew > 0.0 { (1..=customers).map(weight).collect() } else { Vec::new() };
        Self { customers: u64::from(customers), cumulated }
    }

    /// The number of a customer.
    pub(super) fn draw(&self, draws: &mut Draws) -> u64 {
        let Some(total) = self.cumulated.last() else { return draws.below(self.customers) };
        let point = draws.unit() * total;
        self.cumulated.partition_point(|sum| *sum <= point).min(self.cumulated.len() - 1) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(skew: f64) -> Vec<u32> {
        let popularity = Popularity::new(100, skew);
        let mut counts = vec![0; 100];
        for index in 0..100_000 {
            counts[popularity.draw(&mut Draws::new(4, 0, index)) as usize] += 1;
        }
        counts
    }

    #[test]
    fn without_skew_every_customer_is_as_busy_as_the_next() {
        assert!(counts(0.0).iter().all(|count| (850..1_150).contains(count)));
    }

    #[test]
    fn with_a_skew_of_one_the_first_is_ten_times_the_tenth() {
        let counts = counts(1.0);
        let ratio = f64::from(counts[0]) / f64::from(counts[9]);
        assert!((9.0..11.0).contains(&ratio), "{ratio}");
        assert!(counts.iter().all(|count| *count > 0));
    }
}
