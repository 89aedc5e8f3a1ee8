"""The files that come with the code: profiles, the catalogue of models, grids of the lab."""

from pathlib import Path

_INSTALLED = Path(__file__).resolve().parent / "configs"  # the wheel has them here
_CHECKOUT = Path(__file__).resolve().parents[1] / "configs"


def configs() -> Path:
    """The folder that holds them, in a checkout and in an installed package."""
    return _INSTALLED if _INSTALLED.is_dir() else _CHECKOUT
