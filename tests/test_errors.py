"""Each error has a code of its own, crosses the wire as itself, and has its place in the tree."""

from __future__ import annotations

import pickle
import re
from typing import Any

import pytest

from openenv_gym import errors
from openenv_gym.errors import OpenEnvGymError, PeerError, Side, error_from_wire
from openenv_gym.wire.codecs.native import NativeCodec
from openenv_gym.wire.messages import Error
from openenv_gym.wire.server import error_message

STOCK = {
    "INVALID_JSON",
    "UNKNOWN_TYPE",
    "VALIDATION_ERROR",
    "EXECUTION_ERROR",
    "CAPACITY_REACHED",
    "FACTORY_ERROR",
    "SESSION_ERROR",
}


def _tree(root: type[OpenEnvGymError]) -> list[type[OpenEnvGymError]]:
    return [root, *[cls for child in root.__subclasses__() for cls in _tree(child)]]


CLASSES = [cls for cls in _tree(OpenEnvGymError) if cls.__module__ == errors.__name__]


def test_codes_are_unique() -> None:
    assert len({cls.code for cls in CLASSES}) == len(CLASSES)
    assert all(re.fullmatch("[A-Z_]+", cls.code) for cls in CLASSES)


@pytest.mark.parametrize("cls", CLASSES)
def test_an_error_has_a_side_and_a_stock_code(cls: type[OpenEnvGymError]) -> None:
    assert cls.side in Side and cls.openenv_code in STOCK and cls.__doc__ and cls.__name__ in errors.__all__


@pytest.mark.parametrize("cls", CLASSES)
@pytest.mark.parametrize(
    "fields", [{}, {"capacity": 64, "names": ["a"]}, {"message": "x", "code": 1, "self": 2, "name": "n"}]
)
def test_an_error_crosses_the_wire_as_itself(cls: type[OpenEnvGymError], fields: dict[str, Any]) -> None:
    error = cls("what happened", **fields)
    error.add_note("first")
    error.add_note("second")
    message, _ = NativeCodec().decode(NativeCodec().encode(error_message(3, error)))
    assert isinstance(message, Error) and message.side == cls.side
    back = error_from_wire(message.code, message.message, message.fields, cause=message.cause)
    assert type(back) is cls and str(back) == back.message == "what happened" and back.fields == fields
    assert back.__notes__ == ["first\nsecond"]


@pytest.mark.parametrize("cls", CLASSES)
def test_an_error_survives_pickle(cls: type[OpenEnvGymError]) -> None:
    back = pickle.loads(pickle.dumps(cls("text", lane=3)))
    assert type(back) is cls and (back.message, back.fields) == ("text", {"lane": 3})


def test_an_unknown_code_is_a_peers_error_that_keeps_it() -> None:
    error = error_from_wire("NEWER", "text", {"code": "theirs", "lane": 1})
    assert type(error) is PeerError and error.fields == {"code": "NEWER", "lane": 1}
    assert not hasattr(error, "__notes__")


@pytest.mark.parametrize(
    ("cls", "builtin"),
    [
        (errors.InvalidAction, ValueError),
        (errors.UnsupportedSpace, TypeError),
        (errors.MissingExtra, ImportError),
        (errors.ServerClosed, ConnectionError),
        (errors.ConnectionLost, ConnectionError),
        (errors.DeadlineExceeded, TimeoutError),
    ],
)
def test_where_a_builtin_is_the_honest_answer_it_is_one(
    cls: type[OpenEnvGymError], builtin: type[Exception]
) -> None:
    with pytest.raises(builtin):
        raise cls("text", a=1)


def test_the_tree_in_the_docstring_is_the_tree() -> None:
    assert errors.__doc__ is not None
    drawn: dict[str, str] = {}
    above: list[str] = []
    builtins: dict[str, str] = {}
    for line in errors.__doc__.splitlines():
        found = re.match(r"    ([│├└─ ]*)([A-Z]\w+)(?: +\((\w+)\))?", line)
        if found:
            depth = len(found[1]) // 4
            above[depth:] = [found[2]]
            drawn[found[2]] = above[depth - 1] if depth else ""
            if found[3]:
                builtins[found[2]] = found[3]
    assert drawn == {
        cls.__name__: "" if cls is OpenEnvGymError else cls.__bases__[0].__name__ for cls in CLASSES
    }
    assert builtins == {cls.__name__: cls.__bases__[1].__name__ for cls in CLASSES if len(cls.__bases__) > 1}
