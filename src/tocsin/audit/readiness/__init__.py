"""The executors of the readiness scorecard: one function a line, facts in, an answer out."""
