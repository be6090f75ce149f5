"""How good a learner is at a concept: Glicko-2 ratings of learner and challenge. Pure.

Source: Mark E. Glickman, "Example of the Glicko-2 system" (2013). A challenge is an opponent with a rating of its own.
"""

import math
from dataclasses import dataclass

SCALE = 173.7178
CENTER = 1500.0
TAU = 0.5
CONVERGENCE = 1e-6

START_RATING, START_DEVIATION, START_VOLATILITY = 1100.0, 350.0, 0.06
CHALLENGE_DEVIATION = 80.0
YARDSTICK = 1250.0  # a challenge of medium difficulty


@dataclass(frozen=True, kw_only=True)
class Skill:
    rating: float = START_RATING
    deviation: float = START_DEVIATION
    volatility: float = START_VOLATILITY
    outcomes: int = 0


def of_rating(rating: float) -> Skill:
    """A challenge nobody has played yet, by the rating of its file."""
    return Skill(rating=rating, deviation=CHALLENGE_DEVIATION)


def chance(skill: Skill, opponent: Skill) -> float:
    """The expected outcome, from 0 to 1, of the learner against a challenge."""
    return _expected(_mu(skill.rating), _mu(opponent.rating), opponent.deviation / SCALE)


def mastery(skill: Skill) -> int:
    """From 0 to 100: the chance against a medium challenge, with the rating taken one deviation low, above the chance
    of somebody who is not known yet.

    So it rises with evidence, not only with luck, and a failure never raises it.
    """
    unknown = _careful_chance(Skill())
    return round(100 * max(0.0, _careful_chance(skill) - unknown) / (1 - unknown))


def _careful_chance(skill: Skill) -> float:
    careful = Skill(rating=skill.rating - skill.deviation, deviation=skill.deviation, volatility=skill.volatility)
    return chance(careful, of_rating(YARDSTICK))


def update(skill: Skill, *, opponent: Skill, outcome: float) -> Skill:
    """The skill after one outcome from 0 (failed) to 1 (solved without help). It serves the opponent as well."""
    mu, phi = _mu(skill.rating), skill.deviation / SCALE
    opponent_phi = opponent.deviation / SCALE
    weight = _g(opponent_phi)
    expected = _expected(mu, _mu(opponent.rating), opponent_phi)
    variance = 1 / (weight**2 * expected * (1 - expected))
    improvement = variance * weight * (outcome - expected)
    volatility = _new_volatility(phi, skill.volatility, improvement, variance)
    before = math.sqrt(phi**2 + volatility**2)
    new_phi = 1 / math.sqrt(1 / before**2 + 1 / variance)
    new_mu = mu + new_phi**2 * weight * (outcome - expected)
    return Skill(
        rating=new_mu * SCALE + CENTER, deviation=new_phi * SCALE, volatility=volatility, outcomes=skill.outcomes + 1
    )


def _mu(rating: float) -> float:
    return (rating - CENTER) / SCALE


def _g(phi: float) -> float:
    return 1 / math.sqrt(1 + 3 * phi**2 / math.pi**2)


def _expected(mu: float, opponent: float, opponent_phi: float) -> float:
    return 1 / (1 + math.exp(-_g(opponent_phi) * (mu - opponent)))


def _new_volatility(phi: float, sigma: float, improvement: float, variance: float) -> float:
    """Step 5 of the paper: the Illinois variant of regula falsi."""
    start = math.log(sigma**2)

    def slope(x: float) -> float:
        e = math.exp(x)
        top = e * (improvement**2 - phi**2 - variance - e)
        return top / (2 * (phi**2 + variance + e) ** 2) - (x - start) / TAU**2

    low = start
    if improvement**2 > phi**2 + variance:
        high = math.log(improvement**2 - phi**2 - variance)
    else:
        steps = 1
        while slope(start - steps * TAU) < 0:
            steps += 1
        high = start - steps * TAU
    at_low, at_high = slope(low), slope(high)
    while abs(high - low) > CONVERGENCE:
        middle = low + (low - high) * at_low / (at_high - at_low)
        at_middle = slope(middle)
        if at_middle * at_high <= 0:
            low, at_low = high, at_high
        else:
            at_low /= 2
        high, at_high = middle, at_middle
    return math.exp(low / 2)
