//! What the scripts in `e2e/labs` leave to a program: sending a person's own messages, sampling a group's lag, and
//! working out rebalances from the workers' histories.

pub mod history;
pub mod lag;
pub mod send;
