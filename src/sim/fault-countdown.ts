/** Says which of the calls to a simulated disk or store fails. */
export class FaultCountdown {
  /** Calls that still succeed before one fails; undefined if none is to fail. */
  callsLeft: number | undefined;

  /** Counts a call. @returns whether it fails; those after it succeed */
  isDue(): boolean {
    if (this.callsLeft === undefined) return false;
    this.callsLeft -= 1;
    if (this.callsLeft >= 0) return false;
    this.callsLeft = undefined;
    return true;
  }
}
