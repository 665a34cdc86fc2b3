"""Vote fractions that more than one release asks for, each with its source.

Willett et al. 2013 (MNRAS 435, 2835), Table 3: what the answers before a question must reach
before its answers count, for at least 20 votes. Used for releases whose own papers give no clean
samples, so that a class means the same in all of them.
"""

BEFORE_ROUNDED = 0.469
"""Smooth, before question 07 of Galaxy Zoo 2. Willett et al. 2013, Table 3."""
BEFORE_EDGE_ON = 0.430
"""Features or disk, before question 02. Willett et al. 2013, Table 3."""
BEFORE_BULGE_SHAPE = 0.602
"""Edge-on, before question 09. Willett et al. 2013, Table 3."""
BEFORE_SPIRAL = 0.715
"""Not edge-on, before question 04. Willett et al. 2013, Table 3."""
BEFORE_ARMS = 0.619
"""Spiral, before questions 10 and 11. Willett et al. 2013, Table 3."""
MAJORITY = 0.50
"""How round: the majority, as in the five classes of Zhu et al. 2019 (Ap&SS 364, 55)."""
NOT_CLUMPY = 0.30
"""Not clumpy, before the disk. Simmons et al. 2017 (MNRAS 464, 4420), Table 3: f_notclumpy."""
