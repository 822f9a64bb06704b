"""A rollout: the challenger is tried out on more and more of the traffic, judged, promoted, watched, or taken back."""
