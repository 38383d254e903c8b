"""What writes the pages under docs/reference: one module per page."""
