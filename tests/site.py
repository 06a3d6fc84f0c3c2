"""Looks at the built site as a reader without a network does: ``make check-docs``.

Every page opens as a file without an error and asks for nothing outside its folder; no page is
wider than a phone; formulas have become MathML; and the search finds a word and leads to it.
"""

from __future__ import annotations

import sys
from pathlib import Path

from chromium import Browser, browser, chromium

SITE = Path(__file__).parents[1] / "runs" / "site"
FORMULAS = {"rewards.html": 10, "evaluation.html": 4}
"""Formulas that these pages have at least."""


def faults(page: Browser, file: Path) -> list[str]:
    """What is wrong with a page."""
    page.errors.clear()
    page.requests.clear()
    page.open(file, ready="typeof document$ !== 'undefined'")
    name = str(file.relative_to(SITE))
    outside = [url for url in page.requests if not url.startswith(("file:", "data:", "about:"))]
    found = [f"{name}: {error}" for error in page.errors]
    found += [f"{name}: asks for {url}" for url in outside]
    if page.value("document.documentElement.scrollWidth > window.innerWidth + 1"):
        found.append(f"{name}: wider than the window")
    if "\\(" in page.value("document.querySelector('article').innerText"):
        found.append(f"{name}: a formula was left as text")
    formulas = page.value("document.querySelectorAll('math').length")
    if formulas < FORMULAS.get(name, 0):
        found.append(f"{name}: {formulas} formulas, expected at least {FORMULAS[name]}")
    return found


def search(page: Browser) -> str:
    """Types two words of a page into the search; the address of the first result."""
    page.look(1300)
    page.open(SITE / "index.html", ready="typeof document$ !== 'undefined'")
    page.value("""(() => {
        document.querySelector('#__search').click();
        const input = document.querySelector('.md-search__input');
        input.focus();
        input.value = 'perceptual hashes';
        input.dispatchEvent(new KeyboardEvent('keyup', {bubbles: true}));
    })()""")
    page.wait("document.querySelector('.md-search-result__link') !== null")
    return page.value("document.querySelector('.md-search-result__link').href")


def main() -> int:
    """Print what is wrong; the exit code is 1 if anything is."""
    program = chromium()
    files = sorted(file for file in SITE.rglob("*.html") if file.name != "404.html")
    if program is None or not files:
        print("expected Chromium and a built site; install chromium, then: make docs")
        return 2
    with browser(program) as page:
        page.look(390)
        found = [fault for file in files for fault in faults(page, file)]
        if "data.html" not in (first := search(page)):
            found.append(f"the search for perceptual hashes leads to {first}, not to data.html")
    print("\n".join(found) or f"{len(files)} pages are well")
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main())
