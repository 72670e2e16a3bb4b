"""Prints a named command of the README: the first code block after ``<!-- ci: NAME -->``."""

import re
import sys
from pathlib import Path

text = Path("README.md").read_text(encoding="utf-8")
found = re.search(rf"<!-- ci: {re.escape(sys.argv[1])} -->\s*```\w*\n(.*?)```", text, re.DOTALL)
if found is None:
    sys.exit(f"README.md has no block marked <!-- ci: {sys.argv[1]} -->")
sys.stdout.write(found.group(1).strip())
