"""Long work: tasks of many units, run as commands, counted exactly, kept for a while."""
