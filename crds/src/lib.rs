//! The BalanceConsumerGroup custom resource: types, validation, condition names.
