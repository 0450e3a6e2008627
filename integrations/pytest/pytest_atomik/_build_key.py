"""What a build depends on, as digests: its key, paths in it by their content, and its builder's source."""

from __future__ import annotations

import functools
import hashlib
import inspect
import linecache
import os
import stat
import textwrap
from collections.abc import Callable, Mapping
from pathlib import Path
from types import CodeType
from typing import Any, Final, NamedTuple, TypeAlias

#: What a key is made of.
Key: TypeAlias = (
    "str | bytes | int | float | bool | os.PathLike[str] | list[Any] | tuple[Any, ...] | Mapping[Any, Any] | None"
)
#: Written anew by each interpreter that imports from a folder, so never what a build depends on.
_IGNORED_NAME: Final = "__pycache__"


class Builder(NamedTuple):
    """A function that builds, as far as it can be told from another one in any process.

    Attributes:
        label: what messages call it: its name, file and line.
        source: what it is recognised by: its text; for one that has none, its name.
        has_source: whether `source` is text.
        arguments: those that `functools.partial` binds to it, a part of the key.
    """

    label: str
    source: str
    has_source: bool
    arguments: tuple[Any, ...]


def describe_builder(build: Callable[..., object]) -> Builder:
    """Look at a builder.

    Raises:
        TypeError: it is not callable, or is asynchronous or a generator, so that a call of it builds nothing.
    """
    arguments: tuple[Any, ...] = ()
    function: Any = build
    while isinstance(function, functools.partial):
        arguments = (*arguments, [*function.args], dict(function.keywords))
        function = function.func
    if not callable(function):
        msg = f"the builder has to be a function that is called to build, not {build!r}"
        raise TypeError(msg)
    if inspect.iscoroutinefunction(function) or inspect.isgeneratorfunction(function):
        msg = f"the builder {_name(function)} is asynchronous or a generator: a call of it builds nothing; give a plain function"
        raise TypeError(msg)
    name = _name(function)
    code: CodeType | None = getattr(inspect.unwrap(function), "__code__", None)
    if code is not None and code.co_filename == "<string>":
        # Python 3.13 takes all that was executed for the text of `python -c`, and pytest-xdist's workers are begun by that.
        return Builder(name, name, False, arguments)
    try:
        source = textwrap.dedent(inspect.getsource(function)).strip()
    except (OSError, TypeError):
        return Builder(name, name, False, arguments)
    if code is None:
        return Builder(name, f"{name}\n{source}", True, arguments)
    label = f"{name} ({os.path.basename(code.co_filename)}:{code.co_firstlineno})"
    # Of two lambdas in one line, the source is the line.
    body = _body(code) if code.co_name == "<lambda>" else ""
    return Builder(label, f"{name}\n{source}\n{body}", True, arguments)


def digest_of(value: Key, hash_path: Callable[[Path], str]) -> str:
    """Return the same digest for the same key, in every process and run.

    Args:
        value: the key. A list and a tuple of the same are the same; the order of a dictionary counts nothing; 1, 1.0, True
            and "1" are four things.
        hash_path: gives the digest of what is at an absolute path.

    Raises:
        TypeError: something in the key is none of what keys are made of.
        FileNotFoundError: a path in it does not exist.
    """
    return hashlib.sha256(_encode(value, hash_path)).hexdigest()


def digest_of_path(path: Path) -> str:
    """Return the digest of a file's content, or of all in a folder: names, contents, links, and what may be executed.

    Folders called ``__pycache__`` are left out, where a path is and what it is called, too.

    Raises:
        ValueError: there is a device, FIFO or socket.
        OSError: it cannot be read.
    """
    digest = hashlib.sha256()
    _add_content(digest, os.stat(path), str(path))
    if path.is_dir():
        for folder, folders, files in os.walk(path, onerror=_raise):
            folders[:] = sorted(name for name in folders if name != _IGNORED_NAME)
            for name in sorted([*folders, *files]):
                entry = os.path.join(folder, name)
                _add(digest, os.fsencode(os.path.relpath(entry, path)))
                _add_content(digest, os.lstat(entry), entry)
    return digest.hexdigest()


def _name(function: Any) -> str:
    function = inspect.unwrap(function) if callable(function) else function
    kind = type(function)
    qualified = getattr(function, "__qualname__", kind.__qualname__)
    return f"{getattr(function, '__module__', kind.__module__)}.{qualified}"


def _body(code: CodeType) -> str:
    """Return the text of what a lambda evaluates; its constants where Python does not say where that is.

    Python 3.12 does not of a lambda that returns a constant, and no Python does that was told to forget it.
    """
    begins, ends = [], []
    for line, end_line, column, end_column in code.co_positions():
        if line is not None and column is not None and end_line is not None and end_column and end_column > column:
            begins.append((line, column))
            ends.append((end_line, end_column))
    if not begins:
        return repr([value for value in code.co_consts if value is None or isinstance(value, (str, bytes, int, float))])
    (first, column), (last, end_column) = min(begins), max(ends)
    lines = [linecache.getline(code.co_filename, number).encode() for number in range(first, last + 1)]
    lines[-1] = lines[-1][:end_column]
    lines[0] = lines[0][column:]
    return b"".join(lines).decode(errors="replace")


def _encode(value: Any, hash_path: Callable[[Path], str]) -> bytes:
    """Return bytes that no other value has: each is preceded by its kind and length."""
    if value is None or isinstance(value, bool):
        return _tagged(b"c", repr(value).encode())
    if isinstance(value, str):
        return _tagged(b"s", str.__str__(value).encode("utf-8", "surrogatepass"))
    if isinstance(value, bytes):
        return _tagged(b"b", value)
    if isinstance(value, int):
        return _tagged(b"i", int.__repr__(value).encode())
    if isinstance(value, float):
        return _tagged(b"f", float.__repr__(value).encode())
    if isinstance(value, os.PathLike):
        return _tagged(b"p", hash_path(Path(os.path.abspath(os.fspath(value)))).encode())
    if isinstance(value, list | tuple):
        return _tagged(b"l", b"".join(_encode(each, hash_path) for each in value))
    if isinstance(value, Mapping):
        pairs = sorted(_encode(name, hash_path) + _encode(each, hash_path) for name, each in value.items())
        return _tagged(b"d", b"".join(pairs))
    msg = (
        f"a key is made of str, bytes, numbers, bool, None, paths (by their content), and lists, tuples and dicts of these, "
        f"not of {type(value).__qualname__}: {value!r}"
    )
    raise TypeError(msg)


def _tagged(kind: bytes, content: bytes) -> bytes:
    return b"%s%d:%s" % (kind, len(content), content)


def _add(digest: hashlib._Hash, content: bytes) -> None:
    digest.update(b"%d:%s" % (len(content), content))


def _add_content(digest: hashlib._Hash, status: os.stat_result, path: str) -> None:
    if stat.S_ISDIR(status.st_mode):
        _add(digest, b"folder")
    elif stat.S_ISLNK(status.st_mode):
        _add(digest, b"link")
        _add(digest, os.fsencode(os.readlink(path)))
    elif stat.S_ISREG(status.st_mode):
        _add(digest, b"program" if status.st_mode & 0o111 else b"file")
        with open(path, "rb") as file:
            _add(digest, hashlib.file_digest(file, "sha256").digest())
    else:
        msg = f"a key takes the content of files and folders, and {path} is neither; leave it out of the key"
        raise ValueError(msg)


def _raise(error: OSError) -> None:
    raise error
