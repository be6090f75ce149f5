"""How many tasks an account may run, by its tier."""

from typing import Literal

from limits import RateLimitItem, parse

Tier = Literal["free", "basic", "pro", "enterprise"]
TIERS: tuple[Tier, ...] = ("free", "basic", "pro", "enterprise")

# Requests a minute and a day.
LIMITS: dict[Tier, tuple[RateLimitItem, RateLimitItem]] = {
    "free": (parse("10/minute"), parse("200/day")),
    "basic": (parse("60/minute"), parse("2000/day")),
    "pro": (parse("300/minute"), parse("20000/day")),
    "enterprise": (parse("3000/minute"), parse("1000000/day")),
}
