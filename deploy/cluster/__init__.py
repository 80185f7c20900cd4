"""The scaled deployment on one machine: what `make cluster` starts, and the tests and the benchmark with it."""
