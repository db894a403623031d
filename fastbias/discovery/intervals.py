"""Intervals whose ends are multiples of 2⁻ᵇ, rounded outwards: what holds of all in them."""
from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from math import isqrt

__all__ = ["Interval", "total"]


@dataclass(frozen=True)
class Interval:
    """[low, high]·2⁻ᵇⁱᵗˢ, of integers."""

    low: int
    high: int
    bits: int

    @classmethod
    def of(cls, x: Fraction | int, bits: int) -> Interval:
        """The least one that holds a rational number."""
        top, bottom = Fraction(x).numerator << bits, Fraction(x).denominator
        return cls(top // bottom, -(-top // bottom), bits)

    def around(self, radius: Fraction) -> Interval:
        """With so much more on either side."""
        r = Interval.of(radius, self.bits).high
        return Interval(self.low - r, self.high + r, self.bits)

    @property
    def middle(self) -> Fraction:
        """The middle of it."""
        return Fraction(self.low + self.high, 2 << self.bits)

    @property
    def ends(self) -> tuple[Fraction, Fraction]:
        """The ends as fractions."""
        return Fraction(self.low, 1 << self.bits), Fraction(self.high, 1 << self.bits)

    @property
    def size(self) -> Fraction:
        """The largest absolute value in it."""
        return Fraction(max(abs(self.low), abs(self.high)), 1 << self.bits)

    def _other(self, x: Interval | Fraction | int) -> Interval:
        return x if isinstance(x, Interval) else Interval.of(x, self.bits)

    def __add__(self, other: Interval | Fraction | int) -> Interval:
        other = self._other(other)
        return Interval(self.low + other.low, self.high + other.high, self.bits)

    def __neg__(self) -> Interval:
        return Interval(-self.high, -self.low, self.bits)

    def __sub__(self, other: Interval | Fraction | int) -> Interval:
        return self + -self._other(other)

    def __mul__(self, other: Interval | Fraction | int) -> Interval:
        other = self._other(other)
        ends = [a * b for a in (self.low, self.high) for b in (other.low, other.high)]
        return Interval(min(ends) >> self.bits, -(-max(ends) >> self.bits), self.bits)

    def __truediv__(self, other: Interval | Fraction | int) -> Interval:
        other = self._other(other)
        if other.low <= 0 <= other.high:
            raise ZeroDivisionError("an interval with 0 in it divides nothing")
        ends = [Fraction(a, b) for a in (self.low, self.high) for b in (other.low, other.high)]
        low, high = min(ends), max(ends)
        return Interval((low.numerator << self.bits) // low.denominator,
                        -((-high.numerator << self.bits) // high.denominator), self.bits)

    def __lt__(self, other: Interval | Fraction | int) -> bool:
        return self.high < self._other(other).low

    def inside(self, other: Interval) -> bool:
        """Whether it lies in the interior of another."""
        return other.low < self.low and self.high < other.high

    def apart(self, other: Interval) -> bool:
        """Whether it has no point in common with another."""
        return self < other or other < self

    def exp(self) -> Interval:
        """e^x for all x in it."""
        # (rounding outwards at either end, since the exponential grows)
        low, high = (_exp(Interval(x, x, self.bits)) for x in (self.low, self.high))
        return Interval(low.low, high.high, self.bits)

    def sqrt(self) -> Interval:
        """√x for all x ≥ 0 in it."""
        # (what is a square may seem negative, by rounding or since both factors were apart)
        low, high = isqrt(max(self.low, 0) << self.bits), isqrt(self.high << self.bits)
        return Interval(low, high + 1, self.bits)


def _exp(x: Interval) -> Interval:
    """By Taylor's series of x/2ˢ, |x/2ˢ| ≤ 2⁻⁸, squared s times."""
    halvings = max(0, max(abs(x.low), abs(x.high)).bit_length() - x.bits + 8)
    bits = x.bits + 2 * halvings + 32
    # exact: the bits that halving takes are there
    y = Interval(x.low << (bits - x.bits - halvings), x.high << (bits - x.bits - halvings), bits)
    one = Interval.of(1, bits)
    value, term, n = one, one, 0
    while max(abs(term.low), abs(term.high)) > 1:
        n += 1
        term = term * y / n
        value = value + term
    # the rest is at most a geometric series of half the last term
    value = value.around(Fraction(4, 1 << bits))
    for _ in range(halvings):
        value = value * value
    shift = bits - x.bits
    return Interval(value.low >> shift, -(-value.high >> shift), x.bits)


def total(items: list[Interval]) -> Interval:
    """Their sum."""
    value = items[0]
    for item in items[1:]:
        value = value + item
    return value
