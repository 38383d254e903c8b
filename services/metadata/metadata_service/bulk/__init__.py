"""Edits of many pictures: tasks with progress, which outlive every process."""
