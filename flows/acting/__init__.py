"""What the system does by itself: the events it emits, and who is told."""
