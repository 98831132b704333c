"""How the pages read: ``words.py`` prints length, connectives and reading ease of each.

Reading ease is Flesch's, with syllables counted as groups of vowels: 60 to 70 is plain English.
"""

import re
from pathlib import Path

from book import ROOT
from pages import PAGES, tokens

CONNECTIVES = r"(?i)\b(?:because|for example|however)\b"
MORE = r"(?i)\b(?:because|for example|however|so|since|otherwise|therefore|but)\b"


def inline(page: Path, left_out: tuple[str, ...] = (), code: str = "") -> list[str]:
    """Return the text of each paragraph, heading and cell, without markup.

    *left_out* are kinds of block to skip; *code* stands for each name in backticks, if given.
    """
    found = []
    inside = ""
    for token in tokens(page):
        if token.type.endswith("_open"):
            inside = token.type
        if token.type != "inline" or inside in left_out:
            continue
        text = ""
        for child in token.children or []:
            if child.type == "code_inline":
                text += code or child.content
            elif child.type in ("text", "softbreak"):
                text += child.content or " "
        found.append(text)
    return found


def prose(page: Path) -> str:
    """Return everything on *page* but its headings and fenced blocks, without markup."""
    return "\n".join(inline(page, left_out=("heading_open",)))


def syllables(word: str) -> int:
    groups = re.findall(r"[aeiouy]+", word.lower())
    silent = word.lower().endswith("e") and not word.lower().endswith("le")
    return max(1, len(groups) - silent)


def reading_ease(page: Path) -> float:
    """Return Flesch's reading ease of the paragraphs of *page*; a name counts as one word."""
    tables_and_headings = ("heading_open", "th_open", "td_open")
    text = "\n".join(inline(page, left_out=tables_and_headings, code="name"))
    words = re.findall(r"[A-Za-z']+", text)
    sentences = max(1, len(re.findall(r"[.!?:](?=\s|$)", text)))
    per_word = sum(syllables(word) for word in words) / max(1, len(words))
    return 206.835 - 1.015 * len(words) / sentences - 84.6 * per_word


def main() -> None:
    print("words | because, for example, however | all connectives | Flesch | page")
    print("      | per 1,000 words               | per 1,000 words |        |")
    for page in PAGES:
        text = prose(page)
        count = max(1, len(text.split()))
        few, all_of_them = (1000 * len(re.findall(c, text)) / count for c in (CONNECTIVES, MORE))
        print(
            f"{count:5} | {few:29.1f} | {all_of_them:15.1f} | {reading_ease(page):6.0f}"
            f" | {page.relative_to(ROOT)}"
        )


if __name__ == "__main__":
    main()
