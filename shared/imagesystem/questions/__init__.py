"""Questions that are answered at once: the port, core NATS beneath it, and its in-memory twin."""

from imagesystem.questions.port import Answer, Answerer, Question, Questions

__all__ = ["Answer", "Answerer", "Question", "Questions"]
