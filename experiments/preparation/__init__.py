"""Training data by difficulty: which samples a policy answers at which resolution.

::

    source -> screening -> 8 rollouts at each resolution -> rollouts.jsonl -> classes -> balance
                                                                                 |-> jsonl/, hf/
                                                                                 `-> cold-start/

Only ``rollouts.jsonl`` costs anything to make. Everything after it is made anew from it, in a pass
over the file, so rules and sizes can change without another rollout.
"""

from experiments.preparation.rule import CLASSES, Arm, Rule
from experiments.preparation.settings import Settings

__all__ = ["CLASSES", "Arm", "Rule", "Settings"]
