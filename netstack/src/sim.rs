//! A simulated link (to come).
