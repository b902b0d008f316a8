"""Answers in words, on this device: what is asked for them, what of it leaves, and the list of what left."""

from projectone.assist.generation.accounts import ANSWERS_ACCOUNTS
from projectone.assist.generation.cache import ANSWERS_KEPT
from projectone.device.answers.answers import AnswerParameters, Answers, Leaving
from projectone.device.answers.sent_questions import ANSWERS_SENT, SentQuestion, SentQuestions

__all__ = [
    "ANSWERS_ACCOUNTS",
    "ANSWERS_KEPT",
    "ANSWERS_SENT",
    "AnswerParameters",
    "Answers",
    "Leaving",
    "SentQuestion",
    "SentQuestions",
]
