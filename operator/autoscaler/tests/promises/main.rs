//! What the autoscaler promises, on a small world whose time is a number.

#[cfg(test)]
mod decisions;
#[cfg(test)]
mod demo_day;
mod extremes;
#[cfg(test)]
mod invariants;
#[cfg(test)]
mod lag_truth_table;
#[cfg(test)]
mod unmeasured_workers;
#[cfg(test)]
mod world;
