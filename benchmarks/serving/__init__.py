"""The serving benchmark: Holdfast beside a no-op, a naive service and the two tools' own servers."""
