"""What it takes to run Holdfast elsewhere."""
