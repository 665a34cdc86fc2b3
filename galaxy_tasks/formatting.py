"""How durations, sizes and names are written for people."""


def format_bytes(size_bytes: float) -> str:
    """Return a size in words, in decimal units as publishers state them: '3.4 GB'."""
    for unit, divisor in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if size_bytes >= divisor:
            return f"{size_bytes / divisor:.1f} {unit}"
    return f"{size_bytes:.0f} bytes"


def format_duration(duration_s: float) -> str:
    """Return a duration in words: '45 s', '12 min', '3 h 05 min'."""
    if duration_s < 90:
        return f"{duration_s:.0f} s"
    minutes = round(duration_s / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60:02d} min"


def show_duration(seconds: float) -> str:
    """Return a duration in the two largest units that matter, as in 4 min 05 s."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest_s = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest_s:02d} s"
    return f"{minutes // 60} h {minutes % 60:02d} min"


def show_words(name: str) -> str:
    """Return a name as prose has it: blanks for underscores."""
    return name.replace("_", " ")
