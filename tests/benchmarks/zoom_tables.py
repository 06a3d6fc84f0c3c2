"""Small copies of the zoom benchmarks, in the exact layouts of their repositories."""

import base64
import csv
import json

from tables import IMAGE, INT, TEXT, TEXTS, cell, datasets, png


def encoded(seed=0):
    """A picture as text."""
    return base64.b64encode(png(seed)).decode()


def files(folder, pictures):
    """Picture files."""
    for name in pictures:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(png())


def jsonl(path, rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def parquet(path, features, rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    empty = dict.fromkeys(features)
    made = [{**empty, **row} for row in rows]
    datasets.Dataset.from_list(made, features=datasets.Features(features)).to_parquet(path)


def tsv(path, rows):
    """As pandas writes it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]), delimiter="\t", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


INSTRUCTION = "\nAnswer with the option's letter from the given choices directly."
VSTAR = [
    ("0", "direct_attributes/sa_4690.jpg", "What is the material of the glove?",
     ["rubber", "cotton", "kevlar", "leather"], "A", [[10, 4, 6, 8]]),
    ("1", "relative_position/sa_10.jpg", "Is the dog left of the cat?",
     ["The dog is on the left.", "The dog is on the right."], "B", [[0, 0, 4, 4], [8, 8, 8, 8]]),
]  # fmt: skip


def vstar_text(question, options):
    shown = "".join(f"\n({letter}) {text}" for letter, text in zip("ABCD", options, strict=False))
    return f"{question}{shown}{INSTRUCTION}"


def vstar(root):
    """The original repository: rows, pictures, and a JSON file beside each picture."""
    files(root, [row[1] for row in VSTAR])
    rows = []
    for number, image, question, options, label, boxes in VSTAR:
        first = "ABCD".index(label)
        right_first = [options[first], *options[:first], *options[first + 1 :]]
        told = {"target_object": ["x"] * len(boxes), "bbox": boxes, "question": question,
                "options": right_first}  # fmt: skip
        (root / image).with_suffix(".json").write_text(json.dumps(told))
        rows.append({"image": image, "text": vstar_text(question, options), "label": label,
                     "category": image.partition("/")[0], "question_id": number})  # fmt: skip
    jsonl(root / "test_questions.jsonl", rows)


def vstar_mirror(root):
    """The Hub's mirror: pictures in Parquet, no boxes."""
    features = {"image": IMAGE, **dict.fromkeys(("text", "category", "label", "question_id"), TEXT)}
    rows = [
        {"image": cell(png()), "text": vstar_text(question, options), "label": label,
         "category": image.partition("/")[0], "question_id": number}
        for number, image, question, options, label, _ in VSTAR
    ]  # fmt: skip
    parquet(root / "data" / "test-00000-of-00001.parquet", features, rows)


HRBENCH = {
    "index": INT, "question": TEXT, "answer": TEXT, "category": TEXT, **dict.fromkeys("ABCD", TEXT),
    "cycle_category": TEXT, "image": TEXT,
}  # fmt: skip


def hrbench(root, size="4k"):
    texts = ["27B", "37B", "None", "27E"]
    rows = [
        {"index": turn, "question": " What number? ", "answer": "ABCD"[turn], "category": "single",
         **dict(zip("ABCD", texts[-turn:] + texts[:-turn], strict=True)),
         "cycle_category": str(turn), "image": encoded(1)}
        for turn in range(4)
    ]  # fmt: skip
    parquet(root / f"hr_bench_{size}.parquet", HRBENCH, rows)


REALWORLD = {
    "index": TEXT, "bytes": TEXT, "question": TEXT, "multi-choice options": TEXTS, "answer": TEXT,
    "category": TEXT, "l2-category": TEXT,
}  # fmt: skip


def realworld(root):
    options = [
        f"({letter}) {text}"
        for letter, text in zip(
            "ABCDE", ("left", "right", "up", "down", "The image does not feature it."), strict=True
        )
    ]
    rows = [
        {"index": f"perception/remote_sensing/position/{i}", "bytes": encoded(), "answer": answer,
         "question": "Where is the crane?", "multi-choice options": options,
         "category": category, "l2-category": "position"}
        for i, (answer, category) in enumerate(
            [("A", "Perception/Remote Sensing"), ("E", "Reasoning/Monitoring")])
    ]  # fmt: skip
    parquet(root / "data" / "train-00000-of-00001.parquet", REALWORLD, rows)


def visualprobe(root, level="Hard"):
    name = f"data/visual_probe_{level.lower()}_60.jpg"
    files(root, [name])
    row = {"images": [f"VisualProbe_{level}/{name}"], "doc_id": f"visual_probe_{level.lower()}_60",
           "problem": "<image>\nWhat colour is the lampshade?", "solution": "White.",
           "data_source": f"visual_probe_{level.lower()}"}  # fmt: skip
    (root / "val.json").write_text(json.dumps([row]))


NUMBERS = datasets.Sequence(datasets.Value("float64"))
ZOOMBENCH = {
    "id": TEXT, "image": IMAGE, "crop_image": IMAGE, "query": TEXT, "response": TEXT,
    "question_type": TEXT, "bbox": NUMBERS,
}  # fmt: skip


def zoombench(root, **more):
    rows = [
        {"id": "7", "image": cell(png(0)), "crop_image": cell(png(1)), "query": "How many?",
         "response": "3", "question_type": "blank", "bbox": [2.0, 2.0, 10.0, 8.0]},
        {"id": "9", "image": cell(png(2)), "crop_image": None, "response": "B",
         "query": "<image>Which?\n(A) red\n(B) blue", "question_type": "mcq", **more},
    ]  # fmt: skip
    parquet(root / "data" / "test.parquet", ZOOMBENCH, rows)


def treebench(root):
    rows = [
        {"index": "0", "image": encoded(), "question": 'Where is the "Titan" sign?',
         "A": "To the left ", "B": "To the right", "C": "Front\tright", "D": "None", "E": "",
         "answer": "C", "category": "Reasoning/Perspective Transform",
         "target_instances": "[[8.0, 0.0, 16.0, 8.0], [16.0, 8.0, 24.0, 16.0]]"},
        {"index": "1", "image": encoded(1), "question": "Which?\nOr what?", "A": "x", "B": "y",
         "C": "", "D": "", "E": "", "answer": "B", "category": "Perception/OCR",
         "target_instances": "[]"},
    ]  # fmt: skip
    tsv(root / "TreeBench.tsv", rows)


def o3bench(root):
    files(root / "test", ["images/chart/1-3.png"])
    row = {"file_name": "images/chart/1-3.png", "subset": "chart", "question": "What changed?",
           "options": "A. −$13,046\nB. −$14,895\nC. No right choice", "answer": "B"}  # fmt: skip
    jsonl(root / "test" / "metadata.jsonl", [row])


COPIES = {
    "vstar": vstar,
    "hrbench-4k": hrbench,
    "hrbench-8k": lambda root: hrbench(root, "8k"),
    "mme-realworld": realworld,
    "mme-realworld-lite": realworld,
    "visualprobe-easy": lambda root: visualprobe(root, "Easy"),
    "visualprobe-medium": lambda root: visualprobe(root, "Medium"),
    "visualprobe-hard": visualprobe,
    "zoombench": zoombench,
    "zoombench-crop": zoombench,
    "treebench": treebench,
    "o3bench": o3bench,
}
"""Writes a copy of each into a folder."""


def row(correct, right="A", answer="x", **more):
    known = {"kind": "k", "question": "?", "score": float(correct), "references": [right]}
    return {"correct": correct, "answer": answer, "metadata": {}, **known, **more}
