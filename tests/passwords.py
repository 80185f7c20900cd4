"""Passwords that are quick to check, and that a process with the product's own settings can check too."""

from django.contrib.auth.hashers import PBKDF2PasswordHasher


class FewRounds(PBKDF2PasswordHasher):
    """Django's default algorithm, with too few rounds for anything but tests."""

    iterations = 10
