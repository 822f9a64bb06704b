"""What becomes of flow runs that did not end well."""
