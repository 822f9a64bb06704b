"""What a person sees of a run: the list of its stages and its summary."""
