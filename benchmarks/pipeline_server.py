"""What people build around Transformers' pipeline: FastAPI, and worker threads that collect batches.

python benchmarks/pipeline_server.py MODEL --workers 1 --threads 2 --batch 8
"""

from __future__ import annotations

import argparse
import asyncio
import socket
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import torch
import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel
from transformers import pipeline

from models import MAX_LENGTH


class PredictRequest(BaseModel):
    """One text."""

    text: str


class Batches:
    """Texts that wait, and workers that take as many as there are, up to a batch."""

    def __init__(self, model: str, workers: int, batch: int) -> None:
        self._batch = batch
        self._classify = pipeline("text-classification", model=model, device="cpu", dtype="float32")
        self._waiting: asyncio.Queue[tuple[str, asyncio.Future[Any]]] = asyncio.Queue()
        self._threads = ThreadPoolExecutor(workers)
        self._tasks = [asyncio.ensure_future(self._work()) for _ in range(workers)]

    async def answer(self, text: str) -> Any:
        """The label and score of one text."""
        answer = asyncio.get_running_loop().create_future()
        self._waiting.put_nowait((text, answer))
        return await answer

    async def _work(self) -> None:
        while True:
            jobs = [await self._waiting.get()]
            while len(jobs) < self._batch and not self._waiting.empty():
                jobs.append(self._waiting.get_nowait())
            texts = [text for text, _ in jobs]
            results = await asyncio.get_running_loop().run_in_executor(self._threads, self._run, texts)
            for (_, answer), result in zip(jobs, results):
                answer.set_result(result)

    def _run(self, texts: list[str]) -> list[Any]:
        return list(self._classify(texts, batch_size=self._batch, truncation=True, max_length=MAX_LENGTH))


async def main() -> None:
    """Serve one model, and print the port."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--threads", type=int, default=2, help="Of each worker.")
    parser.add_argument("--batch", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)

    batches = Batches(arguments.model, arguments.workers, arguments.batch)
    app = FastAPI()

    @app.post("/predict")
    async def predict(body: PredictRequest) -> Any:
        return await batches.answer(body.text)

    listener = socket.create_server(("127.0.0.1", 0))
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # else answers wait for acknowledgements
    print(f"serving at http://127.0.0.1:{listener.getsockname()[1]}", flush=True)
    await uvicorn.Server(uvicorn.Config(app, log_level="warning", access_log=False)).serve([listener])


if __name__ == "__main__":
    asyncio.run(main())
