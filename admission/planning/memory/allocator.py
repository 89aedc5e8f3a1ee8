"""What torch's CUDA allocator counts for a tensor: vLLM's logs report that, not the bare bytes."""

_MIB = 1 << 20
_SMALL_BYTES = _MIB  # up to here tensors share 2 MiB segments
_LARGE_BYTES = 10 * _MIB  # from here a tensor gets a segment of its own, in whole 2 MiB
_SEGMENT_BYTES = 2 * _MIB
_GRAIN_BYTES = 512


def held_bytes(tensor_bytes: int) -> int:
    """Bytes that count as allocated for one tensor.

    Rounded up to 512; from 10 MiB on the segment is rounded up to 2 MiB, and what is left of it
    is split off only when more than 1 MiB, so a smaller rest counts too. Source: torch's allocator
    rules; with them Qwen2.5-7B is 14.249 GiB, logged 14.2488 (bare tensors: 14.19).
    """
    rounded = -(-tensor_bytes // _GRAIN_BYTES) * _GRAIN_BYTES
    if rounded < _LARGE_BYTES:
        return rounded
    segment = -(-rounded // _SEGMENT_BYTES) * _SEGMENT_BYTES
    return segment if segment - rounded <= _SMALL_BYTES else rounded
