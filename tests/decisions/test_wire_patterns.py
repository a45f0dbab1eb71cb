"""The models' regular expressions mean in Python what they mean to AWS."""

import warnings

import pytest

from pasture.api.wire.patterns import compile_pattern
from pasture.api.wire.service import load_model


@pytest.mark.parametrize("service", ["lambda", "logs", "sts"])
def test_every_pattern_of_a_model_compiles(service: str) -> None:
    model = load_model(service)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for name in model.shape_names:
            if (pattern := model.shape_for(name).metadata.get("pattern")) is not None:
                compile_pattern(pattern)


@pytest.mark.parametrize(
    ("pattern", "text", "matches"),
    [
        (r"\d{12}", "\N{ARABIC-INDIC DIGIT ONE}" * 12, False),
        (r"\w", "é", False),
        (r"[\w-_]*", "a-_", True),
        (r"[\w-_]*", "a.b", False),
        (r"[a-zA-Z0-9-_]+", "a-_9", True),
        (r"[\x21-\x7E]+", "!~", True),
        (r"[\x21-\x7E]+", " ", False),
        (r"[\p{L}\p{Z}\p{N}_.:/=+\-@]*", "Ünï 日本 1²", True),
        (r"[\p{L}\p{Z}\p{N}_.:/=+\-@]*", "a#", False),
        (r"\p{L}+", "éß", True),
        (r"\p{Lu}", "é", False),
        (r"[[a]", "[", True),
        (r"[^]]", "]", False),
        (r"[]]", "]", True),
        (r"$|kafka://.*", "", True),
        (r"((?!^\d+$)^[0-9a-zA-Z-_]+$)", "12", False),
        (r"((?!^\d+$)^[0-9a-zA-Z-_]+$)", "12a", True),
        (r"[0-9A-Za-z\.\-_]*(?<!\.)", "a.", False),
        (r"\p{Print}+", "a ~", True),
        (r"\p{Print}+", "é", False),
        (r"[a\uD800\uDC00-\uDBFF\uDFFF]", "😀", True),
        (r"[a\uD800\uDC00-\uDBFF\uDFFF]", "é", False),
        ("[\\u0009\\u000A\\u000D\\u0020-\\u00FF]+", "a\tÿ", True),
    ],
)
def test_a_pattern_means_what_it_means_to_java(pattern: str, text: str, *, matches: bool) -> None:
    assert (compile_pattern(pattern).fullmatch(text) is not None) == matches
