"""Addresses of the chat's pages."""

from django.urls import path

from conversations import views

urlpatterns = [
    path("", views.chat, name="chat"),
    path("c/<uuid:conversation_id>/", views.conversation, name="conversation"),
    path("side/", views.side, name="side"),
]
