"""People by what somebody remembers of them."""

from __future__ import annotations

from accounts.models import User


def called(words: str, *, most: int) -> list[User]:
    """The one with this address; else those whose address begins so, then those whose name has it; at most so many.

    Nobody for no words. Two queries that end once there are enough, the first by an index.
    """
    address = User.objects.normalize_email(words)
    if not address:
        return []
    found = list(User.objects.filter(email__startswith=address).order_by("email")[:most])
    if found and found[0].email == address:
        return found[:1]
    if len(found) < most:
        named = User.objects.filter(name__icontains=words.strip()).exclude(pk__in=[user.pk for user in found])
        found += named.order_by("email")[: most - len(found)]
    return found


def said(user: User) -> str:
    """Name and address, or the address alone."""
    return f"{user.name} ({user.email})" if user.name else user.email
