/** Why a run is refused or broken off, in words for whoever asked for it. */
export class LoadProblem extends Error {
  override readonly name = 'LoadProblem';
}
