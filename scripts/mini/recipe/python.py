"""Importing this re-runs the program with the Python of scripts/mini/setup, where the present one has no
torch."""
import importlib.util
import os
import pathlib
import sys

sys.dont_write_bytecode = True


def own_python():
    cache = os.environ.get("PPX_CACHE") or os.path.join(
        os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "ppx")
    return pathlib.Path(cache) / "mini-python" / "bin" / "python"


NEEDED = ("torch", "numpy", "scipy", "sentencepiece", "safetensors")
MISSING = [name for name in NEEDED if importlib.util.find_spec(name) is None]
if MISSING:
    if "PPX_MINI_PYTHON_TRIED" not in os.environ and own_python().exists():
        os.environ["PPX_MINI_PYTHON_TRIED"] = "1"
        os.execv(own_python(), [str(own_python()), *sys.argv])
    sys.exit(f"{os.path.basename(sys.argv[0])}: {', '.join(MISSING)} not found for {sys.executable}; "
             "run scripts/mini/setup")
