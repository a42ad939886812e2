//! What `kubectl get bcg` shows.

/// One column.
pub struct Column {
    /// Its header; kubectl prints it in capitals.
    pub name: &'static str,
    /// `integer`, `string` or `date`.
    pub kind: &'static str,
    /// Where in the object its value is.
    pub path: &'static str,
    /// What it means.
    pub description: &'static str,
    /// Whether it takes `-o wide` to see it.
    pub wide: bool,
}

const fn column(name: &'static str, kind: &'static str, path: &'static str, description: &'static str) -> Column {
    Column { name, kind, path, description, wide: false }
}

const fn wide(name: &'static str, kind: &'static str, path: &'static str, description: &'static str) -> Column {
    Column { name, kind, path, description, wide: true }
}

/// From left to right.
pub const COLUMNS: [Column; 12] = [
    column("Partitions", "integer", ".status.partitions", "Partitions of the topic"),
    column("Replicas", "integer", ".status.replicas", "Workers"),
    column("Ready", "integer", ".status.readyReplicas", "Workers that are ready"),
    column("Lag", "integer", ".status.lag", "Unread records"),
    column("Behind", "string", ".status.lagAge", "Age of the oldest unread record"),
    column("Scaling", "string", ".status.scaling.mode", "Who decides the number of workers"),
    column("Age", "date", ".metadata.creationTimestamp", "Time since the object was created"),
    wide("Topic", "string", ".spec.kafka.topic", "The topic consumed"),
    wide("Group", "string", ".status.groupId", "The consumer group"),
    wide("Members", "integer", ".status.members", "Members of the consumer group"),
    wide("State", "string", ".status.groupState", "State of the consumer group"),
    wide("Reason", "string", r#".status.conditions[?(@.type=="Ready")].reason"#, "Why the object is ready or not"),
];
