"""A person goes: their account keeps its number, since bills name it, and nothing that says who they were."""

from __future__ import annotations

from datetime import datetime, timedelta

from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from django.contrib.admin.models import LogEntry
from django.contrib.contenttypes.models import ContentType
from django.db import transaction
from django.utils.translation import gettext as _

from accounts.errors import Refusal
from accounts.models import Deletion, Token, User
from accounts.sessions import end_all

LINGERS = timedelta(hours=1)  # what was under way when a person went has come to its end by then


class LastAdministrator(Refusal):
    """Nobody else could give powers to anyone."""

    code, status = "last_administrator", 409


def pseudonym(user_id: int) -> str:
    """What the books call a user who is gone."""
    return f"Deleted user {user_id}"


def anonymise(*, user: User, now: datetime) -> User:
    """Take name, powers, tokens, sessions and every way to sign in from an account; the account as it is then.

    Belongs to the caller's transaction. Raises LastAdministrator, with nothing changed. It may be repeated:
    whoever saved the user as it was before, at the same instant, has not undone it.
    """
    if not transaction.get_connection().in_atomic_block:
        raise transaction.TransactionManagementError("an account goes in one transaction with what it may do")
    administrators = User.objects.select_for_update(no_key=True).filter(is_superuser=True, is_active=True)
    keys = list(administrators.order_by("pk").values_list("pk", flat=True))  # of two who go at once, one stays
    gone = User.objects.select_for_update(no_key=True).get(pk=user.pk)
    if keys == [gone.pk] and not Deletion.objects.filter(user=gone).exists():
        raise LastAdministrator(
            _("You are the only administrator. Make someone else one first, then delete your account.")
        )
    Deletion.objects.get_or_create(user=gone, defaults={"asked_at": now})
    if gone.name != pseudonym(gone.pk) or gone.is_active:
        _strip(gone, now)
    return gone


def _strip(gone: User, now: datetime) -> None:
    Token.objects.filter(user=gone, revoked_at=None).update(revoked_at=now)
    Token.objects.filter(user=gone).update(name="")
    EmailAddress.objects.filter(user=gone).delete()
    Authenticator.objects.filter(user=gone).delete()
    gone.groups.clear()
    gone.user_permissions.clear()
    end_all(gone)
    content_type = ContentType.objects.get_for_model(User)
    LogEntry.objects.filter(content_type=content_type, object_id=str(gone.pk)).update(object_repr=pseudonym(gone.pk))
    gone.refresh_from_db(fields=["sign_outs"])
    gone.email, gone.name, gone.last_login = f"deleted-{gone.pk}@invalid", pseudonym(gone.pk), None
    gone.is_active = gone.is_staff = gone.is_superuser = False
    gone.set_unusable_password()
    gone.save()


def unfinished() -> list[User]:
    """Users who are gone and may have left something behind."""
    deletions = Deletion.objects.filter(erased_at=None).select_related("user").order_by("asked_at")
    return [deletion.user for deletion in deletions[:100]]


def finished(*, user: User, now: datetime) -> None:
    """Nothing is left of a user, and nothing can come any more, once what they had begun is over."""
    Deletion.objects.filter(user=user, erased_at=None, asked_at__lt=now - LINGERS).update(erased_at=now)
