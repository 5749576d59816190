"""From the arguments of a command to its options: types, one line for what cannot be, no option without effect."""

import contextlib
import dataclasses
import io
import types
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, TypeVar, Union, get_args, get_origin, get_type_hints

import tyro
from tyro.conf import Positional
from tyro.constructors import (
    ConstructorRegistry,
    PrimitiveConstructorSpec,
    PrimitiveTypeInfo,
    StructConstructorSpec,
    StructFieldSpec,
    StructTypeInfo,
)

from forearm.base.errors import ForearmError
from forearm.base.hub import DATASET, RUN, Kind, at_hand

Device = Annotated[
    str, tyro.conf.arg(metavar="DEVICE", help_behavior_hint="(default: auto; others: cpu, cuda, cuda:1, mps)")
]
SOME: Any = {"help_behavior_hint": "(at least one)"}
Recordings = Positional[Annotated[tuple[str, ...], tyro.conf.arg(metavar="RECORDING…", **SOME)]]
Datasets = Positional[Annotated[tuple[Path, ...], tyro.conf.arg(metavar="DATA…", help_behavior_hint=""), DATASET]]
RunFolder = Positional[Annotated[Path, tyro.conf.arg(metavar="RUN"), RUN]]
Runs = Positional[Annotated[tuple[Path, ...], tyro.conf.arg(metavar="RUN…", **SOME), RUN]]
DatasetFolder = Annotated[Path | None, DATASET]
OtherRun = Annotated[Path | None, RUN]
Anything = Positional[Annotated[Path, tyro.conf.arg(metavar="PATH")]]

REPEATED = "May be given repeatedly."
"""What the help says of an option that takes several values, which then add up."""
ROBOT = (
    *("robot_id", "camera", "max_step", "max_speed", "max_load", "max_temperature", "home"),
    *("release", "dry_run", "yes"),
)
"""The options of `forearm.arms.settings.RobotSettings` that go with ``--robot``."""


@dataclass(frozen=True)
class ServingOptions:
    """Where a command's page is served, and to whom."""

    host: str = "127.0.0.1"
    """Where to listen; by default for this machine alone. Anywhere else needs the token that is printed."""
    port: int = 8000
    """Where to listen; 0 for any port that is free."""
    allow_host: tuple[str, ...] = ()
    """Further names under which the page may be opened, such as that of a proxy before it."""
    open: bool = True
    """Show the page in a browser, where there is a screen."""


@dataclass(frozen=True)
class Rule:
    """Options that have an effect only while a condition holds, or only while it does not."""

    condition: str
    """The name of a field that is set, or ``field=value``; alternatives stand between bars."""
    options: tuple[str, ...]
    """Names of fields; ``model`` stands for all of ``model.…``."""
    wanted: bool

    def check(self, given: Sequence[str], values: dict[str, Any]) -> None:
        """Refuse a given option without effect."""
        conditions = self.condition.split("|")
        if any(_holds(condition, values) for condition in conditions) == self.wanted:
            return
        shown = " or ".join(flag(each).replace("=", " ") for each in conditions if not each.endswith("=None"))
        for option in given:
            if option.split(".")[0] in self.options:
                word = "without" if self.wanted else "with"
                raise ForearmError(f"{flag(option)} has no effect {word} {shown}; leave it out")


def _holds(condition: str, values: dict[str, Any]) -> bool:
    name, equals, wanted = condition.partition("=")
    value = values[name]
    return str(value) == wanted if equals else not (value is None or value is False or value in ((), {}))


def only_with(condition: str, *options: str) -> Rule:
    """These options have an effect only while the condition holds."""
    return Rule(condition, options, wanted=True)


def not_with(condition: str, *options: str) -> Rule:
    """These options have no effect while the condition holds."""
    return Rule(condition, options, wanted=False)


def parse(kind: Any, args: Sequence[str], prog: str, description: str, rules: Sequence[Rule]) -> Any:
    """The options, of a dataclass ``kind``, that arguments say."""
    gathered, args = _gathered(args, set(_several(kind)))
    errors = io.StringIO()
    try:
        with contextlib.redirect_stderr(errors):
            options = tyro.cli(kind, args=args, prog=prog, description=description, registry=_registry())
    except SystemExit as end:
        if end.code:
            raise ForearmError(f"{_one_line(errors.getvalue())}; see {prog.partition(' [')[0]} --help") from None
        raise
    values = dict(_flat(options))
    given = [_field(token, values) for token in args if token.startswith("--")]
    for name, times in Counter(given).items():
        if times > 1:
            raise ForearmError(f"{flag(name)} is given {times} times; give it once")
    for name, said in gathered.items():
        if isinstance(values[name], dict):
            _require_once(name, said, values[name])
    for rule in rules:
        rule.check(given, values)
    options = _at_hand(options)
    return dataclasses.replace(options, given=tuple(given)) if "given" in values else options


def _several(kind: Any) -> Iterator[str]:
    """The names of a dataclass's fields that take as many values as one likes, as of ``_flat``."""
    for name, hint in get_type_hints(get_origin(kind) or kind, include_extras=True).items():
        hint = get_args(kind)[0] if isinstance(hint, TypeVar) else hint
        of = hint.__origin__ if hasattr(hint, "__metadata__") else hint
        if not dataclasses.is_dataclass(get_origin(of) or of):
            if _takes_several(of):
                yield name
        elif name == "model":
            yield from (f"model.{inner}" for inner in _several(of))
        else:
            yield from _several(of)


def _takes_several(kind: Any) -> bool:
    """Whether an option of a type takes as many values as one likes."""
    if get_origin(kind) in (Union, types.UnionType):
        return any(_takes_several(each) for each in get_args(kind))
    return get_origin(kind) is dict or (get_origin(kind) is tuple and Ellipsis in get_args(kind))


def _gathered(args: Sequence[str], several: set[str]) -> tuple[dict[str, list[str]], Sequence[str]]:
    """What was said of each option that takes several values, and the arguments with each such option once.

    Values of an option that is given repeatedly add up where it stands first.
    """
    said: dict[str, list[str]] = {}
    current: list[str] = []
    parts, times = [current], 0
    for token in args:
        if token.startswith("--"):
            given, equals, value = token.partition("=")
            name = given[2:].replace("-", "_")
            if name in several:
                times += 1
                if name not in said:
                    said[name] = []
                    parts += [[given], said[name]]
                current = said[name]
                current += [value] if equals else []
                continue
            parts.append(current := [])
        current.append(token)
    return said, args if times == len(said) else [token for part in parts for token in part]


def _require_once(name: str, said: Sequence[str], value: dict[str, Any]) -> None:
    """Refuse pairs of which two have the same name."""
    if not value:
        return
    first = next(iter(value.values()))
    names = said[:: 1 + (len(first) if isinstance(first, tuple) else 1)]
    for key, times in Counter(names).items():
        if times > 1 and key in value:
            raise ForearmError(f"{flag(name)} names {key} {times} times; name it once")


def _at_hand(options: Any) -> Any:
    """The options with folders in place of Hub ids, wherever a field is of a `Kind` or of one of several."""
    changed = {}
    for name, hint in get_type_hints(type(options), include_extras=True).items():
        kinds = [each for each in getattr(hint, "__metadata__", ()) if isinstance(each, Kind)]
        value = getattr(options, name)
        if kinds and value is not None:
            several = isinstance(value, tuple)
            changed[name] = tuple(at_hand(each, *kinds) for each in value) if several else at_hand(value, *kinds)
    return dataclasses.replace(options, **changed)


def flag(field: str) -> str:
    """A field's name as it stands on the command line."""
    return "--" + field.replace("_", "-")


def _field(token: str, values: dict[str, Any]) -> str:
    name = token[2:].partition("=")[0].replace("-", "_")
    return name if name in values else name.removeprefix("no_").replace(".no_", ".")


def _flat(options: Any) -> Iterator[tuple[str, Any]]:
    """Every field with its value; fields of nested dataclasses stand beside the others, those of a model below it."""
    for field in dataclasses.fields(options):
        value = getattr(options, field.name)
        if not dataclasses.is_dataclass(value):
            yield field.name, value
        elif field.name == "model":
            yield from ((f"model.{name}", inner) for name, inner in _flat(value))
        else:
            yield from _flat(value)


def _one_line(box: str) -> str:
    """What stands in the box of an error, up to its footer."""
    lines = [line.strip("│ ") for line in box.splitlines() if line.startswith("│")]
    footer = next((i for i, line in enumerate(lines) if line.startswith("─")), len(lines))
    return " ".join(lines[:footer]) or " ".join(box.split())


def _registry() -> ConstructorRegistry:
    """Tyro's types, but for ``T | None``, which is read and shown as T is, and whose None means: not given.

    The help texts of fields lose the line breaks of the source, and empty defaults are not shown.
    """
    registry = ConstructorRegistry()
    asking: list[Any] = []  # the types whose fields Tyro's own rules are asked for

    @registry.struct_rule
    def readable(info: StructTypeInfo) -> StructConstructorSpec | None:
        if info.type in asking:
            return None
        asking.append(info.type)
        try:
            spec = ConstructorRegistry.get_struct_spec(info)
        finally:
            asking.pop()
        if not isinstance(spec, StructConstructorSpec):
            return None
        return dataclasses.replace(spec, fields=tuple(_readable(field) for field in spec.fields))

    @registry.primitive_rule
    def optional(info: PrimitiveTypeInfo) -> PrimitiveConstructorSpec[Any] | None:
        kinds = [kind for kind in get_args(info.type) if kind is not type(None)]
        if info.type_origin not in (Union, types.UnionType) or len(kinds) != 1:
            return None
        spec = ConstructorRegistry.get_primitive_spec(PrimitiveTypeInfo.make(kinds[0], info.markers))
        assert isinstance(spec, PrimitiveConstructorSpec)
        if kinds[0] is bool:
            spec = dataclasses.replace(
                spec,
                metavar="{true,false}",
                choices=("true", "false"),
                instance_from_str=lambda args: args[0] == "true",
            )
        return dataclasses.replace(
            spec,
            is_instance=lambda value: value is None or spec.is_instance(value),
            str_from_instance=lambda value: ["none"] if value is None else spec.str_from_instance(value),
        )

    return registry


def _readable(field: StructFieldSpec) -> StructFieldSpec:
    """The field with its help text as one paragraph, and without ``(default: )`` where that is nothing."""
    told = field.helptext
    of = field.type.__origin__ if hasattr(field.type, "__metadata__") else field.type
    repeated = _takes_several(of) and Positional not in getattr(field.type, "__metadata__", ())

    def helptext() -> str | None:
        text = told() if callable(told) else told
        return " ".join([*(text or "").split(), *(REPEATED.split() if repeated else [])]) or None

    hinted = any(getattr(note, "help_behavior_hint", None) for note in getattr(field.type, "__metadata__", ()))
    nothing = field.default is None or field.default in ("", (), {})
    shown: Any = {"help_behavior_hint": ""} if nothing and not hinted else {}
    if get_origin(field.type) is dict:
        shown["metavar"] = "NAME VALUE …"
    kind: Any = Annotated[field.type, tyro.conf.arg(**shown)] if shown else field.type
    return dataclasses.replace(field, helptext=helptext, type=kind)
