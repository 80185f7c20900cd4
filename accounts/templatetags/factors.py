"""What a person can show beside a password."""

from allauth.mfa.models import Authenticator
from django import template

from accounts.models import User

register = template.Library()


@register.filter
def factors(user: User) -> set[str]:
    """The kinds of second factors that somebody has; recovery codes only where one is left."""
    kinds = Authenticator.Type
    return {
        str(each.type)
        for each in Authenticator.objects.filter(user=user)
        if each.type != kinds.RECOVERY_CODES or each.wrap().get_unused_codes()
    }
