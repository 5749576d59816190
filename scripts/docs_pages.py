"""MkDocs hook: pages that are made from the source tree when the documents are built.

The API reference has a page for each package and module directly below ``src/forearm``. CONTRIBUTING.md and
CHANGELOG.md are shown as pages.
"""

from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "src" / "forearm"


def on_config(config: MkDocsConfig) -> None:
    """Add the pages of the API to the navigation's reference."""
    (reference,) = (entry["Reference"] for entry in config.nav if "Reference" in entry)
    reference.append({"API": [name for name in _pages() if name.startswith("api/")]})


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the generated pages to those of ``docs/``."""
    for name, text in _pages().items():
        files.append(File.generated(config, name, content=text))
    return files


def _pages() -> dict[str, str]:
    """Each generated page's name and Markdown."""
    pages = {f"{name.lower()}.md": _moved_into_docs(ROOT / f"{name}.md") for name in ("CONTRIBUTING", "CHANGELOG")}
    pages["api/forearm.md"] = "# forearm\n\n::: forearm\n"
    for path in sorted(PACKAGE.iterdir()):
        name = f"forearm.{path.stem}"
        if (path / "__init__.py").is_file():
            pages[f"api/{path.name}.md"] = _package_page(path, name)
        elif path.suffix == ".py" and not path.stem.startswith("_"):
            pages[f"api/{path.stem}.md"] = f"# {name}\n\n::: {name}\n"
    return pages


def _package_page(folder: Path, name: str) -> str:
    """The package's docstring, then a section for each of its modules and packages."""
    text = f"# {name}\n\n::: {name}\n    options:\n      members: false\n"
    for path in sorted(folder.rglob("*.py")):
        module = ".".join([name, *path.relative_to(folder).with_suffix("").parts])
        if not path.stem.startswith("_"):
            text += f"\n## {module}\n\n::: {module}\n    options:\n      heading_level: 3\n"
    return text


def _moved_into_docs(page: Path) -> str:
    """A page of the repository's root with its links as they are in ``docs/``."""
    text = page.read_text(encoding="utf-8").replace("](docs/", "](")
    return text.replace("](CHANGELOG.md", "](changelog.md").replace("](CONTRIBUTING.md", "](contributing.md")
