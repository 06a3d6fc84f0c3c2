"""Bridges to lmms-eval 0.7.3: its sample logs judged by our judges, our agents as its model.

    lmms-eval ──requests──▶ plug-in (our dialogue, our agent) ──answers──▶ lmms-eval's metrics
                                │                                            │ --log_samples
                                ▼                                            ▼
                          what it was shown ──────joined by task, doc_id──▶ rows ──▶ vt judge

Only :mod:`experiments.lmms.model` and :mod:`experiments.lmms.plugin` import lmms-eval.
"""
