//! The sentence that says why: takes the choice and the numbers it rests on, gives one line of English.

use std::time::Duration;

use crate::assess::Assessment;
use crate::decision::{BlockedBy, Candidate, CapacitySource, Choice, Reason};
use crate::lag::LagReading;
use crate::policy::{Current, Policy};
use crate::tuning::SCALE_DOWN_STABILIZATION_WINDOW;

/// Explains a choice, e.g. "3 → 6: 512 records/s arrive, one worker does 100/s (90/s at 90 % utilization); with fewer
/// than 6, the owner of partition 3 would get 171/s; 6 work off 6,400 records in 42 s".
pub(crate) fn explain(
    choice: Choice,
    assessment: &Assessment,
    reading: &LagReading,
    current: &Current,
    policy: &Policy,
) -> String {
    let (from, to) = (current.desired, choice.replicas);
    let head = if from == to { format!("{to} kept") } else { format!("{from} → {to}") };
    let body = match choice.reason {
        Reason::Measuring => measuring(assessment),
        Reason::Sufficient => sufficient(choice, assessment, policy, to),
        Reason::ArrivalRate | Reason::Backlog => format!("{}; {}", load(assessment), chosen(assessment, policy, to)),
        Reason::LagRising => rising(assessment),
        Reason::DemandFell => {
            format!("{}, {to} has been enough for {}", load(assessment), duration(SCALE_DOWN_STABILIZATION_WINDOW))
        }
        Reason::OutOfBounds => bounds(policy, assessment, to),
        Reason::LagUnknown if from == to => String::from("lag is unknown; replicas are held"),
        Reason::LagUnknown => String::from("lag is unknown, but the limits of the object still hold"),
        Reason::LagPartial => partial(reading, assessment),
        Reason::Pinned => frozen("the number is pinned", assessment),
        Reason::Paused => frozen("the object is paused", assessment),
        Reason::RollingUpdate => frozen("a new pod template is being rolled out", assessment),
    };
    format!("{head}: {body}")
}

fn arrivals(assessment: &Assessment) -> String {
    assessment.arrival_rate.map_or_else(
        || String::from("arrivals are being measured"),
        |rate| format!("{} records/s arrive", rate_text(rate)),
    )
}

fn load(assessment: &Assessment) -> String {
    let arrive = arrivals(assessment);
    match assessment.capacity {
        Some(capacity) => {
            let percent = (assessment.utilization * 100.0).round();
            let (all, planned) = (rate_text(capacity.rate), rate_text(capacity.rate * assessment.utilization));
            let does = match capacity.source {
                CapacitySource::BusyTime | CapacitySource::Saturation => "does",
                CapacitySource::Expected => "is expected to do",
                CapacitySource::LowerBound => "can do at least",
            };
            format!("{arrive}, one worker {does} {all}/s ({planned}/s at {percent} % utilization)")
        }
        None => format!("{arrive}, what one worker can do is not known yet"),
    }
}

fn chosen(assessment: &Assessment, policy: &Policy, to: i32) -> String {
    let Some(candidate) = assessment.candidates.iter().find(|candidate| candidate.replicas == to) else {
        return format!("{to} is needed");
    };
    if assessment.infeasible {
        return format!(
            "no allowed number of replicas carries that; {to} comes closest, but {} still gets too much",
            busiest_worker(candidate)
        );
    }
    let why = why_not_fewer(assessment, policy, to).unwrap_or_else(|| smallest(to));
    match candidate.drained_after {
        Some(drained) if assessment.records > 0 && drained > Duration::ZERO => {
            format!("{why}; {to} work off {} records in {}", grouped(assessment.records), duration(drained))
        }
        _ => why,
    }
}

/// What the next smaller candidate lacks. It speaks for all numbers in between, which leave as many partitions to the
/// busiest worker.
fn why_not_fewer(assessment: &Assessment, policy: &Policy, to: i32) -> Option<String> {
    let fewer = assessment.candidates.iter().rfind(|candidate| candidate.replicas < to)?;
    if fewer.feasible {
        return None;
    }
    Some(if fewer.busiest_rate > assessment.utilization * assessment.capacity?.rate {
        format!("with fewer than {to}, {} would get {}/s", busiest_worker(fewer), rate_text(fewer.busiest_rate))
    } else {
        format!("fewer than {to} would not work off the backlog within {}", duration(policy.drain_within))
    })
}

fn busiest_worker(candidate: &Candidate) -> String {
    let owner = |partition| format!("the owner of partition {partition}");
    candidate.busiest_partition.map_or_else(|| String::from("every worker"), owner)
}

fn smallest(to: i32) -> String {
    format!("{to} is the smallest number of replicas that carries that")
}

fn sufficient(choice: Choice, assessment: &Assessment, policy: &Policy, to: i32) -> String {
    let wanted = match assessment.needed {
        Some(wanted) if wanted < to => format!("{wanted} would carry that too"),
        Some(wanted) if wanted > to => match choice.blocked_by {
            Some(BlockedBy::Confirmation | BlockedBy::Settling) => format!("{wanted} may be needed"),
            _ => String::from("that is close to the limit but not over it"),
        },
        _ if assessment.infeasible => chosen(assessment, policy, to),
        _ => smallest(to),
    };
    format!("{}, {wanted}", load(assessment))
}

fn measuring(assessment: &Assessment) -> String {
    if assessment.arrival_rate.is_none() { arrivals(assessment) } else { load(assessment) }
}

fn rising(assessment: &Assessment) -> String {
    let age =
        assessment.age.map_or_else(String::new, |age| format!(", the oldest {} old", duration(age.lower_bound())));
    let known = match assessment.capacity {
        Some(capacity) => format!("one worker was seen doing {}/s and no more", rate_text(capacity.rate)),
        None => String::from("what one worker can do is not known yet"),
    };
    format!("{} while {} records are unread{age}, {known}", arrivals(assessment), grouped(assessment.records))
}

fn bounds(policy: &Policy, assessment: &Assessment, to: i32) -> String {
    if policy.max_replicas == Some(to) {
        format!("{to} is the maximum")
    } else if to == policy.min_replicas.max(1) {
        format!("{to} is the minimum")
    } else {
        format!("a worker beyond the {} partitions would have nothing to read", assessment.ceiling)
    }
}

fn partial(reading: &LagReading, assessment: &Assessment) -> String {
    let (missing, all) = reading.lag().map_or((0, 0), |lag| (lag.missing().len(), lag.partitions.len()));
    format!("lag of {missing} of {all} partitions is unknown, so no worker is taken away; {}", load(assessment))
}

fn frozen(why: &str, assessment: &Assessment) -> String {
    match assessment.needed {
        Some(wanted) => format!("{why}; {}, so {wanted} would be asked for", load(assessment)),
        None => String::from(why),
    }
}

fn rate_text(rate: f64) -> String {
    if rate > 0.0 && rate < 9.95 { format!("{rate:.1}") } else { grouped(rate.round() as i64) }
}

fn duration(duration: Duration) -> String {
    let seconds = duration.as_secs_f64();
    if seconds < 120.0 { format!("{} s", seconds.ceil()) } else { format!("{} min", (seconds / 60.0).round()) }
}

/// Digits in groups of three.
fn grouped(number: i64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() * 4 / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped_and_small_rates_keep_a_decimal() {
        assert_eq!([0, 999, 6_400, 1_234_567].map(grouped), ["0", "999", "6,400", "1,234,567"]);
        assert_eq!([0.0, 3.33, 9.96, 511.6].map(rate_text), ["0", "3.3", "10", "512"]);
    }

    #[test]
    fn durations_are_seconds_and_then_minutes() {
        assert_eq!([0.2, 41.3, 600.0].map(|s| duration(Duration::from_secs_f64(s))), ["1 s", "42 s", "10 min"]);
    }
}
