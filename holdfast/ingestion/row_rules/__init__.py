"""Rules of a mapping that select, fill and add rows before they are parsed."""
