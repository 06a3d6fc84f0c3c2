"""Small tasks for lmms-eval, on this disk: no network."""

from __future__ import annotations

import json
from pathlib import Path

from PIL import Image

from vt_env import open_source

UTILS = """
from PIL import Image

def picture(doc):
    return [Image.open(doc["file"]).convert("RGB")]

def stored(doc):
    return [doc["image"].convert("RGB")]

def two(doc):
    return picture(doc) * doc["shows"]

def video(doc):
    return [doc["file"] + ".mp4"]

def exact(doc, results):
    return {"exact": float(results[0].strip().lower() == doc["answer"].lower())}
"""
YAML = """task: {name}
dataset_path: {kind}
dataset_kwargs:
  data_files:
    test: {data}
test_split: test
output_type: generate_until
doc_to_text: "{{{{question}}}}"
doc_to_target: answer
doc_to_visual: !function utils.{visual}
process_results: !function utils.exact
generation_kwargs:
  max_new_tokens: 16
metric_list:
  - metric: exact
    aggregation: mean
    higher_is_better: true
"""
N = 8


def write(folder: Path) -> Path:
    """``vt_files`` (pictures as files), ``vt_table`` (in a parquet file), and odd ones."""
    import datasets

    folder.mkdir(parents=True)
    rows = []
    for number, sample in zip(range(N), open_source(f"generated:n={N}"), strict=False):
        file = folder / f"{number}.png"
        Image.fromarray(sample.image).save(file)
        rows.append({
            "question": sample.question, "answer": sample.references[0], "file": str(file),
            "shows": (1, 2, 0)[number] if number < 3 else 1,
        })  # fmt: skip
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    features = datasets.Features(
        question=datasets.Value("string"), answer=datasets.Value("string"), image=datasets.Image()
    )
    table = [{"question": r["question"], "answer": r["answer"], "image": r["file"]} for r in rows]
    datasets.Dataset.from_list(table, features=features).to_parquet(folder / "rows.parquet")
    (folder / "utils.py").write_text(UTILS)
    for name, kind, visual in (
        ("vt_files", "json", "picture"),
        ("vt_table", "parquet", "stored"),
        ("vt_shows", "json", "two"),
        ("vt_video", "json", "video"),
    ):
        data = folder / ("rows.parquet" if kind == "parquet" else "rows.jsonl")
        text = YAML.format(name=name, kind=kind, data=data, visual=visual)
        (folder / f"{name}.yaml").write_text(text)
    chosen = (folder / "vt_files.yaml").read_text().replace("vt_files", "vt_choice")
    chosen = chosen.replace("generate_until", "multiple_choice").partition("process_results")[0]
    chosen += "doc_to_choice: \"{{[answer, 'nothing']}}\"\nmetric_list:\n  - metric: acc\n"
    (folder / "vt_choice.yaml").write_text(chosen)
    return folder
