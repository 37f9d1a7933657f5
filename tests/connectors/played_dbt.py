"""A dbt that says what it was recorded saying: rings a bell in the middle, and goes on when it is let through a gate.

What it is to do stands in the JSON file that PLAYED names; each time it is asked to do something, it notes its arguments
and its environment in ``asked`` beside that file.
"""

import json
import os
import shutil
import sys
from pathlib import Path


def main(argv: list[str]) -> int:
    if argv == ["--version"]:
        sys.stdout.write("Core:\n  - installed: 1.11.16\n  - latest:    1.11.16 - Up to date!\n")
        return 0
    path = Path(os.environ["PLAYED"])
    play = json.loads(path.read_text())
    with path.with_name("asked").open("a") as asked:
        asked.write(json.dumps({"argv": argv, "env": dict(os.environ)}) + "\n")
    if "list" in argv:
        sys.stdout.writelines(json.dumps({"unique_id": unique}) + "\n" for unique in play["holds"])
        if play.get("manifest"):
            target = Path(argv[argv.index("--target-path") + 1])
            target.mkdir(parents=True)
            (target / "manifest.json").write_text(json.dumps(play["manifest"]))
        return play["list_code"]
    if "deps" in argv or "parse" in argv:
        sys.stdout.write(play.get("prepares", ""))
        return 1 if play.get("prepares") else 0
    lines = Path(play["says"]).read_text().splitlines(keepends=True)
    middle = len(lines) // 2
    sys.stdout.write("".join(lines[:middle]))
    sys.stdout.flush()
    try:
        Path(play["bell"]).write_text("half\n")
        wait(play["gate"])
    except KeyboardInterrupt:
        leave(argv, play)
        return 2
    sys.stdout.write("".join(lines[middle:]))
    leave(argv, play)
    return play["code"]


def leave(argv: list[str], play: dict[str, str]) -> None:
    target = Path(argv[argv.index("--target-path") + 1])
    target.mkdir(parents=True)
    (target / "partial_parse.msgpack").write_text(" ".join(argv))
    if play["leaves"]:
        shutil.copy(play["leaves"], target / "run_results.json")


def wait(gate: str) -> None:
    """Take one line, and none that is another's."""
    fd = os.open(gate, os.O_RDONLY)
    while os.read(fd, 1) != b"\n":
        pass
    os.close(fd)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
