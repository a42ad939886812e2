//! Lag, estimates and the scaling decision: pure functions without clock or I/O.
