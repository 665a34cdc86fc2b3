"""Checks that every function fits on a screen, which ruff has no rule for."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
MOST_LINES = 40


def main() -> int:
    """Print each function that is too long; return the exit code."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.py"],
        cwd=ROOT, check=True, capture_output=True, text=True,
    )  # fmt: skip
    files = [name for name in listed.stdout.splitlines() if (ROOT / name).is_file()]
    problems = [problem for name in files for problem in check_file(name)]
    print("\n".join(problems) or f"No function is longer than {MOST_LINES} lines.")
    return 1 if problems else 0


def check_file(name: str) -> Iterator[str]:
    """Yield the file's functions that are too long, decorators not counted."""
    for node in ast.walk(ast.parse((ROOT / name).read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = (node.end_lineno or node.lineno) - node.lineno + 1
            if lines > MOST_LINES:
                yield f"{name}:{node.lineno}: {node.name} has {lines} lines, at most {MOST_LINES}"


if __name__ == "__main__":
    sys.exit(main())
