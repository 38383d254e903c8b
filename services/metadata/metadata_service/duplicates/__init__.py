"""Pictures that are the same, or look the same: groups, and which of each to keep."""
