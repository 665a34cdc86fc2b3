"""FITS tables as releases publish them."""

import warnings
from pathlib import Path

import numpy as np
from astropy.io import fits

IDS = [587722981741363294, 587722981741363295, -9223372036854775807]


def column(name: str, form: str, values, **more) -> fits.Column:
    return fits.Column(name=name, format=form, array=np.asarray(values), **more)


def write_fits(path: Path, *columns: fits.Column, tables: int = 1) -> Path:
    parts = [fits.BinTableHDU.from_columns(columns, name=f"T{n}") for n in range(tables)]
    with warnings.catch_warnings():  # of column names with a dot, which releases have
        warnings.simplefilter("ignore", fits.verify.VerifyWarning)
        fits.HDUList([fits.PrimaryHDU(), *parts]).writeto(path)
    return path
