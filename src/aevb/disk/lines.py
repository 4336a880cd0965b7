import json
import math
from collections.abc import Mapping, Sequence


def to_lines(history: Sequence[Mapping[str, float]]) -> str:
    lines = []
    for line in history:
        plain = {key: value if math.isfinite(value) else None for key, value in line.items()}
        lines.append(json.dumps(plain) + "\n")
    return "".join(lines)


def from_lines(text: str) -> list[dict[str, float]]:
    lines = []
    for line in text.splitlines():
        found = json.loads(line)
        lines.append({key: math.nan if value is None else value for key, value in found.items()})
    return lines
