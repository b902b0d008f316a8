"""What answers cost and how long they take, for each tenant, and no more than was agreed to."""

from projectone.assist.generation.accounts.accounted import AccountedGenerator
from projectone.assist.generation.accounts.budgeted import Budget, BudgetedGenerator
from projectone.assist.generation.accounts.ledger import ANSWERS_ACCOUNTS, EDGES_S, AccountLine, Accounts, Times

__all__ = [
    "ANSWERS_ACCOUNTS",
    "EDGES_S",
    "AccountLine",
    "AccountedGenerator",
    "Accounts",
    "Budget",
    "BudgetedGenerator",
    "Times",
]
