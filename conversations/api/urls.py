"""Addresses of the API's conversations and messages."""

from django.urls import path

from conversations.api import conversations, messages

urlpatterns = [
    path("conversations/", conversations.ConversationsView.as_view()),
    path("conversations/<uuid:conversation_id>/", conversations.ConversationView.as_view()),
    path("conversations/<uuid:conversation_id>/messages/", messages.MessagesView.as_view()),
    path("messages/<uuid:message_id>/regenerate/", messages.RegenerateView.as_view()),
    path("messages/<uuid:message_id>/events/", messages.EventsView.as_view()),
    path("messages/<uuid:message_id>/stop/", messages.StopView.as_view()),
]
