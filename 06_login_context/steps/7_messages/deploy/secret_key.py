"""The key that signs the session cookies: one for all processes of an app."""

import os
import secrets
import tempfile
from contextlib import suppress
from pathlib import Path


def shared_key(folder: Path) -> str:
    """Return the key in *folder*; the first process that asks makes it.

    Several machines need one in the environment instead: ``FLASK_SECRET_KEY``.
    """
    path = folder / "secret_key"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile("w", dir=folder) as file:  # mode 600
            file.write(secrets.token_hex(32))
            file.flush()
            with suppress(FileExistsError):  # another process was faster
                os.link(file.name, path)
    return path.read_text()
