"""Copy every shared file from its original to the folders that have it as well (book.py)."""

from book import APPS, ROOT, originals


def main() -> None:
    for app in APPS:
        for name, original in originals(app).items():
            copy = app / name
            if not copy.exists() or copy.read_bytes() != original.read_bytes():
                copy.write_bytes(original.read_bytes())
                print(f"{original.relative_to(ROOT)} -> {copy.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
