"""A run as a page: one file that replays it in any browser, without a server and without a network."""

from .replay_page import Page as Page
