"""The contract between training and serving: both import it, it imports neither."""
