"""Why staff do something, as they type it."""

from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _


class ReasonField(forms.CharField):
    """A sentence or two."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(
            **{"label": _("Reason"), "max_length": 500, "widget": forms.Textarea(attrs={"rows": 2}), **kwargs}
        )
