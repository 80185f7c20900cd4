"""Addresses of the chat's pages."""

from django.urls import include, path

from conversations import views

urlpatterns = [
    path("", include("conversations.transfer_views")),
    path("", include("conversations.leaving_views")),
    path("", views.chat, name="chat"),
    path("c/<id:conversation_id>/", views.conversation, name="conversation"),
    path("send/", views.send, name="send_new"),
    path("c/<id:conversation_id>/send/", views.send, name="send"),
    path("side/", views.side, name="side"),
]
