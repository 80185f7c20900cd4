"""Every address of the site."""

from allauth.account.decorators import secure_admin_login
from csp.constants import UNSAFE_INLINE
from csp.decorators import csp_update
from django.contrib import admin
from django.urls import include, path
from django.utils.translation import gettext_lazy
from django.views.i18n import set_language
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerSplitView

from accounts import views
from conversations import health

# The admin's own door would ask for no second factor.
admin.site.login = secure_admin_login(admin.site.login)  # type: ignore[method-assign]
admin.site.site_header = admin.site.site_title = gettext_lazy("Company chat")  # type: ignore[assignment]

# Swagger UI brings inline styles; its script is served apart, so that scripts stay strict here too.
docs = csp_update({"style-src": ["'self'", UNSAFE_INLINE]})(
    SpectacularSwaggerSplitView.as_view(
        url_name="schema",
        template_name="api_docs.html",
        metadata_class=None,  # its template shows no metadata
    )
)

urlpatterns = [
    path("", include("conversations.urls")),
    path("", include("billing.urls")),
    path("language/", set_language, name="set_language"),
    path("accounts/", include("accounts.urls")),
    path("accounts/", include("allauth.urls")),
    path("admin/", admin.site.urls),
    path("api/", include("conversations.api.urls")),
    path("api/", include("billing.api.urls")),
    path("api/schema/", SpectacularAPIView.as_view(), name="schema"),
    path("api/docs/", docs, name="docs"),
    path("api/<path:rest>", views.nothing),
    path("healthz", health.healthz),
    path("readyz", health.readyz),
    path("metrics", health.metrics),
]

handler400 = "accounts.views.bad_request"
handler403 = "accounts.views.forbidden"
handler404 = "accounts.views.not_found"
handler500 = "accounts.views.server_error"
