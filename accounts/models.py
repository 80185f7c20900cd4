"""The person who signs in, and the personal tokens that act for them."""

from __future__ import annotations

import hashlib
import secrets
from datetime import datetime
from typing import Any, ClassVar

from django.conf import settings
from django.contrib.auth.models import AbstractBaseUser, BaseUserManager, PermissionsMixin
from django.db import models
from django.db.models.functions import Lower
from django.utils import timezone
from django.utils.crypto import salted_hmac
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _


class UserManager(BaseUserManager["User"]):
    """Makes users; e-mail addresses are kept in lower case, so that one person is one user."""

    def create_user(self, email: str, password: str | None = None, **fields: Any) -> User:
        """Create a user with a hashed password, or an unusable one where none is given."""
        user = self.model(email=self.normalize_email(email), **fields)
        user.set_password(password)
        user.save(using=self._db)
        return user

    def create_superuser(self, email: str, password: str | None = None, **fields: Any) -> User:
        """Create a user who may do everything in the admin."""
        return self.create_user(email, password, is_staff=True, is_superuser=True, **fields)

    @classmethod
    def normalize_email(cls, email: str | None) -> str:
        """The address in lower case, without surrounding space."""
        return (email or "").strip().lower()

    def get_by_natural_key(self, email: str | None) -> User:
        """Find by e-mail address, however it is typed."""
        return self.get(email=self.normalize_email(email))


class User(AbstractBaseUser, PermissionsMixin):
    """A person; signs in by e-mail address."""

    email = models.EmailField(_("e-mail address"), unique=True)
    name = models.CharField(_("name"), max_length=150, blank=True)
    is_staff = models.BooleanField(_("staff"), default=False, help_text=_("May open the admin."))
    is_active = models.BooleanField(_("active"), default=True, help_text=_("May sign in."))
    joined_at = models.DateTimeField(_("joined at"), default=timezone.now, editable=False)
    language = models.CharField(
        _("language"),
        max_length=8,
        choices=settings.LANGUAGES,
        blank=True,
        default="",
        db_default="",
        help_text=_("As they chose; empty: as their browser asks."),
    )
    browser_language = models.CharField(
        _("browser language"),
        max_length=8,
        blank=True,
        default="",
        db_default="",
        editable=False,
        help_text=_("In which they were spoken to when they signed in last; mails speak it where none is chosen."),
    )
    sign_outs = models.PositiveIntegerField(
        _("sign outs"),
        default=0,
        db_default=0,
        editable=False,
        help_text=_("How often all sessions were ended at once."),
    )

    objects: ClassVar[UserManager] = UserManager()

    EMAIL_FIELD = "email"
    USERNAME_FIELD = "email"
    REQUIRED_FIELDS: ClassVar[list[str]] = []

    class Meta:
        verbose_name = _("user")
        verbose_name_plural = _("users")
        constraints = [models.CheckConstraint(condition=models.Q(email=Lower("email")), name="user_email_lower_case")]

    def __str__(self) -> str:
        return self.email

    def get_full_name(self) -> str:
        """The name to show: the person's own, else the e-mail address."""
        return self.name or self.email

    def rename(self, name: str) -> None:
        """Keep another name; of an account that was deleted meanwhile, nothing comes back."""
        type(self).objects.filter(pk=self.pk, is_active=True).update(name=name)

    def clean(self) -> None:
        """Fold the address's case before it is validated."""
        self.email = type(self).objects.normalize_email(self.email)

    def _get_session_auth_hash(self, secret: Any = None) -> str:
        """What every session must know: as Django's, and another one after all sessions were ended."""
        known: str = super()._get_session_auth_hash(secret)  # type: ignore[misc]  # the stubs leave it out
        if not self.sign_outs:
            return known
        return salted_hmac(
            "accounts.sign_outs", f"{known}:{self.sign_outs}", secret=secret, algorithm="sha256"
        ).hexdigest()


class Deletion(models.Model):
    """A person has deleted their account; until `erased_at`, something of theirs may still turn up.

    A row of its own: whatever saves a user as it was a moment ago does not undo it.
    """

    user = models.OneToOneField(
        User, verbose_name=_("user"), primary_key=True, on_delete=models.PROTECT, related_name="deletion"
    )
    asked_at = models.DateTimeField(_("asked at"))
    erased_at = models.DateTimeField(_("erased at"), null=True)

    class Meta:
        verbose_name = _("deletion")
        verbose_name_plural = _("deletions")
        indexes = [models.Index(fields=["asked_at"], condition=models.Q(erased_at=None), name="deletion_to_finish")]

    def __str__(self) -> str:
        return gettext("of user %(number)s") % {"number": self.user_id}


class Token(models.Model):
    """A personal API token; only its SHA-256 is stored, so it can be shown once."""

    PREFIX = "chat_"

    user = models.ForeignKey(User, verbose_name=_("user"), on_delete=models.CASCADE, related_name="tokens")
    name = models.CharField(_("name"), max_length=100, blank=True)
    digest = models.CharField(_("digest"), max_length=64, unique=True, editable=False)
    hint = models.CharField(
        _("hint"), max_length=12, editable=False, help_text=_("Its first characters, to tell it by.")
    )
    created_at = models.DateTimeField(_("created at"), default=timezone.now, editable=False)
    last_used_at = models.DateTimeField(_("last used at"), null=True, editable=False)
    expires_at = models.DateTimeField(_("expires at"), null=True, blank=True)
    revoked_at = models.DateTimeField(_("revoked at"), null=True, blank=True)

    class Meta:
        verbose_name = _("token")
        verbose_name_plural = _("tokens")

    def __str__(self) -> str:
        return gettext("%(hint)s… of %(user)s") % {"hint": self.hint, "user": self.user}

    def holds(self, *, now: datetime) -> bool:
        """Whether it still opens the door, as far as it is up to the token."""
        return self.revoked_at is None and (self.expires_at is None or self.expires_at > now)

    @classmethod
    def issue(cls, *, user: User, name: str = "", expires_at: datetime | None = None) -> tuple[Token, str]:
        """Make a token; returns it and its secret, which is kept nowhere else."""
        secret = cls.PREFIX + secrets.token_urlsafe(32)
        token = cls.objects.create(
            user=user, name=name, expires_at=expires_at, digest=cls.hash(secret), hint=secret[:10]
        )
        return token, secret

    @staticmethod
    def hash(secret: str) -> str:
        """SHA-256 in hex; a random 256-bit secret needs no salt and no slow hash."""
        return hashlib.sha256(secret.encode()).hexdigest()
