//! Medians, ranges and percentiles.

/// What is shown of the same figure of several rounds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Summary {
    pub(crate) median: f64,
    pub(crate) least: f64,
    pub(crate) most: f64,
    pub(crate) rounds: usize,
}

/// None of no values.
pub(crate) fn summary(values: &[f64]) -> Option<Summary> {
    let sorted = sorted(values);
    let (least, most) = (*sorted.first()?, *sorted.last()?);
    let middle = sorted.len() / 2;
    let median = if sorted.len() % 2 == 1 { sorted[middle] } else { (sorted[middle - 1] + sorted[middle]) / 2.0 };
    Some(Summary { median, least, most, rounds: sorted.len() })
}

/// The smallest value that at least `percent` of all do not exceed; none of no values.
pub(crate) fn percentile(values: &[f64], percent: usize) -> Option<f64> {
    let sorted = sorted(values);
    let rank = (sorted.len() * percent).div_ceil(100).max(1);
    sorted.get(rank - 1).copied()
}

/// A median and between which values that of all possible measurements lies, in 95 of 100 cases at least.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Interval {
    pub(crate) median: f64,
    pub(crate) low: f64,
    pub(crate) high: f64,
}

/// The interval between two of the values themselves, whatever they are distributed like: how many of `n` values lie
/// below the median is a throw of `n` coins. None of fewer than six values, whose extremes are too often on one side of
/// it.
pub(crate) fn median_interval(values: &[f64]) -> Option<Interval> {
    let (sorted, Summary { median, .. }) = (sorted(values), summary(values)?);
    let tail =
        (0..sorted.len()).take_while(|fewer| at_most_heads(*fewer, sorted.len()) <= 0.025).count().checked_sub(1)?;
    Some(Interval { median, low: *sorted.get(tail)?, high: *sorted.get(sorted.len() - 1 - tail)? })
}

/// How probable it is that of so many coins at most `heads` show heads.
fn at_most_heads(heads: usize, coins: usize) -> f64 {
    let mut ways = 1.0;
    let mut sum = 1.0;
    for k in 1..=heads {
        ways *= (coins - k + 1) as f64 / k as f64;
        sum += ways;
    }
    sum / 2_f64.powi(i32::try_from(coins).unwrap_or(i32::MAX))
}

fn sorted(values: &[f64]) -> Vec<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    sorted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle_or_between_the_two_in_the_middle() {
        assert_eq!(summary(&[3.0, 1.0, 2.0]).map(|it| (it.median, it.least, it.most)), Some((2.0, 1.0, 3.0)));
        assert_eq!(summary(&[4.0, 1.0, 2.0, 3.0]).map(|it| it.median), Some(2.5));
        assert_eq!(summary(&[]), None);
    }

    #[test]
    fn the_interval_of_a_median_is_between_the_values_that_the_binomial_distribution_says() {
        let values: Vec<_> = (1..=9).map(f64::from).collect();
        // Of nine, the second and the eighth (96.1 %); of seven and six, the first and the last (98.4 %, 96.9 %).
        assert_eq!(median_interval(&values), Some(Interval { median: 5.0, low: 2.0, high: 8.0 }));
        assert_eq!(median_interval(&values[..7]), Some(Interval { median: 4.0, low: 1.0, high: 7.0 }));
        assert_eq!(median_interval(&values[..6]), Some(Interval { median: 3.5, low: 1.0, high: 6.0 }));
        assert_eq!(median_interval(&values[..5]), None);
        let many: Vec<_> = (1..=20).map(f64::from).collect();
        assert_eq!(median_interval(&many), Some(Interval { median: 10.5, low: 6.0, high: 15.0 }));
    }

    #[test]
    fn a_percentile_is_a_value_that_was_measured() {
        let values: Vec<_> = (1..=200).rev().map(f64::from).collect();
        assert_eq!(percentile(&values, 50), Some(100.0));
        assert_eq!(percentile(&values, 99), Some(198.0));
        assert_eq!(percentile(&[7.0], 99), Some(7.0));
        assert_eq!(percentile(&[], 50), None);
    }
}
