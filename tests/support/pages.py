"""Pages as a reader meets them: their text, and what they would have to fetch."""

import html.parser
import re
from pathlib import Path


class Page(html.parser.HTMLParser):
    """Text of a page, the addresses it needs, and whether its tags are closed in order."""

    VOID = frozenset(("meta", "img", "br", "wbr", "link", "input", "hr"))
    FETCHED = frozenset(("src", "href", "srcset", "action", "poster"))

    def __init__(self, path):
        super().__init__()
        self.text, self.addresses, self._open = "", [], []
        self.source = Path(path).read_text(encoding="utf-8")
        self.feed(self.source)
        assert not self._open, self._open

    def handle_starttag(self, tag, attrs):
        self.addresses += [v for k, v in attrs if k in self.FETCHED or k.endswith(":href")]
        if tag not in self.VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.addresses += [v for k, v in attrs if k in ("src", "href") or k.endswith(":href")]

    def handle_endtag(self, tag):
        assert self._open, tag
        assert self._open.pop() == tag

    def handle_data(self, data):
        if not {"style", "script"} & set(self._open):
            self.text += data

    def needs_nothing_else(self):
        """Whether every address is inside the page."""
        in_styles = re.findall(r"url\(([^)]*)\)|(@import)", self.source)
        addresses = self.addresses + [url or other for url, other in in_styles]
        return all(address.startswith(("data:image/", "data:video/", "#")) for address in addresses)
