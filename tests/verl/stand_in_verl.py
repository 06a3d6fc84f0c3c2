"""``python stand_in_verl.py FOLDER STEPS``: in the place of verl's command.

It trains nothing, logs each step and saves it as verl does, slowly: the step is named the last when
all of it is there. It needs the standard library alone.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path


def weights(step: int) -> bytes:
    """Those of a step: enough for several writes."""
    return f"step {step}\n".encode() * 4000


def main(folder: Path, steps: int) -> None:
    """The steps after the one that was saved last."""
    (folder / "pid").write_text(str(os.getpid()))
    latest = folder / "checkpoints" / "latest_checkpointed_iteration.txt"
    done = int(latest.read_text()) if latest.exists() else 0
    with (folder / f"steps-{done:06d}.jsonl").open("w") as log:
        for step in range(done + 1, steps + 1):
            log.write(json.dumps({"step": step, "data": {"critic/score/mean": step / 10}}) + "\n")
            log.flush()
            model = latest.parent / f"global_step_{step}" / "actor" / "huggingface"
            model.mkdir(parents=True, exist_ok=True)
            with (model / "model.safetensors").open("wb") as stream:
                for at in range(8):
                    data = weights(step)
                    stream.write(data[at * len(data) // 8 : (at + 1) * len(data) // 8])
                    stream.flush()
                    time.sleep(0.005)
            part = latest.with_suffix(".part")
            part.write_text(str(step))
            part.rename(latest)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
