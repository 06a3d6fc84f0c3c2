"""Cases for every metric: odd texts by hand, and seeded mixtures of them."""

import random

WORDS = ["cat", "A cat", "the cat.", "Cat", "banana", "nan", "none", "ja", "nein", "猫", "ＳＴＯＰ", "stop",
         "Stop!", "go stop left", "", " ", "\n", "straße", "STRASSE", "İstanbul", "May 1, 2019", "e.g."]  # fmt: skip
NUMBERS = ["0", "1", "-1", "47", "47%", "0.47", "46", "49.4", "5%%", "1,234", "1234", "1_000", "1e3", "2019",
           "2010", "3.14159", ".5", "5.", "inf", "-inf", "nan", "１２", " 12 ", "12\n", "$6", "1.45", "1.4",
           "0.6", "9.0", "1,234,567.89", "12 cm", "6.02e23", "99999999999999999999"]  # fmt: skip
LETTERS = ["A", "B", "C", "D", "E", "a", "b", "(A)", "(B)", "[C]", "A.", "B)", "C:", "D,", "(b)", "A. cat",
           "(B) dog", "B. dog.", "The answer is C", "the answer is (D).", "Answer: B", "I choose A because B",
           "A or B", "A B", "Option C is right", "It is not A, it is B.", "A dog sits here today",
           "The best option is D!", "答案是B", "정답은 C", "ABCD", "DNA test", "Vitamin B", "(A) or (C)",
           ": D", ":D)", "'A'", "\"B\"", "so A is wrong, thus D", "A.B.C", "C?!", "B,", "E.", "(E)"]  # fmt: skip
SIDES = ["yes", "no", "Yes", "No", "YES.", "no.", "y", "n", "N", "Yes, it is", "No, there is not",
         "There is no dog", "not", "nothing", "I do not know", "maybe", "yesterday", "north", "noyes", "yno",
         "know", " yes ", "y.e.s", "true"]  # fmt: skip
SENTENCES = ["The result is 47", "so the value could be 5, therefore 6", "x = 12", "Final answer 1,234.5",
             "It is 3.\nThe answer is 4", "a = 1\nb = 2\nc = a + b = 3", "The answer is cat.",
             "thus . ", "is is is", "the red car is left of the blue one", "answer : ", "result =",
             "He said that the red option and the blue option are the same thing here"]  # fmt: skip
POOL = WORDS + NUMBERS + LETTERS + SIDES + SENTENCES


def mixture(rng: random.Random) -> str:
    """A text: one of the pool, several joined, or one with its characters disturbed."""
    kind = rng.random()
    if kind < 0.5:
        return rng.choice(POOL)
    if kind < 0.8:
        joint = rng.choice([" ", ", ", ". ", "\n", " is ", " = ", "; "])
        return joint.join(rng.choices(POOL, k=rng.randint(2, 4)))
    text = list(rng.choice(POOL))
    for _ in range(rng.randint(1, 3)):
        place = rng.randint(0, len(text))
        text[place : place + rng.randint(0, 1)] = rng.choice(
            ["", " ", ".", "a", "B", "1", "\n", "%", "("]
        )
    return "".join(text)
