"""Rollouts inside another library's engine: what the trainers ``openrlhf`` and ``verl`` share.

    recipe ──export──▶ run.json, rows ─┐
                                       ▼
    the library asks for a rollout ──▶ Rollouts.play ──▶ Scored: tokens, pictures, reward, facts
                                        │        ▲
                        Turns ──speak──▶ engine  └── siblings meet in a Group, judged together

Such a library owns the loop: it says when a rollout begins and which engine speaks, and it learns.
What is played, what it is worth and which tokens are whose is decided here, once for all of them.
"""
