"""Designs: how X is stored and read. ``as_design`` picks the one that fits, ``source`` one for any size."""

from gdnp.design.base import DesignMatrix, Job
from gdnp.design.block import Block
from gdnp.design.dense import DenseDesign
from gdnp.design.rows import Choice, Rows, RowVector
from gdnp.design.source import Source, as_design, source
from gdnp.design.sparse import SparseDesign
from gdnp.design.stream import StreamDesign

__all__ = [
    "Block",
    "Choice",
    "DenseDesign",
    "DesignMatrix",
    "Job",
    "RowVector",
    "Rows",
    "Source",
    "SparseDesign",
    "StreamDesign",
    "as_design",
    "source",
]
