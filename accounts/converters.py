"""Ids in addresses: `<id:…>`."""

from django.urls import register_converter
from django.urls.converters import UUIDConverter


class IdConverter(UUIDConverter):
    """A UUID, in capitals too: they are the same (RFC 9562, 4). We ourselves write small letters."""

    regex = UUIDConverter.regex.replace("a-f", "a-fA-F")


register_converter(IdConverter, "id")
