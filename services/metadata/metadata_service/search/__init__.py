"""Search: the query language, words and their scores, facets."""
