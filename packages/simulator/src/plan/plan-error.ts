/** A plan that cannot be run; the message says what is wrong and what is possible. */
export class PlanError extends Error {
  override readonly name = 'PlanError';
}
