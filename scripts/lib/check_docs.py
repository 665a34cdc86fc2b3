"""Checks that the documentation points only to what exists: files, headings and web addresses.

Checked are the links of all Markdown files, and the code spans that look like paths of this
repository. Web addresses are checked for their form only.
"""

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

ROOT = Path(__file__).parents[2]
FENCE = re.compile(r"^( *)(```|~~~).*?^\1\2 *$", flags=re.MULTILINE | re.DOTALL)
CODE_SPAN = re.compile(r"`([^`\n]+)`")
LINK = re.compile(r"\]\(<?([^)\s>]+)>?(?: \"[^\"]*\")?\)")
HEADING = re.compile(r"^#{1,6} +(.+?) *#* *$", flags=re.MULTILINE)


def main() -> int:
    """Print each broken link and path; return the exit code."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.md"],
        cwd=ROOT, check=True, capture_output=True, text=True,
    )  # fmt: skip
    pages = [ROOT / line for line in listed.stdout.splitlines()]
    problems = [
        f"{page.relative_to(ROOT)}: {problem}"
        for page in pages
        if page.is_file()
        for problem in check_page(page)
    ]
    print("\n".join(problems) or f"Links and paths of {len(pages)} pages lead somewhere.")
    return 1 if problems else 0


def check_page(page: Path) -> Iterator[str]:
    """Yield what is wrong with the links and paths of a page."""
    prose = FENCE.sub("", page.read_text())
    for target in LINK.findall(CODE_SPAN.sub("", prose)):
        if problem := check_link(page, target):
            yield f"{target}: {problem}"
    if page.name == "CHANGELOG.md":  # it also names what is gone
        return
    top = {path.name for path in ROOT.iterdir()}
    for span in CODE_SPAN.findall(prose):
        path = span.split()[0].rstrip("/:…") if span.strip() else ""
        is_path = "/" in path and path.split("/")[0] in top - {"runs", "data"}
        if is_path and re.fullmatch(r"[\w./-]+", path) and not (ROOT / path).exists():
            yield f"`{span}`: no such file"


def check_link(page: Path, target: str) -> str:
    """Return what is wrong with a link's target, '' if nothing is."""
    address = urlsplit(target)
    if address.scheme:
        is_local = address.hostname == "localhost"
        is_well_formed = address.netloc and (address.scheme == "https" or is_local)
        return "" if is_well_formed else "expected an address that begins with https://"
    file = (page.parent / address.path).resolve() if address.path else page
    if not file.exists():
        return "no such file"
    if address.fragment and address.fragment not in list_anchors(file.read_text()):
        return "no such heading"
    return ""


def list_anchors(text: str) -> set[str]:
    """Return the anchors that GitHub gives to a page's headings."""
    anchors: dict[str, None] = {}
    for heading in HEADING.findall(FENCE.sub("", text)):
        words = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading).lower()
        anchor = base = re.sub(r"[^\w\- ]", "", words).replace(" ", "-")
        repeats = 0
        while anchor in anchors:
            repeats += 1
            anchor = f"{base}-{repeats}"
        anchors[anchor] = None
    return set(anchors)


if __name__ == "__main__":
    sys.exit(main())
