//! The columns of `kubectl get bcg`.

/// One column.
pub struct Column {
    /// Header; kubectl prints it in capitals.
    pub name: &'static str,
    /// `integer`, `string` or `date`.
    pub kind: &'static str,
    /// JSON path of the value in the object.
    pub path: &'static str,
    /// Meaning of the value.
    pub description: &'static str,
    /// Whether the column is shown only with `-o wide`.
    pub wide: bool,
}

const fn column(name: &'static str, kind: &'static str, path: &'static str, description: &'static str) -> Column {
    Column { name, kind, path, description, wide: false }
}

const fn wide(name: &'static str, kind: &'static str, path: &'static str, description: &'static str) -> Column {
    Column { name, kind, path, description, wide: true }
}

/// All columns, from left to right.
pub const COLUMNS: [Column; 12] = [
    column("Partitions", "integer", ".status.partitions", "Partitions of the topic"),
    column("Replicas", "integer", ".status.replicas", "Worker pods"),
    column("Ready", "integer", ".status.readyReplicas", "Ready worker pods"),
    column("Lag", "integer", ".status.lag", "Unread records"),
    column("Behind", "string", ".status.lagAge", "Age of the oldest unread record"),
    column("Scaling", "string", ".status.scaling.mode", "What decides the number of replicas"),
    column("Age", "date", ".metadata.creationTimestamp", "Time since the object was created"),
    wide("Topic", "string", ".spec.kafka.topic", "Consumed topic"),
    wide("Group", "string", ".status.groupId", "Consumer group"),
    wide("Members", "integer", ".status.members", "Members of the consumer group"),
    wide("State", "string", ".status.groupState", "State of the consumer group"),
    wide("Reason", "string", r#".status.conditions[?(@.type=="Ready")].reason"#, "Why the object is ready or not"),
];
