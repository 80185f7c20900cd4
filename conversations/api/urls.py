"""Addresses of the API's conversations and messages."""

from django.urls import include, path

from conversations.api import branches, conversations, found, messages, quotes

urlpatterns = [
    path("", include("conversations.api.transfer")),
    path("conversations/", conversations.ConversationsView.as_view()),
    path("conversations/<id:conversation_id>/", conversations.ConversationView.as_view()),
    path("conversations/<id:conversation_id>/messages/", messages.MessagesView.as_view()),
    path("conversations/<id:conversation_id>/restore/", conversations.RestoreView.as_view()),
    path("conversations/<id:conversation_id>/usage/", conversations.ConversationUsageView.as_view()),
    path("messages/<id:message_id>/", messages.MessageView.as_view()),
    path("messages/<id:message_id>/regenerate/", messages.RegenerateView.as_view()),
    path("messages/<id:message_id>/events/", messages.EventsView.as_view()),
    path("messages/<id:message_id>/stop/", messages.StopView.as_view()),
    path("messages/<id:message_id>/select/", branches.SelectView.as_view()),
    path("messages/<id:message_id>/siblings/", branches.SiblingsView.as_view()),
    path("quote/", quotes.QuoteView.as_view()),
    path("search/", found.SearchView.as_view()),
]
