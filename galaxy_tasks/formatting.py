"""How durations, sizes and names are written for people."""

from collections.abc import Iterable

_SHOWN_NAMES = 12


def format_bytes(size_bytes: float) -> str:
    """Return a size in decimal units, as publishers state them: '3.4 GB'."""
    for unit, divisor in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if size_bytes >= divisor:
            return f"{size_bytes / divisor:.1f} {unit}"
    return f"{size_bytes:.0f} bytes"


def format_duration(duration_s: float) -> str:
    """Return a duration in its two largest units: '4.2 s', '45 s', '4 min 05 s', '3 h 05 min'."""
    if duration_s < 9.95:
        return f"{duration_s:.1f} s"
    minutes, seconds = divmod(round(duration_s), 60)
    if minutes < 1:
        return f"{seconds} s"
    if minutes < 60:
        return f"{minutes} min {seconds:02d} s"
    return f"{minutes // 60} h {minutes % 60:02d} min"


def format_millions(count: int) -> str:
    """Return a count of parameters in millions, as in '23.5 M'; a small one in full."""
    return f"{count / 1e6:.1f} M" if count >= 100_000 else f"{count:,}"


def format_multiply_adds(count: int) -> str:
    """Return a number of multiply-adds in billions, or in millions below 0.1: '1.81 G', '24 M'."""
    return f"{count / 1e9:.2f} G" if count >= 100_000_000 else f"{count / 1e6:.0f} M"


def format_p_value(p_value: float) -> str:
    """Return a p value with three digits, as in '0.012', or '< 0.001'."""
    return "< 0.001" if p_value < 0.001 else f"{p_value:.3f}"


def format_signed(number: float, digits: int = 3) -> str:
    """Return a difference with its sign, as in '+0.012' and '−0.012'; '0.000' for no difference."""
    text = f"{number:+.{digits}f}".replace("-", "−")
    return text if float(f"{number:.{digits}f}") else text[1:]


def format_name(name: str) -> str:
    """Return a name as prose has it: spaces for underscores."""
    return name.replace("_", " ")


def shorten(names: Iterable[str]) -> str:
    """Return the first names as one line that says how many more there are."""
    names = list(names)
    more = f", and {len(names) - _SHOWN_NAMES} more" if len(names) > _SHOWN_NAMES else ""
    return (", ".join(names[:_SHOWN_NAMES]) + more) or "nothing"
