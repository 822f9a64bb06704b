"""When a finding of monitoring is reason to train again."""
