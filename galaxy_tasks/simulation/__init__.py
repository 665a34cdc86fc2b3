"""Draw a release of galaxies of known morphology, in the challenge's own format.

    population    the parameters of a galaxy, drawn from (seed, index)
    rendering     its light before the telescope: Sérsic profiles, discs, arms, bars, dust
    surroundings  what else is in the cutout: stars, small galaxies, a satellite's trail
    camera        seeing, shot and sky noise, the asinh stretch, JPEG
    volunteers    what volunteers would answer, as the challenge's 37 cumulative fractions
    release       the files, drawn on all cores

A galaxy depends on the seed and its number alone: neither the number of workers nor that of
galaxies changes it.
"""

from galaxy_tasks.simulation.release import draw_release

__all__ = ["draw_release"]
