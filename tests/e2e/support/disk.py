"""What is on disk, as a value that can be compared."""

import hashlib
from pathlib import Path


def fingerprint(*roots: Path) -> dict[str, str]:
    """Every directory and file below the roots, files with the SHA-256 of their contents; links are not followed."""
    found = {}
    for root in roots:
        for path in sorted([root, *root.rglob("*")]) if root.exists() else []:
            found[str(path)] = contents(path)
    return found


def contents(path: Path) -> str:
    """What one entry of a directory is."""
    if path.is_symlink():
        return f"link to {path.readlink()}"
    if path.is_file():
        return sha256(path)
    return "directory" if path.is_dir() else "special file"


def sha256(path: Path) -> str:
    """The digest of a file, in hexadecimal."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def flip_bit(path: Path, offset: int) -> None:
    """Damages one bit of a file, in place."""
    mode = path.stat().st_mode
    path.chmod(0o600)
    with open(path, "r+b") as file:
        file.seek(offset)
        byte = file.read(1)[0]
        file.seek(offset)
        file.write(bytes([byte ^ 0x10]))
    path.chmod(mode)


def segments(storage: Path) -> list[Path]:
    """The sealed segment files of all shards."""
    return sorted(storage.glob("shards/*/segments/*.seg"))
