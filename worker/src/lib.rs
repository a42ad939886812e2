//! Kafka consumer that folds transactions into exact balances and serves them.
