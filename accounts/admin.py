"""Users and their personal tokens."""

from typing import Any, ClassVar

import allauth.account.admin  # these three register, so that it can be taken back below
import allauth.mfa.admin
import allauth.usersessions.admin  # noqa: F401
from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from allauth.usersessions.models import UserSession
from django.contrib import admin
from django.contrib.auth.admin import GroupAdmin as DjangoGroupAdmin
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.contrib.auth.forms import AdminUserCreationForm, UserChangeForm
from django.contrib.auth.models import Group
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from accounts.big_tables import BigTableAdmin, BoundedPaginator, ReadOnlyAdmin
from accounts.contested import ContestedAdmin
from accounts.models import Deletion, Token, User

# allauth's own would show secrets, and search by names that users here have not; and whoever could add an address
# to a superuser would be sent the link for that one's new password.
admin.site.unregister([Authenticator, EmailAddress, UserSession])
admin.site.unregister(Group)  # Django's own, for the one below


class NewUserForm(AdminUserCreationForm):  # type: ignore[type-arg]  # not generic at run time
    """Adds a user by e-mail address."""

    class Meta:
        model = User
        fields = ("email", "name")
        field_classes: ClassVar[dict[str, Any]] = {}


class UserForm(UserChangeForm):  # type: ignore[type-arg]  # not generic at run time
    """Changes a user; the password has a form of its own."""

    class Meta:
        model = User
        fields = "__all__"
        field_classes: ClassVar[dict[str, Any]] = {}


@admin.register(User)
class UserAdmin(ContestedAdmin, DjangoUserAdmin):  # type: ignore[type-arg]  # not generic at run time
    """Who may sign in, and as what."""

    form = UserForm
    add_form = NewUserForm
    paginator = BoundedPaginator
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER
    list_per_page = 50
    list_display: Any = ("email", "name", "is_active", "is_staff", "joined_at")
    list_filter: ClassVar[Any] = ("is_active", "is_staff", "groups")
    search_fields = ("email", "name")
    search_help_text = _("E-mail address or name.")
    ordering = ("email",)
    readonly_fields = ("joined_at", "last_login")
    fieldsets = (
        (None, {"fields": ("email", "name", "password")}),
        (_("What they may do"), {"fields": ("is_active", "is_staff", "is_superuser", "groups", "user_permissions")}),
        (_("When"), {"fields": ("joined_at", "last_login")}),
    )
    add_fieldsets = (
        (None, {"classes": ("wide",), "fields": ("email", "name", "usable_password", "password1", "password2")}),
    )

    def get_readonly_fields(self, request: HttpRequest, obj: User | None = None) -> tuple[str, ...]:
        """Only a superuser hands out powers: others could give them to themselves."""
        fields = tuple(super().get_readonly_fields(request, obj))
        if request.user.is_superuser:
            return fields
        return (*fields, "is_staff", "is_superuser", "groups", "user_permissions")

    def has_change_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        """Only a superuser changes a superuser, or that one's password."""
        if obj is not None and obj.is_superuser and not request.user.is_superuser:
            return False
        return super().has_change_permission(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        """Nobody: the bills keep their user. Take `active` away instead."""
        return False


@admin.register(Group)
class GroupAdmin(ContestedAdmin, DjangoGroupAdmin):
    """Groups, whose powers and budgets their members have."""


@admin.register(Deletion)
class DeletionAdmin(ReadOnlyAdmin):
    """Who deleted their account, and whether all is gone."""

    list_display = ("user", "asked_at", "erased_at")
    list_select_related = ("user",)
    ordering = ("-asked_at",)


@admin.register(Authenticator)
class AuthenticatorAdmin(ReadOnlyAdmin):
    """Second factors and passkeys: which there are, never what they hold. Who has lost theirs gets it removed here."""

    list_display = ("user", "type", "created_at", "last_used_at")
    list_select_related = ("user",)
    search_fields = ("user__email",)
    fields = ("user", "type", "created_at", "last_used_at")
    ordering = ("-pk",)

    def has_delete_permission(self, request: HttpRequest, obj: Authenticator | None = None) -> bool:
        """A superuser's only by a superuser: without it the password alone signs in."""
        if obj is not None and obj.user.is_superuser and not request.user.is_superuser:
            return False
        return bool(request.user.has_perm("mfa.delete_authenticator"))


@admin.register(Token)
class TokenAdmin(BigTableAdmin):
    """Personal tokens: to see and to revoke. They are made by `create_token`, as they are shown only once."""

    list_display = ("hint", "user", "name", "created_at", "last_used_at", "expires_at", "revoked_at")
    list_select_related = ("user",)
    list_filter = (("revoked_at", admin.EmptyFieldListFilter),)
    search_fields = ("user__email",)
    ordering = ("-pk",)
    actions = ("revoke",)

    @admin.action(description=_("Revoke the selected tokens"), permissions=["change"])
    def revoke(self, request: HttpRequest, queryset: QuerySet[Token]) -> None:
        """The tokens open nothing from now on."""
        revoked = list(queryset.filter(revoked_at=None))
        Token.objects.filter(pk__in=[token.pk for token in revoked]).update(revoked_at=timezone.now())
        for token in revoked:
            self.log_change(request, token, "Revoked.")
        self.message_user(request, gettext("Revoked: %(count)d.") % {"count": len(revoked)})

    def get_readonly_fields(self, request: HttpRequest, obj: Token | None = None) -> list[str]:
        """All of them: revoking is an action."""
        return ["hint", "user", "name", "created_at", "last_used_at", "expires_at", "revoked_at"]

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Nobody."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Token | None = None) -> bool:
        """Nobody: a revoked token stays to be told by."""
        return False
