"""Generated pages: small documents, what people ask about them, and where it stands."""

from vt_env.sources.pages.kinds import KINDS, draw_page
from vt_env.sources.pages.page import Entry, Page, Recipe, Text
from vt_env.sources.pages.source import PagesSource, page_at

__all__ = ["KINDS", "Entry", "Page", "PagesSource", "Recipe", "Text", "draw_page", "page_at"]
