"""A run as it goes on: kept in memory for its report, and written where a file was asked for."""

from collections.abc import Mapping
from typing import Any

from loadtests.record import Record, RecordFile, RunRecord, Sample


class Recording:
    """What is told to it, in the order it was told."""

    def __init__(self, about: Mapping[str, Any], file: RecordFile | None) -> None:
        self.about = about
        self.records: list[Record] = []
        self._samples: list[Sample] = []
        self._client: Mapping[str, Any] = {}
        self._limit: Mapping[str, Any] = {}
        self._file = file

    def add(self, record: Record) -> None:
        """One request that ended."""
        self.records.append(record)
        if self._file is not None:
            self._file.add(record)

    def sample(self, sample: Sample) -> None:
        """One look at the endpoint's metrics."""
        self._samples.append(sample)
        if self._file is not None:
            self._file.sample(sample)

    def end(self, client: Mapping[str, Any]) -> None:
        """How the client itself did."""
        self._client = client
        if self._file is not None:
            self._file.end(client)

    def limit(self, found: Mapping[str, Any]) -> None:
        """What a search came to."""
        self._limit = found
        if self._file is not None:
            self._file.limit(found)

    def close(self) -> None:
        """No more lines."""
        if self._file is not None:
            self._file.close()

    def run(self) -> RunRecord:
        """As the file would be read."""
        records, samples = tuple(self.records), tuple(self._samples)
        return RunRecord(self.about, records, self._client, samples, self._limit)
