// Where numbers stand on an axis, and which of them are written beside it.

import { number } from "./dom.js";

/** An axis from `low` to `high` over pixels `from` to `to`. */
export function axis(low, high, from, to, isLog) {
  const of = isLog ? Math.log10 : (value) => value;
  const [a, b] = widen(of(low), of(high), isLog);
  const place = (value) => from + ((of(value) - a) / (b - a)) * (to - from);
  const value = (pixel) => {
    const at = a + ((pixel - from) / (to - from)) * (b - a);
    return isLog ? 10 ** at : at;
  };
  // Labels below each other need less room than beside each other.
  const room = from > to ? 24 : 56;
  return { place, value, ticks: isLog ? logTicks(a, b) : linearTicks(a, b, (room / Math.abs(to - from)) * (b - a)) };
}

function widen(a, b, isLog) {
  if (b > a) return [a, b];
  if (a === 0 && !isLog) return [0, 1];
  const by = isLog ? 0.5 : Math.abs(a) * 0.1 || 1;
  return [a - by, b + by];
}

/** Ticks at round numbers, at least `rough` apart. */
function linearTicks(a, b, rough) {
  const size = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((one) => one * size).find((one) => one >= rough);
  const ticks = [];
  for (let i = Math.ceil(a / step - 1e-9); i * step <= b + step * 1e-9; i++) {
    const at = Number((i * step).toPrecision(12));
    ticks.push({ at, label: label(at, step) });
  }
  return ticks;
}

/** A number with as many digits as tell it from the next tick. */
function label(value, step) {
  const size = Math.abs(value);
  if (size === 0) return "0";
  if (size >= 1e5 || size < 1e-3) return scientific(value);
  return value.toFixed(Math.min(8, Math.max(0, -Math.floor(Math.log10(step) + 1e-9)))).replace("-", "−");
}

function scientific(value) {
  const [digits, power] = value.toExponential(2).split("e");
  return `${Number(digits)}e${Number(power)}`.replaceAll("-", "−");
}

function logTicks(a, b) {
  const factors = b - a < 1.2 ? [1, 2, 5] : [1];
  const every = Math.max(1, Math.ceil((b - a) / 6));
  const ticks = [];
  for (let power = Math.floor(a); power <= b; power++) {
    if (power % every !== 0) continue;
    for (const factor of factors) {
      const at = factor * 10 ** power;
      if (Math.log10(at) >= a - 1e-9 && Math.log10(at) <= b + 1e-9) ticks.push({ at, label: at >= 1e5 || at < 1e-3 ? scientific(at) : number(at) });
    }
  }
  return ticks;
}
