//! The sentence that says why: takes the choice and the numbers it rests on, gives one line of English.

use std::time::Duration;

use crate::assess::Assessment;
use crate::decision::{BlockedBy, CapacitySource, Choice, Reason};
use crate::lag::LagReading;
use crate::policy::{Current, Policy};
use crate::tuning::DOWN_WINDOW;

/// Explains a choice, e.g. "4 → 6: 512 records/s arrive, one worker does 90/s at 90 %, 6 is the first count that keeps
/// partition 3's owner below capacity and drains 6 400 records in 42 s".
pub(crate) fn explain(
    choice: Choice,
    need: &Assessment,
    reading: &LagReading,
    current: &Current,
    policy: &Policy,
) -> String {
    let (from, to) = (current.desired, choice.replicas);
    let head = if from == to { format!("{to} kept") } else { format!("{from} → {to}") };
    let body = match choice.reason {
        Reason::Measuring => measuring(need),
        Reason::Sufficient => sufficient(choice, need, to),
        Reason::ArrivalRate | Reason::Backlog => format!("{}, {}", load(need), chosen_count(need, to)),
        Reason::LagRising => rising(need),
        Reason::DemandFell => {
            format!("{}, {to} has been enough for {}", load(need), duration(DOWN_WINDOW))
        }
        Reason::OutOfBounds => bounds(policy, need, to),
        Reason::LagUnknown if from == to => String::from("lag is unknown; replicas are held"),
        Reason::LagUnknown => String::from("lag is unknown, but the limits of the object still hold"),
        Reason::LagPartial => partial(reading, need),
        Reason::Pinned => frozen("the number is pinned", need),
        Reason::Paused => frozen("the object is paused", need),
        Reason::RollingUpdate => frozen("a new pod template is being rolled out", need),
    };
    format!("{head}: {body}")
}

fn arrivals(need: &Assessment) -> String {
    need.arrival_rate.map_or_else(
        || String::from("arrivals are being measured"),
        |rate| format!("{} records/s arrive", rate_text(rate)),
    )
}

fn load(need: &Assessment) -> String {
    let arrive = arrivals(need);
    match need.capacity {
        Some(capacity) => {
            let percent = (need.utilization * 100.0).round();
            let rate = rate_text(capacity.rate * need.utilization);
            let does = match capacity.source {
                CapacitySource::BusyTime | CapacitySource::Saturation => "does",
                CapacitySource::Expected => "is expected to do",
                CapacitySource::LowerBound => "can do at least",
            };
            format!("{arrive}, one worker {does} {rate}/s at {percent} %")
        }
        None => format!("{arrive}, what one worker can do is not known yet"),
    }
}

fn chosen_count(need: &Assessment, to: i32) -> String {
    let Some(rung) = need.rungs.iter().find(|rung| rung.replicas == to) else {
        return format!("{to} is needed");
    };
    let whose = rung
        .busiest_partition
        .map_or_else(|| String::from("every worker"), |partition| format!("partition {partition}'s owner"));
    if need.infeasible {
        return format!(
            "no allowed number of replicas carries that; {to} comes closest, but {whose} still gets too much"
        );
    }
    match rung.drained_after {
        Some(drained) if need.records > 0 && drained > Duration::ZERO => format!(
            "{to} is the first count that keeps {whose} below capacity and drains {} records in {}",
            grouped(need.records),
            duration(drained)
        ),
        _ => format!("{to} is the first count that keeps {whose} below capacity"),
    }
}

fn sufficient(choice: Choice, need: &Assessment, to: i32) -> String {
    let wanted = match need.need {
        Some(wanted) if wanted < to => format!("{wanted} would carry that too"),
        Some(wanted) if wanted > to => match choice.blocked_by {
            Some(BlockedBy::Confirmation | BlockedBy::Settling) => format!("{wanted} may be needed"),
            _ => String::from("that is close to the limit but not over it"),
        },
        _ if need.infeasible => chosen_count(need, to),
        _ => format!("{to} is the first count that carries that"),
    };
    format!("{}, {wanted}", load(need))
}

fn measuring(need: &Assessment) -> String {
    if need.arrival_rate.is_none() { arrivals(need) } else { load(need) }
}

fn rising(need: &Assessment) -> String {
    let age = need.age.map_or_else(String::new, |age| format!(", the oldest {} old", duration(age.at_least())));
    let known = match need.capacity {
        Some(capacity) => format!("one worker was seen doing {}/s and no more", rate_text(capacity.rate)),
        None => String::from("what one worker can do is not known yet"),
    };
    format!("{} while {} records are unread{age}, {known}", arrivals(need), grouped(need.records))
}

fn bounds(policy: &Policy, need: &Assessment, to: i32) -> String {
    if policy.max_replicas == Some(to) {
        format!("{to} is the maximum")
    } else if to == policy.min_replicas.max(1) {
        format!("{to} is the minimum")
    } else {
        format!("a worker beyond the {} partitions would have nothing to read", need.ceiling)
    }
}

fn partial(reading: &LagReading, need: &Assessment) -> String {
    let (missing, all) = reading.lag().map_or((0, 0), |lag| (lag.missing().len(), lag.partitions.len()));
    format!("lag of {missing} of {all} partitions is unknown, so no worker is taken away; {}", load(need))
}

fn frozen(why: &str, need: &Assessment) -> String {
    match need.need {
        Some(wanted) => format!("{why}; {}, so {wanted} would be asked for", load(need)),
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
            text.push(' ');
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
        assert_eq!([0, 999, 6_400, 1_234_567].map(grouped), ["0", "999", "6 400", "1 234 567"]);
        assert_eq!([0.0, 3.33, 9.96, 511.6].map(rate_text), ["0", "3.3", "10", "512"]);
    }

    #[test]
    fn durations_are_seconds_and_then_minutes() {
        assert_eq!([0.2, 41.3, 600.0].map(|s| duration(Duration::from_secs_f64(s))), ["1 s", "42 s", "10 min"]);
    }
}
