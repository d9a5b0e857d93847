/** Loaded before a role (`node --import`): its clock is off by LAB_CLOCK_SHIFT_MS, as far as JavaScript can see. */
const shiftMs = Number(process.env['LAB_CLOCK_SHIFT_MS'] ?? 0);
const RealDate = Date;

class ShiftedDate extends RealDate {
  constructor(...args: [] | [value: number | string | Date]) {
    super(...((args.length === 0 ? [RealDate.now() + shiftMs] : args) as [number]));
  }

  static override now(): number {
    return RealDate.now() + shiftMs;
  }
}

globalThis.Date = ShiftedDate as DateConstructor;
