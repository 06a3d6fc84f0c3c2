"""Our official scores, and cases for them, beside which lmms-eval's own code is held."""

from cases import LETTERS, POOL, mixture

from experiments.benchmarks import BENCHMARKS
from experiments.benchmarks.layouts import LETTERS as ABC
from vt_env.judges import Query

N = 400


def official(name, reference, answer, *, question="", answer_type="", choices=()):
    """Our official score of one answer."""
    references = (reference,) if isinstance(reference, str) else tuple(reference)
    query = Query(question, references, answer, answer_type, tuple(choices))
    (verdict,) = BENCHMARKS.make(name).judge("official", "exact").score([query])
    return verdict


def row(correct, answer="", kind="", references=("x",), score=None, **metadata):
    score = float(correct) if score is None else score
    return {
        "answer": answer,
        "correct": correct,
        "score": score,
        "kind": kind,
        "references": list(references),
        "metadata": metadata,
    }


def pairs(rng, references, answers=POOL, n=N):
    """Every reference with itself and with odd answers, by hand and seeded."""
    made = [(ref, ref) for ref in references if ref.strip()]
    made += [(rng.choice(references), rng.choice(answers)) for _ in range(n)]
    made += [(rng.choice(references), mixture(rng)) for _ in range(n)]
    return [(ref, answer) for ref, answer in made if ref.strip()]


OPTIONS = [
    ["cat", "dog", "bird", "fish"],
    ["3/11", "8/11", "6/11"],
    ["yes", "no"],
    ["red", "red car", "blue", "the blue car"],
    ["hong kong", "osaka", "shanghai", "tokyo"],
    ["1", "12", "123", "2"],
    ["A", "B", "C", "D"],
    ["an", "a", "the", "none of these"],
]


def option_answers(rng, options):
    """Answers about options: letters, texts, both, neither."""
    letter, text = rng.choice(ABC[: len(options)]), rng.choice(options)
    return rng.choice(
        [
            letter,
            text,
            f"({letter}) {text}",
            f"{letter}. {text}",
            f"The answer is {text}.",
            f"I think that the answer must be {text} in this picture",
            f"{letter} {text}",
            text.upper(),
            rng.choice(LETTERS),
            mixture(rng),
            f"{text} {rng.choice(options)}",
            text[:-1],
            "",
        ]
    )


def vista(question_type, answer_type, reference, choices=(), precision=0):
    return {
        "question_type": question_type,
        "answer_type": answer_type,
        "question": "What?",
        "unit": "",
        "query": "What?",
        "choices": list(choices) or None,
        "answer": reference,
        "precision": precision,
        "pid": "1",
        "metadata": {"split": "testmini"},
    }
