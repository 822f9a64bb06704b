"""What a person sees: the stages and the summary of a run, the lineage, the life and the card of a version."""
