"""The log of a replica: Serve's file, kept open and fed whatever libraries do to logging.

vLLM calls `logging.config.dictConfig` when it starts. That closes every handler of the process, and
a closed handler of Ray Serve's has no file any more: the replica writes nothing from then on, and
cannot tell a new ServeController the name of its file, which the controller takes for a failure.
"""

import builtins
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager

from ray.serve._private import logging_utils

from serve.visit import REQUEST_ID

SERVE = "ray.serve"  # the logger of Serve's own; its handler has the replica's file
_OURS = ("sluice", "serve", "ray")  # loggers, and those below them, that nothing may silence


def begin() -> None:
    """From now on our lines are in the replica's file, under the ids of their requests.

    Serve makes standard error a stream into its file; our lines go that way.
    """
    os.environ.setdefault("NO_COLOR", "1")  # that stream says that it is a terminal
    # Serve's `print` writes each line of a traceback as "('line',)"; Python's goes to that stream.
    builtins.print = logging_utils.buildin_print
    logging.basicConfig(format="%(levelname)s %(asctime)s [%(name)s] %(message)s")
    logging.getLogger("sluice").setLevel(logging.INFO)
    for logger in _loggers():
        for handler in logger.handlers:
            _stay_open(handler)
    for handler in logging.getLogger(SERVE).handlers:
        handler.addFilter(_name_request)


@contextmanager
def kept() -> Iterator[None]:
    """What is done to logging inside disables no logger and takes no handler of ours away."""
    before = [
        (logger, logger.disabled, list(logger.handlers))
        for logger in _loggers()
        if logger is logging.root or logger.name.partition(".")[0] in _OURS
    ]
    try:
        yield
    finally:
        for logger, disabled, handlers in before:
            logger.disabled = disabled
            for handler in handlers:
                logger.addHandler(handler)  # does nothing where it still is


def _loggers() -> list[logging.Logger]:
    named = list(logging.root.manager.loggerDict.values())
    return [logging.root, *(each for each in named if isinstance(each, logging.Logger))]


def _stay_open(handler: logging.Handler) -> None:
    """Lets `close` write what is buffered and no more; the end of the process closes the file."""
    handler.close = handler.flush  # type: ignore[method-assign]
    target = getattr(handler, "target", None)  # a MemoryHandler's
    if isinstance(target, logging.Handler):
        _stay_open(target)


def _name_request(record: logging.LogRecord) -> bool:
    """Serve's formatter begins a line with the `request_id` of its record, where it has one."""
    request_id = REQUEST_ID.get()
    if request_id is not None:
        record.request_id = request_id
    return True
