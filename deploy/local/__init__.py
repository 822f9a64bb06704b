"""All parts of Holdfast on one machine: `make up`."""
