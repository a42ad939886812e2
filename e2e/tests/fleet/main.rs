//! The product on a real Kubernetes beside a real Kafka, installed by Helm. Each test has its own namespace, topic and
//! group; they run one after the other (`e2e/run.sh`), since a machine has only so many cores.

mod assignment;
mod assignor;
mod bad_input;
mod balances;
mod count_ledger;
mod hand_over;
mod kafka_tools;
mod openshift;
mod pin;
mod plain_kubernetes;
mod removal;
mod support;
