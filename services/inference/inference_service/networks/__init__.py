"""Networks that are files: fed, run together in a process of their own, and read."""
