"""Addresses of one's own account, before allauth's."""

from django.urls import path
from django.views.generic import RedirectView

from accounts import profile_views

urlpatterns = [
    path("", RedirectView.as_view(pattern_name="account_profile")),
    path("profile/", profile_views.profile, name="account_profile"),
    path("sessions/", profile_views.sessions, name="usersessions_list"),
    path("sessions/end/", profile_views.end_others, name="usersessions_end_others"),
    path("sessions/<int:session_id>/end/", profile_views.end_session, name="usersessions_end"),
]
