"""What tests share: drawn faces, small networks, clips, servers, and where the repository is."""

from pathlib import Path

#: The repository.
ROOT = Path(__file__).resolve().parents[2]
