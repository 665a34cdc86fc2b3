"""Draws a release of galaxies whose true morphology is known, in the challenge's own format.

    galaxies   what is out there: one `Galaxy` record drawn from (seed, index)
    rendering  its light before the telescope: Sérsic profiles, discs, arms, bars, dust
    field      what else is in the cutout: stars, small galaxies, a satellite's trail
    camera     seeing, shot and sky noise, the asinh stretch, JPEG
    votes      what volunteers would answer, as the challenge's 37 cumulative fractions
    release    the files, drawn on all cores

Everything about a galaxy follows from the seed and its number alone, so that neither the number
of workers nor that of galaxies changes any of them.
"""

from galaxy_tasks.simulation.release import draw_release

__all__ = ["draw_release"]
