// A decimal string of dollars for people: five decimals, rounded up, since what one pays is never flattered.
const PLACES = 5;

export function dollars(text) {
  const [whole, fraction = ""] = text.split(".");
  const kept = BigInt(whole + fraction.padEnd(PLACES, "0").slice(0, PLACES));
  const units = kept + (/[1-9]/.test(fraction.slice(PLACES)) ? 1n : 0n);
  const digits = String(units).padStart(PLACES + 1, "0");
  return `$${Number(digits.slice(0, -PLACES)).toLocaleString("en")}.${digits.slice(-PLACES)}`;
}

export const count = (n) => n.toLocaleString("en");
