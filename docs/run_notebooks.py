"""Execute the notebooks: ``python docs/run_notebooks.py``; a cell that fails ends it."""

import tempfile
from pathlib import Path

import nbformat
from nbclient import NotebookClient

for path in sorted(Path(__file__).parent.glob("notebooks/*.ipynb")):
    with tempfile.TemporaryDirectory() as folder:
        notebook = nbformat.read(path, as_version=4)
        NotebookClient(notebook, timeout=600, resources={"metadata": {"path": folder}}).execute()
    print(f"{path.name}: every cell ran")
