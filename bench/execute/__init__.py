"""Trial -> result: one trial, and the executors that run many."""
