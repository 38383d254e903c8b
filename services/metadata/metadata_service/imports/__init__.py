"""Imports: tags and captions of many pictures from a file, as edits."""
