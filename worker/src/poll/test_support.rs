//! For tests: the parts of a worker that meets no broker and no database.

use std::{collections::BTreeMap, sync::Arc};

use balancefleet_kafka::{Admin, CommitMetadata, GroupMetadata};
use tokio::runtime::Runtime;

use crate::{
    config::{self, Command, Config},
    domain::ledger::Changes,
    kafka_clients::{GroupConsumer, group_consumer},
    store::{Assignment, AssignmentNumber, Batch, BatchPart},
    view::SharedPartition,
};

/// Whatever is asked of it stays without an answer.
pub(crate) struct Offline {
    pub(crate) config: Config,
    pub(crate) admin: Admin,
    pub(crate) consumer: Arc<GroupConsumer>,
    pub(crate) runtime: Runtime,
}

/// With these environment variables over the defaults.
pub(crate) fn offline(variables: &[(&str, &str)]) -> Offline {
    let nowhere = ("KAFKA_BOOTSTRAP_SERVERS", "127.0.0.1:1");
    let variables: BTreeMap<_, _> = variables.iter().chain([&nowhere]).copied().collect();
    let variables = variables.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    let Ok(Command::Run(config)) = config::load(["balance-worker".into()], &variables) else { panic!("{variables:?}") };
    Offline {
        admin: Admin::connect(&config.connection, "admin").unwrap(),
        consumer: Arc::new(group_consumer(&config).unwrap()),
        runtime: Runtime::new().unwrap(),
        config: *config,
    }
}

impl Offline {
    /// A batch with one part for each of `assigned`: partition, number of the assignment, and whether that assignment
    /// is over.
    pub(crate) fn batch(&self, assigned: &[(i32, AssignmentNumber, bool)]) -> Batch {
        let part = |(partition, assignment_number, is_over): &(i32, AssignmentNumber, bool)| {
            let shared = Arc::new(SharedPartition::new(*partition, 1));
            if *is_over {
                shared.release();
            }
            BatchPart {
                assignment: Assignment { partition: *partition, number: *assignment_number, generation: 1 },
                shared,
                from: Some(5),
                next_offset: 9,
                leader_epoch: None,
                changes: Arc::new(Changes::default()),
                is_partial: false,
                metadata: CommitMetadata::beginning_at(0),
                initial_offsets: Vec::new(),
            }
        };
        let membership = GroupMetadata::capture(&*self.consumer).unwrap();
        Batch { membership, parts: assigned.iter().map(part).collect() }
    }
}
