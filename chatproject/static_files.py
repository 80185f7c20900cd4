"""How static files are stored: compressed, and named by their content, so that browsers may keep them for good."""

from servestatic.storage import CompressedManifestStaticFilesStorage


class StaticFilesStorage(CompressedManifestStaticFilesStorage):
    """ServeStatic's, that also puts the new names into the imports of our ES modules."""

    support_js_module_import_aggregation = True
