"""Runs that another library leads: what the trainers ``openrlhf`` and ``verl`` share.

A library is a :class:`~trainers.hosted.run.HostedRun`: its command, the steps that it saved, where
it leaves their models, and what it logs elsewhere. :class:`~trainers.hosted.trainer.HostedTrainer`
does the rest: prepare, start, follow, and keep checkpoints.

    recipe ──export──▶ run.json, rows ─┐
                                       ▼
    the library asks for a rollout ──▶ RolloutWorker.play ──▶ ScoredRollout: tokens, reward, facts
                                        │        ▲
                        turns ──generate──▶ engine  └── siblings meet in a Group, judged together

Such a library owns the loop: it says when a rollout begins and which engine speaks, and it learns.
What is played, what it is worth and which tokens are whose is decided here, once for all of them.
"""
