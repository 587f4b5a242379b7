"""The partition that an entity belongs to."""

from zlib import crc32

DEFAULT_PARTITIONS = 64


def partition_of(etype: str, eid: int | str, partitions: int) -> int:
    """The partition of an entity: CRC-32 of `"etype:eid"` in UTF-8, modulo the number of partitions.

    Part of the on-disk format: never change it.
    """
    return crc32(f"{etype}:{eid}".encode("utf-8", "surrogatepass")) % partitions
