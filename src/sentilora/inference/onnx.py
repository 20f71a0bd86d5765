"""`Predictor` over ONNX Runtime: one unpadded text a run, on threads of our own."""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from functools import cached_property
from pathlib import Path
from typing import Any, Callable, Optional

import numpy as np
import numpy.typing as npt
import onnxruntime

from sentilora.errors import ConfigError, ModelError, first_line
from sentilora.inference.allocation import give_back_freed_blocks, keep_freed_blocks
from sentilora.inference.graph import IDS, HeadInputs, is_down_input
from sentilora.inference.predictor import Logits
from sentilora.inference.scheduler import Scheduler
from sentilora.inference.threads import available_cores

Array = npt.NDArray[Any]  # of floats
_graphs: weakref.WeakSet[Graph] = weakref.WeakSet()
_of_the_parent: list[Any] = []  # sessions that can be neither run nor freed: both would wait for threads
_DTYPES = {"tensor(float)": np.float32, "tensor(float16)": np.float16}


class Graph:
    """A bundle's graph, run by one thread a text for throughput, or by all for the latency of a single text.

    Both ways give the same bits. Thread-safe.

    Args:
        path: The `.onnx` file.
        threads: Cores to use; None takes all that the process may.
        capacity: Most tokens that may wait for a worker; None means no bound.
        spin: Whether the threads of a single text wait for one another awake. That takes a sixth off its latency,
            and a core from everything else that runs here, between texts too.

    Raises:
        ConfigError: Fewer threads than one.
    """

    def __init__(
        self, path: Path, threads: Optional[int] = None, capacity: Optional[int] = None, *, spin: bool = True
    ) -> None:
        if threads is not None and threads < 1:
            raise ConfigError(f"{threads} threads: at least 1, or None for all cores that the process may use")
        self.path = path
        self._opened = _identity(path)
        self._spin = spin
        self.threads = threads or available_cores()
        self.scheduler = Scheduler(self.threads, capacity)
        self._sessions: dict[int, onnxruntime.InferenceSession] = {}
        self._opening = threading.Lock()
        weakref.finalize(self, self.scheduler.retire)
        _graphs.add(self)

    def run(self, ids: Sequence[int], inputs: Mapping[str, onnxruntime.OrtValue], threads: int = 1) -> Logits:
        """The logits, float32 [1, labels], of one text's token ids, computed by so many threads."""
        session = self._session(threads)
        text = onnxruntime.OrtValue.ortvalue_from_numpy(np.asarray([ids], dtype=np.int64))
        (logits,) = session.run_with_ort_values(None, {IDS: text, **inputs})
        result: Logits = logits.numpy()
        return result

    def prepare(self) -> None:
        """Open what the first texts would have to wait for."""
        for threads in {1, self.threads}:
            self._session(threads)

    def filled(self, arrays: Mapping[str, Array]) -> dict[str, onnxruntime.OrtValue]:
        """Values for all inputs but the token ids; those that `arrays` leaves out add nothing.

        Raises:
            ModelError: An array fits no input, or a part of the head is missing.
        """
        return {**self._empty, **{name: _value(array) for name, array in self.fitted(arrays).items()}}

    def fitted(self, arrays: Mapping[str, Array]) -> dict[str, Array]:
        """An adapter's arrays in the precision that each input has.

        Raises:
            ModelError: An array fits no input, or a part of the head is missing.
        """
        inputs = self._inputs
        wrong = {*arrays.keys() - inputs.keys(), *(inputs.keys() & HeadInputs.named().names) - arrays.keys()}
        wrong |= {name for name in arrays.keys() & inputs.keys() if not _fits(arrays[name], inputs[name].shape)}
        if wrong:
            raise ModelError(f"the adapter does not fit the graph: look at {', '.join(sorted(wrong))}")
        return {name: array.astype(_DTYPES[inputs[name].type], copy=False) for name, array in arrays.items()}

    @cached_property
    def _inputs(self) -> dict[str, Any]:
        """All but the token ids; in a `shape` a size that may be any is no number."""
        return {each.name: each for each in self._session(1).get_inputs() if each.name != IDS}

    @cached_property
    def _empty(self) -> dict[str, onnxruntime.OrtValue]:
        """What adds nothing; in memory once, for all adapters that leave a layer as it is. A head has each of them.

        Of rank 1: products over no element at all are left undefined by older versions of ONNX Runtime.
        """
        return {
            name: _value(np.zeros([size if isinstance(size, int) else 1 for size in each.shape], _DTYPES[each.type]))
            for name, each in self._inputs.items()
            if name not in HeadInputs.named().names
        }

    def _begin_anew(self) -> None:
        """In a forked process, which has none of the threads."""
        _of_the_parent.append(self._sessions)
        self._sessions = {}
        self._opening = threading.Lock()
        self.scheduler.begin_anew()

    def _session(self, threads: int) -> onnxruntime.InferenceSession:
        with self._opening:
            if threads not in self._sessions:
                session = _open(self.path, threads, self._spin)
                give_back_freed_blocks()  # of reading the file
                if _identity(self.path) != self._opened:
                    raise ModelError(f"{self.path.parent} was replaced while it was in use: load it again")
                self._sessions[threads] = session
            return self._sessions[threads]


def _begin_all_anew() -> None:
    for graph in list(_graphs):
        graph._begin_anew()


os.register_at_fork(after_in_child=_begin_all_anew)


class OnnxPredictor:
    """Logits from a bundle's graph, for the adapter that `inputs` hold.

    Args:
        graph: Shared by all adapters of a bundle.
        inputs: The adapter's arrays by the names of the graph's inputs; empty for a merged graph.
        labels: How many there are.
    """

    batch_invariant = True

    def __init__(self, graph: Graph, inputs: Mapping[str, onnxruntime.OrtValue], labels: int) -> None:
        self.graph = graph
        self.inputs = inputs
        self.labels = labels
        self._widest = max((value.shape()[1] for name, value in inputs.items() if is_down_input(name)), default=0)

    def submit(self, ids: Sequence[int]) -> Future[Logits]:
        """Have the logits, float32 [labels], of one text computed by the next free worker.

        A text that is there alone is run by all threads at once.

        Raises:
            OverloadedError: Too much waits already.
        """
        scheduler, threads = self.graph.scheduler, self._threads_for(ids)
        return self._submitted(ids, lambda: threads if scheduler.alone else 1)

    def logits(self, token_ids: Sequence[Sequence[int]], on_batch: Optional[Callable[[int], Any]] = None) -> Logits:
        """The logits of encoded texts, float32 [n, labels]; see `Predictor`.

        A single text is run by all threads at once; several are given to the workers, one each.
        """
        result = np.empty((len(token_ids), self.labels), dtype=np.float32)
        if len(token_ids) == 1:
            result[:] = self.graph.run(token_ids[0], self.inputs, self._threads_for(token_ids[0]))
            if on_batch is not None:
                on_batch(1)
            return result
        futures = [self._submitted(ids, lambda: 1) for ids in token_ids]
        try:
            for row, future in enumerate(futures):
                result[row] = future.result()
                if on_batch is not None:
                    on_batch(1)
        finally:
            for future in futures:
                future.cancel()
        return result

    def _threads_for(self, ids: Sequence[int]) -> int:
        """Threads that may share a text without changing a bit of its answer.

        A product of fewer rows than columns is shared out by columns, and those of a narrow matrix are then added up
        in another order.
        """
        return self.graph.threads if len(ids) >= self._widest else 1

    def _submitted(self, ids: Sequence[int], threads: Callable[[], int]) -> Future[Logits]:
        return self.graph.scheduler.submit(lambda: self.graph.run(ids, self.inputs, threads())[0], len(ids))


def _value(array: Array) -> onnxruntime.OrtValue:
    return onnxruntime.OrtValue.ortvalue_from_numpy(np.ascontiguousarray(array))


def _fits(array: Array, shape: Sequence[Any]) -> bool:
    return array.ndim == len(shape) and all(
        not isinstance(wanted, int) or wanted == size for size, wanted in zip(array.shape, shape)
    )


def _identity(path: Path) -> Optional[tuple[int, int, int]]:
    """What changes when a graph is replaced, by a folder with others of its files; None if it is not there."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino, found.st_mtime_ns


def _open(path: Path, threads: int, spin: bool) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.enable_mem_pattern = False  # texts differ in length, and a pattern would be kept for each
    # The arena is the session's, not a worker's: what one core wrote last another would write next, by way of what they
    # share, which costs a seventh of all time where that is no cache. glibc's heaps are the threads' own.
    options.enable_cpu_mem_arena = threads > 1 or not keep_freed_blocks()
    options.add_session_config_entry("session.intra_op.allow_spinning", "1" if spin else "0")
    options.log_severity_level = 3
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # noqa: BLE001 - the library raises nothing narrower
        raise ModelError(
            f"{path} cannot be run by onnxruntime {onnxruntime.__version__}: {first_line(error)}"
        ) from None
