"""Argon2 with its lowest cost: the same code, in a millisecond."""

from argon2 import PasswordHasher


def quick_hasher() -> PasswordHasher:
    return PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
