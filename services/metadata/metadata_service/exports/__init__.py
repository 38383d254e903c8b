"""Exports: everything that a query finds, streamed, as lines of JSON, CSV or Parquet."""
