//! Compares what the REST API answers with what the oracle folds from the topic.
//!
//! An answer says for which offsets it is true, so the topic is folded to exactly these: the comparison holds while
//! traffic goes on, and no clock decides it.

mod answer;
mod compare;

use std::thread;
use std::time::{Duration, Instant};

pub use answer::{AnswerError, Balances, Http, Row};
pub use compare::{Difference, compare};

use crate::oracle::{Offsets, Signs, Topic, TopicError};

/// How often the API is asked while the fleet catches up.
const PAUSE: Duration = Duration::from_millis(200);

/// The outcome of a comparison.
#[derive(Debug)]
pub struct Verdict {
    /// Customers the oracle knows.
    pub customers: usize,
    /// Transactions of all of them.
    pub transactions: u64,
    /// Records that are no transactions.
    pub refused: u64,
    /// The offsets that were compared.
    pub as_of: Offsets,
    /// Empty when every balance and every count is right.
    pub differences: Vec<Difference>,
}

/// Why no comparison was possible.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// The topic could not be read.
    #[error(transparent)]
    Topic(#[from] TopicError),
    /// The fleet did not come as far as the topic in time.
    #[error("the fleet has not caught up after {waited:?}: {state}")]
    Behind {
        /// How long it was given.
        waited: Duration,
        /// What it last said.
        state: String,
    },
    /// The API claims records that the topic does not hold.
    #[error("partition {partition} ends at {end}, and the API says it has applied all below {as_of}")]
    Ahead {
        /// The partition.
        partition: i32,
        /// Its end in the topic, asked for after the answer came.
        end: i64,
        /// What the answer says.
        as_of: i64,
    },
}

/// Waits until the API's answer covers all records that are in the topic now, then compares that answer.
///
/// `ask` gets one answer of the API; `progress` hears in words what is waited for.
pub fn verify(
    topic: &Topic,
    signs: &Signs,
    patience: Duration,
    ask: impl FnMut() -> Result<Balances, AnswerError>,
    mut progress: impl FnMut(&str),
) -> Result<Verdict, VerifyError> {
    let balances = caught_up(&topic.ends()?, patience, ask, &mut progress)?;
    within(&balances.as_of, &topic.ends()?)?;
    let ledger = topic.fold(&balances.as_of, signs, |read| progress(&format!("the oracle has read {read} records")))?;
    Ok(Verdict {
        customers: ledger.accounts.len(),
        transactions: ledger.count(),
        refused: ledger.refused,
        differences: compare(&ledger, &balances),
        as_of: balances.as_of,
    })
}

fn caught_up(
    ends: &Offsets,
    patience: Duration,
    mut ask: impl FnMut() -> Result<Balances, AnswerError>,
    mut progress: impl FnMut(&str),
) -> Result<Balances, VerifyError> {
    let began = Instant::now();
    loop {
        let state = match ask() {
            Ok(balances) => match behind(ends, &balances.as_of) {
                0 => return Ok(balances),
                records => format!("{records} records behind"),
            },
            Err(error) => error.to_string(),
        };
        if began.elapsed() > patience {
            return Err(VerifyError::Behind { waited: patience, state });
        }
        progress(&state);
        thread::sleep(PAUSE);
    }
}

/// No answer can be about records that do not exist.
fn within(as_of: &Offsets, ends: &Offsets) -> Result<(), VerifyError> {
    let end = |partition| ends.get(partition).copied().unwrap_or(0);
    match as_of.iter().find(|(partition, as_of)| **as_of > end(*partition)) {
        Some((partition, as_of)) => {
            Err(VerifyError::Ahead { partition: *partition, end: end(partition), as_of: *as_of })
        }
        None => Ok(()),
    }
}

fn behind(ends: &Offsets, as_of: &Offsets) -> i64 {
    ends.iter().map(|(partition, end)| (end - as_of.get(partition).copied().unwrap_or(0)).max(0)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(next_offset: i64) -> Result<Balances, AnswerError> {
        Balances::parse(&format!(r#"{{"count":0,"balances":[],"asOf":{{"0":{next_offset},"1":5}}}}"#))
    }

    #[test]
    fn an_answer_is_taken_once_it_covers_the_ends() {
        let ends = Offsets::from([(0, 3), (1, 4)]);
        let (mut asked, mut heard) = (0, Vec::new());
        let ask = || {
            asked += 1;
            answer(asked)
        };
        let balances = caught_up(&ends, Duration::from_secs(9), ask, |state| heard.push(state.to_owned())).unwrap();
        assert_eq!(balances.as_of[&0], 3);
        assert_eq!(heard, ["2 records behind", "1 records behind"]);
    }

    #[test]
    fn an_answer_about_records_that_do_not_exist_is_an_error() {
        let ends = Offsets::from([(0, 3), (1, 4)]);
        assert!(within(&Offsets::from([(0, 3)]), &ends).is_ok());
        assert!(matches!(
            within(&Offsets::from([(0, 3), (1, 5)]), &ends),
            Err(VerifyError::Ahead { partition: 1, end: 4, as_of: 5 })
        ));
        assert!(within(&Offsets::from([(7, 1)]), &ends).is_err());
    }

    #[test]
    fn a_fleet_that_stays_behind_is_an_error_with_its_last_state() {
        let ends = Offsets::from([(0, 3)]);
        let error = caught_up(&ends, Duration::ZERO, || answer(1), |_| ()).unwrap_err();
        assert!(error.to_string().contains("2 records behind"), "{error}");
    }
}
