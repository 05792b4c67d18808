"""A run as a page: one file that replays it in any browser, without a server and without a network."""

from .replay_page import Page
from .to_html import page_of_film, page_of_several, page_of_trace

__all__ = ["Page", "page_of_film", "page_of_several", "page_of_trace"]
