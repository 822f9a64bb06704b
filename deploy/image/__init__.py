"""The container image of a bento: built by an engine, named, and looked through."""
