//! What Kafka's own `kafka-consumer-groups --describe` prints.

use super::kubectl::kafka_tool;
use super::{ClusterError, KAFKA_OUTSIDE};

/// One partition of the group.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct GroupRow {
    /// The partition.
    pub partition: i32,
    /// The committed offset.
    pub committed: Option<i64>,
    /// The end of the log.
    pub end: i64,
    /// Their difference.
    pub lag: Option<i64>,
    /// The owner's client id; none when the partition has no owner.
    pub client_id: Option<String>,
}

/// The partitions of a group, sorted.
pub fn describe_group(group: &str) -> Result<Vec<GroupRow>, ClusterError> {
    let arguments = ["ConsumerGroups", "--bootstrap-server", KAFKA_OUTSIDE, "--describe", "--group", group];
    let table = kafka_tool(&arguments)?;
    let mut rows = parse(&table).ok_or_else(|| ClusterError::Unexpected(format!("no table of a group: {table}")))?;
    rows.sort_by_key(|row| row.partition);
    Ok(rows)
}

/// The columns are GROUP TOPIC PARTITION CURRENT-OFFSET LOG-END-OFFSET LAG CONSUMER-ID HOST CLIENT-ID; `-` is nothing.
fn parse(table: &str) -> Option<Vec<GroupRow>> {
    let mut lines = table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    let header = lines.find(|columns| columns.first() == Some(&"GROUP"))?;
    let place = |name: &str| header.iter().position(|column| *column == name);
    let (partition, committed, end) = (place("PARTITION")?, place("CURRENT-OFFSET")?, place("LOG-END-OFFSET")?);
    let (lag, client_id) = (place("LAG")?, place("CLIENT-ID")?);
    let row = |columns: Vec<&str>| {
        Some(GroupRow {
            partition: columns.get(partition)?.parse().ok()?,
            committed: columns.get(committed)?.parse().ok(),
            end: columns.get(end)?.parse().ok()?,
            lag: columns.get(lag)?.parse().ok(),
            client_id: columns.get(client_id).filter(|id| **id != "-").map(|id| (*id).to_owned()),
        })
    };
    Some(lines.filter_map(row).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = "
Consumer group 'g' has no active members.

GROUP TOPIC PARTITION  CURRENT-OFFSET  LOG-END-OFFSET  LAG  CONSUMER-ID    HOST        CLIENT-ID
g     t     1          12              15              3    w-1-abcd       /10.0.0.7   balance-worker-w-1
g     t     0          -               4               -    -              -           -
";

    #[test]
    fn the_table_of_the_tool_is_read_by_its_header() {
        let rows = parse(TABLE).unwrap();
        let first = GroupRow {
            partition: 1,
            committed: Some(12),
            end: 15,
            lag: Some(3),
            client_id: Some("balance-worker-w-1".into()),
        };
        assert_eq!(rows[0], first);
        assert_eq!((rows[1].committed, rows[1].lag, rows[1].client_id.clone()), (None, None, None));
        assert_eq!(rows.len(), 2);
    }

    #[test]
    fn an_error_message_is_no_table() {
        assert_eq!(parse("Error: Executing consumer group command failed"), None);
    }
}
