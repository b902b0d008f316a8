"""The revisions, oldest first; they only ever grow in number."""
