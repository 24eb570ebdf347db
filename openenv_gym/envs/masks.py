"""Masks of legal actions out of infos, in the shape in which sb3-contrib's MaskablePPO wants them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from openenv_gym.errors import CallRefused, ResetNeeded
from openenv_gym.types import Rows, Signature

__all__ = ["CALL", "KEY", "flat", "masks_of", "missing"]

KEY = "action_mask"
"""What an info calls its mask."""
CALL = "action_masks"
"""What an environment calls its method, and the server's operator may offer."""


def flat(mask: Any) -> NDArray[np.bool_]:
    """A mask as bool, (n,), the caller's own; the parts of a MultiDiscrete's, a tuple, behind each other."""
    if isinstance(mask, tuple):
        return np.concatenate([flat(part) for part in mask])
    return np.array(mask, np.bool_).reshape(-1)


def missing(signature: Signature, *, begun: bool) -> NoReturn:
    """Say why there is no mask, and what to do.

    Raises:
        ResetNeeded: if there may be one after a reset.
        CallRefused: if the environment gives none.
    """
    if signature.masks and not begun:
        raise ResetNeeded("there is no action mask before the first reset; call reset() first")
    raise CallRefused(
        f"{signature.env_id} gave no info[{KEY!r}] with its last answer, which says what is legal; learn "
        f"without masks, have its infos carry one, or, if it has a method {CALL}, have its server's "
        f"operator offer that: serve_gym(..., calls=[{CALL!r}])",
        name=CALL,
    )


def masks_of(answers: Sequence[Rows], lanes: int) -> dict[int, NDArray[np.bool_]]:
    """Lane -> its newest mask in some answers, the last of which is the newest."""
    found: dict[int, NDArray[np.bool_]] = {}
    for rows in answers:
        if rows.batch_info is not None:
            _add_batch(found, rows.batch_info, lanes)
            continue
        column = rows.infos.columns.get(KEY)
        tail = rows.dense or len(rows)
        for lane in rows.lane[:tail].tolist():
            found.pop(lane, None)
        for row, mask in () if column is None else column.values():
            if row < tail:  # behind it lie the last rows of episodes that are over
                found[int(rows.lane[row])] = flat(mask)
    return found


def _add_batch(found: dict[int, NDArray[np.bool_]], info: dict[str, Any], lanes: int) -> None:
    """The same of a native vector environment's info, which says by ``_action_mask`` whose masks are new."""
    if KEY in info:
        new = info.get(f"_{KEY}", [True] * lanes)
        found.update((lane, flat(info[KEY][lane])) for lane in range(lanes) if new[lane])
