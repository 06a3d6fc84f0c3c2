"""Whether an installed distribution works: ``python smoke.py core`` or ``python smoke.py cli``.

Run from a folder that is no checkout. ``core`` needs what the distribution depends on, ``cli`` its
extra of that name.
"""

import subprocess
import sys
import sysconfig
import time
from pathlib import Path

SLOWEST_IMPORT = 3.0
"""CPU seconds."""


def core() -> None:
    """Import, play an episode, and find that nothing is wrong."""
    began = time.process_time()
    import gymnasium as gym

    import vt_env

    took = time.process_time() - began
    assert Path(vt_env.__file__).is_relative_to(sysconfig.get_path("purelib")), vt_env.__file__
    assert vt_env.__version__[0].isdigit(), vt_env.__version__
    assert took < SLOWEST_IMPORT, f"importing took {took:.1f} CPU seconds"
    assert not {"torch", "transformers", "matplotlib"} & set(sys.modules)
    env = gym.make("vt_env:VisionThink-v0")
    env.reset(seed=0)
    *_, terminated, _, info = env.step("<think>Read.</think><answer>47</answer>")
    assert terminated
    assert info["verdict"].correct is not None
    subprocess.run([sys.executable, "-m", "vt_env.doctor"], check=True)
    print(f"vt_env {vt_env.__version__}: imported in {took:.2f} CPU seconds, played an episode")


def cli() -> None:
    """The command line, from a folder that has nothing of ours."""
    vt = str(Path(sysconfig.get_path("scripts")) / "vt")
    subprocess.run([vt, "--help"], check=True, stdout=subprocess.DEVNULL)
    subprocess.run(
        [vt, "eval", "--agent", "oracle", "--data", "generated:n=20", "--out", "smoke",
         "--overwrite"],
        check=True,
    )  # fmt: skip


if __name__ == "__main__":
    {"core": core, "cli": cli}[sys.argv[1]]()
