"""One self-contained HTML page that reads like a short paper, its numbers traceable to JSON."""

import base64
import json
import re
from collections.abc import Mapping, Sequence
from html import escape, unescape
from pathlib import Path
from typing import Any, Final

from permjax.experiments.parts import write_json

STYLE: Final = Path(__file__).with_name("report.css")


class Report:
    """The parts of a page, in order; texts are HTML, names in them escaped by `escape`.

    Args:
        results: all that the page tells, as JSON; no number on it has another source.
        directory: where the page, its pictures and `report.json` lie.
    """

    def __init__(self, results: Mapping[str, Any], directory: Path):
        self.results = json.loads(json.dumps(results, allow_nan=False))
        self.directory = directory
        self._parts: list[str] = []

    def number(self, *path: str | int, times: float = 100, form: str = ".1f") -> str:
        """A number of the results, by its keys, as HTML that says where it stands in the JSON.

        Args:
            path: keys and indices, from the outermost.
            times: what it is multiplied by to be read; the default makes per cent of a share.
            form: as of `format`.
        """
        value = self._at(path)
        pointer = "".join("/" + str(key).replace("~", "~0").replace("/", "~1") for key in path)
        if value is None:
            return f'<data value="" data-json="{escape(pointer)}">-</data>'
        shown = format(value * times, form)
        return f'<data value="{value!r}" data-json="{escape(pointer)}">{shown}</data>'

    def count(self, *path: str | int) -> str:
        """A whole number of the results, as `number` has it."""
        return self.number(*path, times=1, form="d")

    def mean(self, *path: str | int, form: str = ".1f") -> str:
        """The mean of several seeds, and behind it their spread if there are several."""
        mean = self.number(*path, "mean", form=form)
        if self._at(path)["spread"] is None:
            return mean
        return f"{mean} ± {self.number(*path, 'spread')}"

    def _at(self, path: Sequence[str | int]) -> Any:
        value: Any = self.results
        for key in path:
            value = value[key]
        return value

    def heading(self, text: str, level: int = 2) -> None:
        """A heading."""
        self._parts.append(f"<h{level}>{escape(text)}</h{level}>")

    def paragraph(self, text: str) -> None:
        """A paragraph of HTML."""
        self._parts.append(f"<p>{text}</p>")

    def table(self, head: Sequence[str], rows: Sequence[Sequence[str]], caption: str) -> None:
        """A table of HTML cells, numbered by itself; wide ones scroll within themselves.

        The first cell of a row is its heading.
        """
        heads = "".join(f'<th scope="col">{cell}</th>' for cell in head)
        lines = (
            f'<th scope="row">{first}</th>' + "".join(f"<td>{cell}</td>" for cell in cells)
            for first, *cells in rows
        )
        body = "".join(f"<tr>{line}</tr>" for line in lines)
        # Scrolled with the keyboard as well, and then named to those who do not see it.
        name = escape(unescape(re.sub("<[^>]*>", "", caption)))
        scroll = f'<div class="scroll" tabindex="0" role="region" aria-label="{name}">'
        self._parts.append(
            f'<figure class="table"><figcaption>{caption}</figcaption>{scroll}<table>'
            f"<thead><tr>{heads}</tr></thead><tbody>{body}</tbody></table></div></figure>"
        )

    def figure(self, panels: Mapping[str, str], caption: str, *, source: str) -> None:
        """A numbered figure of panels that stand side by side where there is room.

        Args:
            panels: what each shows, for those who do not see it, by the PNG file in the directory.
            caption: HTML.
            source: the key in the JSON that all panels are drawn from.
        """
        images = "".join(self._image(file, shown) for file, shown in panels.items())
        self._parts.append(
            f'<figure><div class="panels">{images}</div><figcaption>{caption} '
            f"Numbers: <code>{escape(source)}</code>.</figcaption></figure>"
        )

    def pictures(self, panels: Mapping[str, str], caption: str, *, of: str) -> None:
        """A numbered figure of small pictures, each with its title.

        Args:
            panels: the title of each, by the PNG file in the directory.
            caption: HTML.
            of: what all are pictures of, for those who do not see them.
        """
        images = "".join(
            f"<div>{escape(title)}{self._image(file, f'{of}: {title}')}</div>"
            for file, title in panels.items()
        )
        self._parts.append(
            f'<figure><div class="panels small">{images}</div>'
            f"<figcaption>{caption}</figcaption></figure>"
        )

    def key(self, colours: Mapping[str, str]) -> None:
        """What colours mean: by meaning, as HTML colours."""
        entries = "".join(
            f'<span><i style="background: {colour}"></i>{escape(meaning)}</span>'
            for meaning, colour in colours.items()
        )
        self._parts.append(f'<div class="key">{entries}</div>')

    def _image(self, file: str, shown: str) -> str:
        data = base64.b64encode((self.directory / file).read_bytes()).decode()
        return f'<img alt="{escape(shown)}" src="data:image/png;base64,{data}">'

    def write(self, title: str) -> Path:
        """Write `report.json` and `report.html`; returns the path of the page."""
        write_json(self.directory / "report.json", self.results)
        page = (
            '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
            '<meta name="viewport" content="width=device-width, initial-scale=1">'
            f"<title>{escape(title)}</title><style>{STYLE.read_text()}</style></head><body>"
            f"<h1>{escape(title)}</h1>\n" + "\n".join(self._parts) + "\n</body></html>\n"
        )
        path = self.directory / "report.html"
        unfinished = path.with_suffix(".partial")
        unfinished.write_text(page, encoding="utf-8")
        unfinished.replace(path)
        return path
