//! Providers, traffic generator, oracle and end-to-end tests.
