"""Addresses of billing's pages."""

from django.urls import path

from billing import views

urlpatterns = [path("usage/", views.usage, name="usage")]
