"""Short names of policies: how tables and charts call them."""

import itertools
from collections.abc import Sequence
from pathlib import PurePath


def short_names(policies: Sequence[str]) -> dict[str, str]:
    """A short name for each policy, no two alike.

    A policy of one's own, ``FILE.py:FUNCTION`` or ``MODULE:FUNCTION``, perhaps with ``:ARGUMENT``, is called by its
    file and its argument, both without folders: ``cloning.py:load:runs/100.safetensors`` is ``cloning: 100``. Where
    that does not tell policies apart, the function is named, too, or folders of the argument, or those of the file. All
    others keep the name by which they were asked for.
    """
    own = {text: text.split(":", 2) for text in dict.fromkeys(policies) if _is_own(text)}
    names = {text: text for text in policies}
    names |= {text: _called(parts) for text, parts in own.items()}
    groups = [
        [text for text in own if names[text] == name] for name in dict.fromkeys(names.values()) if name not in policies
    ]
    for alike in groups:
        if len(alike) < 2:
            continue
        deepest = max(len(PurePath(part).parts) for text in alike for part in own[text])
        for depth, with_function, of_file in itertools.product(range(1, deepest + 1), (False, True), (False, True)):
            told = [_called(own[text], depth, with_function, of_file) for text in alike]
            if len(set(told)) == len(told) and not set(told) & set(names.values()):
                names |= zip(alike, told, strict=True)
                break
        else:
            names |= {text: text for text in alike}
    return names


def _is_own(text: str) -> bool:
    """Whether a name is that of a function, not that of a built-in policy with its number."""
    _, colon, rest = text.partition(":")
    try:
        float(rest)
    except ValueError:
        return bool(colon and rest)
    return False


def _called(parts: Sequence[str], depth: int = 1, function: bool = False, of_file: bool = False) -> str:
    """The name of a policy of one's own: of its file or module, what makes it, and perhaps an argument.

    Args:
        parts: these two or three.
        depth: how many parts of the argument's path are named.
        function: whether what makes it is named.
        of_file: whether as many parts of the file's path are named.
    """
    module, made, *arguments = parts
    last = _end(module, depth if of_file else 1) if module.endswith(".py") else module.rpartition(".")[2]
    told = [_end(argument, depth) for argument in arguments if argument]
    return ": ".join([last, *([made] if function or not told else []), *told])


def _end(path: str, depth: int) -> str:
    """The last parts of a path, without the ending of its file; a number is no ending."""
    end = PurePath(*PurePath(path).parts[-depth:])
    return str(end.with_suffix("") if end.suffix[1:2].isalpha() else end)
