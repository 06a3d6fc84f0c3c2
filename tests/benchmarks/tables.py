"""Small tables in the exact layouts of the Hub: columns and types."""

import io

import numpy as np
import pytest
from PIL import Image

datasets = pytest.importorskip("datasets")

TEXT, INT, IMAGE = datasets.Value("string"), datasets.Value("int64"), datasets.Image()
TEXTS = datasets.Sequence(TEXT)
FEATURES = {
    "chartqa": {"type": TEXT, "question": TEXT, "answer": TEXT, "image": IMAGE},
    "ocrbench": {
        "dataset": TEXT,
        "question": TEXT,
        "question_type": TEXT,
        "answer": TEXTS,
        "image": IMAGE,
    },
    "docvqa": {
        "questionId": TEXT,
        "question": TEXT,
        "question_types": TEXTS,
        "image": IMAGE,
        "docId": INT,
        "ucsf_document_id": TEXT,
        "ucsf_document_page_no": TEXT,
        "answers": TEXTS,
        "data_split": TEXT,
    },
    "mme": {
        "question_id": TEXT,
        "image": IMAGE,
        "question": TEXT,
        "answer": TEXT,
        "category": TEXT,
    },
    "mmvet": {
        "question_id": TEXT,
        "image": IMAGE,
        "question": TEXT,
        "answer": TEXT,
        "image_source": TEXT,
        "capability": TEXT,
        "imagesource": TEXT,
    },
    "realworldqa": {"image": IMAGE, "image_path": TEXT, "question": TEXT, "answer": TEXT},
    "pope": {
        "id": TEXT,
        "question_id": TEXT,
        "question": TEXT,
        "answer": TEXT,
        "image_source": TEXT,
        "image": IMAGE,
        "category": TEXT,
    },
    "mathvista": {
        "pid": TEXT,
        "question": TEXT,
        "image": TEXT,
        "decoded_image": IMAGE,
        "choices": TEXTS,
        "unit": TEXT,
        "precision": datasets.Value("float64"),
        "answer": TEXT,
        "question_type": TEXT,
        "answer_type": TEXT,
        "query": TEXT,
        "metadata": {
            "category": TEXT,
            "context": TEXT,
            "grade": TEXT,
            "img_height": INT,
            "img_width": INT,
            "language": TEXT,
            "skills": TEXTS,
            "source": TEXT,
            "split": TEXT,
            "task": TEXT,
        },
    },
    "mathverse": {
        "sample_index": TEXT,
        "problem_index": TEXT,
        "problem_version": TEXT,
        "question": TEXT,
        "image": IMAGE,
        "answer": TEXT,
        "question_type": TEXT,
        "metadata": {"split": TEXT, "source": TEXT, "subject": TEXT, "subfield": TEXT},
        "query_wo": TEXT,
        "query_cot": TEXT,
        "question_for_eval": TEXT,
    },
    "mmmu": {
        "id": TEXT,
        "question": TEXT,
        "options": TEXT,
        "explanation": TEXT,
        **{f"image_{i}": IMAGE for i in range(1, 8)},
        "img_type": TEXT,
        "answer": TEXT,
        "topic_difficulty": TEXT,
        "question_type": TEXT,
        "subfield": TEXT,
    },
    "mmbench": {
        "index": INT,
        "question": TEXT,
        "hint": TEXT,
        "answer": TEXT,
        **dict.fromkeys("ABCD", TEXT),
        "category": TEXT,
        "image": IMAGE,
        "source": TEXT,
        "L2-category": TEXT,
        "comment": TEXT,
        "split": TEXT,
    },
}
FEATURES["mathverse-vision"] = FEATURES["mathverse"]
ROWS = {
    "chartqa": {"type": "human_test", "question": "How many?", "answer": "47"},
    "ocrbench": {
        "dataset": "HME100k",
        "question": "Write it.",
        "question_type": "Handwriting Recognition",
        "answer": ["x ^ 2", "x^2"],
    },
    "docvqa": {
        "questionId": "49153",
        "question": "What date?",
        "question_types": ["form", "layout"],
        "docId": 1,
        "ucsf_document_id": "pybv0228",
        "ucsf_document_page_no": "81",
        "answers": ["May 1"],
    },
    "mme": {
        "question_id": "count/1.png",
        "question": "Are there two dogs? Please answer yes or no.",
        "answer": "Yes",
        "category": "count",
    },
    "mmvet": {
        "question_id": "v1_0",
        "question": "What is x?",
        "answer": "-1<AND>-5<OR>none",
        "capability": "ocr,math",
    },
    "realworldqa": {"question": "Where? A. left B. right", "answer": "B"},
    "pope": {
        "id": "0",
        "question_id": "1",
        "question": "Is there a dog in the image?",
        "answer": "yes",
        "category": "popular",
    },
    "mathvista": {
        "pid": "7",
        "question": "How long?",
        "choices": None,
        "unit": "cm",
        "precision": 1.0,
        "answer": "1.4",
        "question_type": "free_form",
        "answer_type": "float",
        "metadata": {
            "task": "geometry",
            "skills": ["algebra"],
            "context": "chart",
            "split": "testmini",
        },
    },
    "mathverse": {
        "sample_index": "1",
        "problem_index": "1",
        "problem_version": "Vision Only",
        "question": "",
        "answer": "B",
        "question_type": "multi-choice",
        "metadata": {"subject": "Plane Geometry"},
        "query_wo": "Choose.",
        "question_for_eval": "Find x.",
    },
    "mmmu": {
        "id": "validation_Art_Theory_3",
        "question": "<image 1> Who?",
        "options": "['Klee', \"O'Keeffe\"]",
        "answer": "B",
        "question_type": "multiple-choice",
    },
    "mmbench": {
        "index": 241,
        "question": "Which?",
        "hint": "nan",
        "answer": "A",
        "A": "cat",
        "B": "dog",
        "C": "nan",
        "D": None,
        "category": "ocr",
        "L2-category": "perception",
    },
}
ROWS["mathverse-vision"] = ROWS["mathverse"]
PICTURE = {"mathvista": "decoded_image", "mmmu": "image_1"}


def png(seed=0):
    """An encoded picture of 32 × 24 random pixels."""
    pixels = np.random.default_rng(seed).integers(0, 256, (24, 32, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def cell(data):
    """A picture as `datasets` stores it."""
    return {"bytes": data, "path": None}


def row(name, **changes):
    """A good row, with changes; ``...`` takes a column's value away."""
    empty = dict.fromkeys(FEATURES[name])
    made = {**empty, **ROWS[name], PICTURE.get(name, "image"): cell(png()), **changes}
    if "metadata" in FEATURES[name] and made["metadata"] is not None:
        made["metadata"] = {**dict.fromkeys(FEATURES[name]["metadata"]), **made["metadata"]}
    return made


def table(name, *rows):
    """A data set of such rows."""
    return datasets.Dataset.from_list(list(rows), features=datasets.Features(FEATURES[name]))
